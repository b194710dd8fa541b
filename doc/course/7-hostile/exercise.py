# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 7: hostile peers. Exercise 4 is in exercise.c.   python3 7-hostile/exercise.py /tmp/counter.sock"""

import errno  # noqa: F401
import os
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from wire import ERROR, HEADER, REGION_READ, REPLY, Header, connect, greet, recv_exactly, send_message  # noqa: E402, F401


# Exercise 1: looks at a header before the payload is read. most is how long a payload can be in this session.
# ConnectionError if no payload of this size can be meant, or if it is neither a command nor a reply. Unknown bits of flags are
# no fault: bits 0 to 3 alone say what it is.
def check_header(header, most):
    raise NotImplementedError("exercise 1")  # <- your code


def recv_checked(sock, most):
    """(header, payload, descriptors), as recv_message() of wire.py; check_header() is yours."""
    files = []
    try:
        header = Header(*HEADER.unpack(recv_exactly(sock, HEADER.size, files)))
        check_header(header, most)
        return header, recv_exactly(sock, header.size - HEADER.size), files
    except ConnectionError:
        close(files)
        raise


def close(files):
    for file in files:
        os.close(file)


# Exercise 2: reads count bytes of a region (REGION_READ), from a server that may answer anything. Returns the bytes; OSError if
# the answer is an error, ConnectionError if it is no answer to this question. The server sends no commands here. Descriptors
# that it sends are closed in any case: close(). An error whose errno is 0 is EIO. It may come with a payload, which means
# nothing. most is what the right reply has, 16 + count: no other payload, be it an error's, may be longer.
def read_register(sock, id, offset, region, count):
    raise NotImplementedError("exercise 2")  # <- your code


# Exercise 3: mappable() of lesson 3, for a payload that is not to be believed. A list of (offset, size), as there: [] without the
# flag MMAP (4); with it the areas of the capability SPARSE_MMAP of version 1; if there is no such capability, or the flag CAPS
# (8) is off, the whole region, [(0, size)]. ValueError if the payload has less than 32 bytes; if a capability, its head or its
# areas, does not lie in the payload behind these 32, a cap_offset of 0 with the flag CAPS included; if next lies before the end
# of the head that it is in; if areas reach into the next capability; if an area does not lie in the region. The list is walked
# to its end, also behind a SPARSE_MMAP.
def mappable(payload):
    raise NotImplementedError("exercise 3")  # <- your code


def main(path):
    with connect(path) as sock:
        greet(sock)
        print("vendor and device:", read_register(sock, 7, 0, 7, 4).hex(" "))


if __name__ == "__main__":
    main(sys.argv[1])
