# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 1: bytes on a socket by hand.   python3 1-bytes/exercise.py /tmp/counter.sock"""

import collections
import errno
import os
import socket
import struct
import sys

VERSION, GET_INFO = 1, 4
REPLY, ERROR = 0x01, 0x20  # bits of flags

Header = collections.namedtuple("Header", "id command size flags error")


# Exercise 1: the 16 bytes in front of each message.
def pack_header(id, command, size, flags=0, error=0):
    return struct.pack("=HHIII", id, command, size, flags, error)


# Exercise 2: and back; data has 16 bytes. Returns a Header.
def unpack_header(data):
    return Header(*struct.unpack("=HHIII", data))


# Exercise 3: one message of the socket, and not a byte of the next: (header, payload).
# A socket is a stream: recv() returns what is there, be it less than what was asked for, and b"" at the end of the
# stream, which is a ConnectionError here: in the middle of a message as well as before it.
def recv_message(sock):
    header = unpack_header(recv_exactly(sock, 16))
    return header, recv_exactly(sock, header.size - 16)


def recv_exactly(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError("the stream has ended")
        data += more
    return data


# Exercise 4: sends a command with this payload, waits for the reply, and returns its payload.
# If the reply has the Error bit, raises OSError with its error as errno, or EIO if that is 0.
def ask(sock, id, command, payload=b""):
    sock.sendall(pack_header(id, command, 16 + len(payload)) + payload)
    header, answer = recv_message(sock)
    if header.flags & ERROR:
        number = header.error or errno.EIO
        raise OSError(number, os.strerror(number))
    return answer


def main(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        ask(sock, 1, VERSION, struct.pack("=HH", 0, 0))
        argsz, flags, regions, irqs = struct.unpack("=IIII", ask(sock, 2, GET_INFO, struct.pack("=IIII", 16, 0, 0, 0)))
        print(f"flags {flags:#x}, {regions} regions, {irqs} interrupts")


if __name__ == "__main__":
    main(sys.argv[1])
