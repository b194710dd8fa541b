# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 2: VERSION.   python3 2-version/exercise.py /tmp/counter.sock"""

import errno
import json
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from wire import VERSION, ask, connect  # noqa: E402

# What holds of a key that is not said.
DEFAULTS = {"max_msg_fds": 1, "max_data_xfer_size": 1048576, "max_dma_maps": 65535, "write_multiple": False}


# Exercise 1: the payload of a VERSION: major, minor, and as JSON an object whose key "capabilities" has these.
def build_version(major, minor, capabilities):
    return struct.pack("=HH", major, minor) + json.dumps({"capabilities": capabilities}).encode() + b"\0"


# Exercise 2: and back, for both ends: (major, minor, capabilities). ValueError if it is malformed: shorter than
# its fields, no NUL at the end or another one before it, no JSON, or no objects where there have to be some.
# The text may be left out altogether, and so may the key "capabilities".
def parse_version(payload):
    if len(payload) < 4:
        raise ValueError("shorter than its fields")
    major, minor = struct.unpack_from("=HH", payload)
    text = payload[4:]
    if not text:
        return major, minor, {}
    if text.find(b"\0") != len(text) - 1:
        raise ValueError("the text does not end with its only NUL")
    top = json.loads(text[:-1])
    capabilities = top.get("capabilities", {}) if isinstance(top, dict) else None
    if not isinstance(capabilities, dict):
        raise ValueError("no object")
    return major, minor, capabilities


# Exercise 3: what holds of a session, for one of its ends: mine and theirs are the capabilities that the ends have said.
# Returns a dict of "fds" and "bytes", the most that I may send in a message, "dma_maps" and "write_multiple".
def limits(mine, theirs):
    mine, theirs = DEFAULTS | mine, DEFAULTS | theirs
    return {
        "fds": theirs["max_msg_fds"],  # most descriptors that I may send in a message
        "bytes": theirs["max_data_xfer_size"],  # most bytes of data that I may send, or ask for, in a message
        "dma_maps": min(mine["max_dma_maps"], theirs["max_dma_maps"]),
        "write_multiple": mine["write_multiple"] and theirs["write_multiple"],
    }


# Exercise 4: a server's answer to the payload of a request; own_minor is the highest minor version that it knows.
# own are its capabilities: limits are always answered, a feature (write_multiple) only if the client has
# proposed it. OSError with EINVAL: the major is not 0, or the request is malformed.
def answer_version(payload, own_minor, own):
    try:
        major, minor, proposed = parse_version(payload)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error)) from None
    if major != 0:
        raise OSError(errno.EINVAL, "no common version")
    answer = {key: value for key, value in own.items() if key != "write_multiple"}
    if own.get("write_multiple") and proposed.get("write_multiple"):
        answer["write_multiple"] = True
    return build_version(0, min(minor, own_minor), answer)


def main(path):
    with connect(path) as sock:
        mine = {"max_msg_fds": 16, "write_multiple": True}
        major, minor, theirs = parse_version(ask(sock, VERSION, build_version(0, 0, mine)))
        print(f"version {major}.{minor}: {limits(mine, theirs)}")


if __name__ == "__main__":
    main(sys.argv[1])
