# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 3: regions.   python3 3-regions/exercise.py /tmp/counter.sock"""

import collections
import os
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
    argsz, files = 32, []
    while True:
        request = struct.pack("=IIIIQQ", argsz, 0, index, 0, 0, 0)
        payload, came = ask_with_files(sock, GET_REGION_INFO, request)
        files += came
        needed, flags, _, _, size, offset = struct.unpack_from("=IIIIQQ", payload)
        if needed <= argsz:
            for old in files[:-1]:
                os.close(old)
            return Info(size, flags, offset, payload, files[-1:])
        argsz = needed


# Exercise 2: which parts of a region can be mapped: a list of (offset, size), of the payload of a GET_REGION_INFO reply.
# [] without the flag MMAP; with it those of the capability SPARSE_MMAP of version 1; if there is no such capability, the
# whole region, [(0, size)]. The list of capabilities may have others.
def mappable(payload):
    _, flags, _, cap_offset, size, _ = struct.unpack_from("=IIIIQQ", payload)
    if not flags & MMAP:
        return []
    at = cap_offset if flags & CAPS else 0
    while at:
        id, version, following = struct.unpack_from("=HHI", payload, at)
        if (id, version) == (SPARSE_MMAP, 1):
            (count,) = struct.unpack_from("=I", payload, at + 8)
            return [struct.unpack_from("=QQ", payload, at + 16 + 16 * i) for i in range(count)]
        at = following
    return [(0, size)]


# Exercise 3: bytes of a region; most is how many may be asked for in one message.
def read_region(sock, index, offset, count, most):
    data = b""
    while len(data) < count:
        part = min(most, count - len(data))
        data += ask(sock, REGION_READ, struct.pack("=QII", offset + len(data), index, part))[16:]
    return data


# Exercise 4: writes some, in one message. A posted write is one whose reply is not wanted, and not waited for.
def write_region(sock, index, offset, data, posted=False):
    payload = struct.pack("=QII", offset, index, len(data)) + data
    if posted:
        send_message(sock, 0, REGION_WRITE, payload, flags=NO_REPLY)
    else:
        ask(sock, REGION_WRITE, payload)


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
