# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 6: both ways at once.   python3 6-both-ways/exercise.py /tmp/counter.sock"""

import errno  # noqa: F401
import json
import os
import socket
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from wire import (  # noqa: E402, F401
    DMA_MAP, DMA_UNMAP, DMA_WRITE, ERROR, REGION_READ, REGION_WRITE, REPLY, VERSION, ask, ask_with_files, connect, greet,
    recv_message, send_message,
)


# Exercise 1: sends a command, and returns the payload of its reply (OSError if it is an error). The server's commands
# that come before it are served: serve(header, payload) returns the payload of the answer, or raises OSError, whose errno is
# the error of the answer then. A reply to anything else, be it the id or the command, is passed over.
def call(sock, id, command, payload, serve):
    raise NotImplementedError("exercise 1")  # <- your code


# Exercise 2: sends all commands, a list of (command, payload), and only then reads the replies, which may come
# in any order. Returns a list of the payloads, in the order of the commands; None for one that was an error.
def pipeline(sock, commands):
    raise NotImplementedError("exercise 2")  # <- your code


# Exercise 3: the ids of a client that does not wait for ever. An id has 16 bits.
class Ids:
    def __init__(self):
        raise NotImplementedError("exercise 3")  # <- your code

    # An id for a new command: none that the reply to another command may still come with.
    def take(self):
        raise NotImplementedError("exercise 3")  # <- your code

    # The client has waited long enough for the reply with this id.
    def give_up(self, id):
        raise NotImplementedError("exercise 3")  # <- your code

    # A reply with this id has come: "wanted", "late" if it was given up, "stray" if none was to come.
    def reply(self, id):
        raise NotImplementedError("exercise 3")  # <- your code


# Exercise 4: VERSION 0.0 that asks for a twin socket. Returns the socket, or None if the server does not grant it;
# ConnectionError if it does and no such descriptor came.
def open_twin(sock):
    raise NotImplementedError("exercise 4")  # <- your code


def main(path):
    memory = bytearray(4096)

    def serve(header, payload):
        address, count = struct.unpack_from("=QQ", payload)
        memory[address - 0x9000_0000 : address - 0x9000_0000 + count] = payload[16:]
        return payload[:16]

    with connect(path) as sock:
        greet(sock)
        ask(sock, REGION_WRITE, struct.pack("=QII", 4, 7, 2) + struct.pack("<H", 4))  # bus master
        ask(sock, DMA_MAP, struct.pack("=IIQQQ", 32, 3, 0, 0x9000_0000, 4096))
        call(sock, 0, REGION_WRITE, struct.pack("=QII", 4, 0, 4) + struct.pack("<I", 0x9000_0000), serve)
        call(sock, 0, DMA_UNMAP, struct.pack("=IIQQ", 24, 0, 0x9000_0000, 4096), serve)
        print("the memory, now that it is ours again:", bytes(memory[:5]))
        ids = pipeline(sock, [(REGION_READ, struct.pack("=QII", at, 7, 2)) for at in (0, 2)])
        print("vendor and device:", *[data[16:].hex() for data in ids])
    with connect(path) as sock, open_twin(sock) as twin:
        print("a twin socket:", twin.family.name)


if __name__ == "__main__":
    main(sys.argv[1])
