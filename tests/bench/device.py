# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A register that Python answers: device.py --socket-path=PATH. The row read4 reads it, over and over."""

import sys

import vfu


class Bench(vfu.Device):
    bar0 = vfu.Bar(size=2 << 20)

    @bar0.reg32(0).on_read
    def value(self) -> int:
        return 0x5A5A5A5A


vfu.serve(Bench(), sys.argv[1].removeprefix("--socket-path="))
