# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 1: bytes on a socket by hand.   python3 1-bytes/exercise.py /tmp/counter.sock"""

import collections
import errno  # noqa: F401
import socket
import struct
import sys

VERSION, GET_INFO = 1, 4
REPLY, ERROR = 0x01, 0x20  # bits of flags

Header = collections.namedtuple("Header", "id command size flags error")


# Exercise 1: the 16 bytes in front of each message.
def pack_header(id, command, size, flags=0, error=0):
    raise NotImplementedError("exercise 1")  # <- your code


# Exercise 2: and back; data has 16 bytes. Returns a Header.
def unpack_header(data):
    raise NotImplementedError("exercise 2")  # <- your code


# Exercise 3: one message of the socket, and not a byte of the next: (header, payload).
# A socket is a stream: recv() returns what is there, be it less than what was asked for, and b"" at the end of the
# stream, which is a ConnectionError here: in the middle of a message as well as before it.
def recv_message(sock):
    raise NotImplementedError("exercise 3")  # <- your code


# Exercise 4: sends a command with this payload, waits for the reply, and returns its payload.
# If the reply has the Error bit, raises OSError with its error as errno, or EIO if that is 0.
def ask(sock, id, command, payload=b""):
    raise NotImplementedError("exercise 4")  # <- your code


def main(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        ask(sock, 1, VERSION, struct.pack("=HH", 0, 0))
        argsz, flags, regions, irqs = struct.unpack("=IIII", ask(sock, 2, GET_INFO, struct.pack("=IIII", 16, 0, 0, 0)))
        print(f"flags {flags:#x}, {regions} regions, {irqs} interrupts")


if __name__ == "__main__":
    main(sys.argv[1])
