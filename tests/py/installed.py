# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""installed.py SOCKET: uses the package that Python finds, and prints where it and its libraries come from, as JSON."""

import importlib.metadata
import json
import sys

import vfu
import vfu_protocol


class Toy(vfu.Device):
    bar0 = vfu.Bar(4096)
    scratch = bar0.reg32(0)


with vfu.Server(Toy(), sys.argv[1]).start(), vfu.Client(sys.argv[1]) as dev:
    dev.regions.bar0.write32(0, 42)
    with open("/proc/self/maps") as maps:
        libraries = sorted({line.split()[-1] for line in maps if "libvfu" in line or "json-c" in line})
    print(json.dumps({
        "modules": [vfu.__file__, vfu_protocol.__file__],
        "libraries": libraries,
        "versions": [vfu.__version__, importlib.metadata.version("libvfu")],
        "answer": dev.regions.bar0.read32(0),
    }))
