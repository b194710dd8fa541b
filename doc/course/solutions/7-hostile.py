# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 7: hostile peers. Exercise 4 is in exercise.c.   python3 7-hostile/exercise.py /tmp/counter.sock"""

import errno
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
    if not HEADER.size <= header.size <= HEADER.size + most:
        raise ConnectionError(f"no message has {header.size} bytes")
    if header.flags & 0xF > REPLY:
        raise ConnectionError(f"neither command nor reply: flags {header.flags:#x}")


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
    send_message(sock, id, REGION_READ, struct.pack("=QII", offset, region, count))
    header, payload, files = recv_checked(sock, 16 + count)
    close(files)
    if not header.flags & REPLY or (header.id, header.command) != (id, REGION_READ):
        raise ConnectionError(f"{header} is no reply to REGION_READ with the id {id}")
    if header.flags & ERROR:
        raise OSError(header.error or errno.EIO, os.strerror(header.error or errno.EIO))
    if len(payload) != 16 + count or struct.unpack_from("=QII", payload) != (offset, region, count):
        raise ConnectionError("the reply is to another access")
    return payload[16:]


# Exercise 3: mappable() of lesson 3, for a payload that is not to be believed. A list of (offset, size), as there: [] without the
# flag MMAP (4); with it the areas of the capability SPARSE_MMAP of version 1; if there is no such capability, or the flag CAPS
# (8) is off, the whole region, [(0, size)]. ValueError if the payload has less than 32 bytes; if a capability, its head or its
# areas, does not lie in the payload behind these 32, a cap_offset of 0 with the flag CAPS included; if next lies before the end
# of the head that it is in; if areas reach into the next capability; if an area does not lie in the region. The list is walked
# to its end, also behind a SPARSE_MMAP.
def mappable(payload):
    if len(payload) < 32:
        raise ValueError("shorter than its fields")
    _, flags, _, at, size, _ = struct.unpack_from("=IIIIQQ", payload)
    if not flags & 0x04:
        return []
    if not flags & 0x08:
        return [(0, size)]
    if at < 32:
        raise ValueError("the first capability lies in the fields")
    found = [(0, size)]
    while True:
        if at + 8 > len(payload):
            raise ValueError("a capability lies outside")
        id, version, following = struct.unpack_from("=HHI", payload, at)
        if following and following < at + 8:
            raise ValueError("next does not lead onwards")
        if (id, version) == (1, 1):
            found = areas(payload, at, following or len(payload), size)
        if not following:
            return found
        at = following


def areas(payload, at, end, size):
    """Of a SPARSE_MMAP that has its place from at to end."""
    if at + 16 > len(payload):
        raise ValueError("the number of areas lies outside")
    (count,) = struct.unpack_from("=I", payload, at + 8)
    if at + 16 + 16 * count > min(end, len(payload)):
        raise ValueError("areas lie outside")
    found = [struct.unpack_from("=QQ", payload, at + 16 + 16 * i) for i in range(count)]
    if any(offset + length > size for offset, length in found):
        raise ValueError("an area lies outside of the region")
    return found


def main(path):
    with connect(path) as sock:
        greet(sock)
        print("vendor and device:", read_register(sock, 7, 0, 7, 4).hex(" "))


if __name__ == "__main__":
    main(sys.argv[1])
