# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 3: regions.   python3 3-regions/exercise.py /tmp/counter.sock"""

import collections
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from wire import GET_REGION_INFO, NO_REPLY, REGION_READ, REGION_WRITE, ask, ask_with_files, connect, greet, send_message  # noqa: E402, F401

READ, WRITE, MMAP, CAPS = 0x01, 0x02, 0x04, 0x08  # flags of a region
SPARSE_MMAP = 1  # a capability of a region
CONFIG = 7

Info = collections.namedtuple("Info", "size flags offset payload files")


# Exercise 1: asks for a region's Info. argsz is 32 at first; if the reply's argsz is more, there is more to be had, and it
# is asked for again, with that. payload is that of the last reply, files are the descriptors that came.
def region_info(sock, index):
    raise NotImplementedError("exercise 1")  # <- your code


# Exercise 2: which parts of a region can be mapped: a list of (offset, size), of the payload of a GET_REGION_INFO reply.
# [] without the flag MMAP; with it those of the capability SPARSE_MMAP of version 1; if there is no such capability, the
# whole region, [(0, size)]. The list of capabilities may have others.
def mappable(payload):
    raise NotImplementedError("exercise 2")  # <- your code


# Exercise 3: bytes of a region; most is how many may be asked for in one message.
def read_region(sock, index, offset, count, most):
    raise NotImplementedError("exercise 3")  # <- your code


# Exercise 4: writes some, in one message. A posted write is one whose reply is not wanted, and not waited for.
def write_region(sock, index, offset, data, posted=False):
    raise NotImplementedError("exercise 4")  # <- your code


def main(path):
    with connect(path) as sock:
        greet(sock)
        for index in range(9):
            info = region_info(sock, index)
            if info.size:
                print(f"region {index}: {info.size:#x} bytes, flags {info.flags:#x}, to map: {mappable(info.payload)}")
        vendor, device = struct.unpack("<HH", read_region(sock, CONFIG, 0, 4, 4096))
        print(f"vendor {vendor:#x}, device {device:#x}")
        write_region(sock, 0, 0, struct.pack("<I", 7), posted=True)
        print("BAR0 begins with", read_region(sock, 0, 0, 8, 4096).hex(" "))


if __name__ == "__main__":
    main(sys.argv[1])
