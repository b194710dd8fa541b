# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 2: VERSION.   python3 2-version/exercise.py /tmp/counter.sock"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from wire import VERSION, ask, connect  # noqa: E402

# What holds of a key that is not said.
DEFAULTS = {"max_msg_fds": 1, "max_data_xfer_size": 1048576, "max_dma_maps": 65535, "write_multiple": False}


# Exercise 1: the payload of a VERSION: major, minor, and as JSON an object whose key "capabilities" has these.
def build_version(major, minor, capabilities):
    raise NotImplementedError("exercise 1")  # <- your code


# Exercise 2: and back, for both ends: (major, minor, capabilities). ValueError if it is malformed: shorter than
# its fields, no NUL at the end or another one before it, no JSON, or no objects where there have to be some.
# The text may be left out altogether, and so may the key "capabilities".
def parse_version(payload):
    raise NotImplementedError("exercise 2")  # <- your code


# Exercise 3: what holds of a session, for one of its ends: mine and theirs are the capabilities that the ends have said.
# Returns a dict of "fds" and "bytes", the most that I may send in a message, "dma_maps" and "write_multiple".
def limits(mine, theirs):
    raise NotImplementedError("exercise 3")  # <- your code


# Exercise 4: a server's answer to the payload of a request; own_minor is the highest minor version that it knows.
# own are its capabilities: limits are always answered, a feature (write_multiple) only if the client has
# proposed it. OSError with EINVAL: the major is not 0, or the request is malformed.
def answer_version(payload, own_minor, own):
    raise NotImplementedError("exercise 4")  # <- your code


def main(path):
    with connect(path) as sock:
        mine = {"max_msg_fds": 16, "write_multiple": True}
        major, minor, theirs = parse_version(ask(sock, VERSION, build_version(0, 0, mine)))
        print(f"version {major}.{minor}: {limits(mine, theirs)}")


if __name__ == "__main__":
    main(sys.argv[1])
