# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 6: both ways at once.   python3 6-both-ways/exercise.py /tmp/counter.sock"""

import errno
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
    send_message(sock, id, command, payload)
    while True:
        header, data, _ = recv_message(sock)
        if not header.flags & REPLY:
            try:
                send_message(sock, header.id, header.command, serve(header, data), flags=REPLY)
            except OSError as error:
                send_message(sock, header.id, header.command, flags=REPLY | ERROR, error=error.errno)
        elif (header.id, header.command) == (id, command):
            if header.flags & ERROR:
                raise OSError(header.error or errno.EIO, os.strerror(header.error or errno.EIO))
            return data


# Exercise 2: sends all commands, a list of (command, payload), and only then reads the replies, which may come
# in any order. Returns a list of the payloads, in the order of the commands; None for one that was an error.
def pipeline(sock, commands):
    for id, (command, payload) in enumerate(commands):
        send_message(sock, id, command, payload)
    answers = {}
    while len(answers) < len(commands):
        header, data, _ = recv_message(sock)
        answers[header.id] = None if header.flags & ERROR else data
    return [answers[id] for id in range(len(commands))]


# Exercise 3: the ids of a client that does not wait for ever. An id has 16 bits.
class Ids:
    def __init__(self):
        self.last, self.states = 0, {}

    # An id for a new command: none that the reply to another command may still come with.
    def take(self):
        for _ in range(0x10000):
            self.last = (self.last + 1) & 0xFFFF
            if self.last not in self.states:
                self.states[self.last] = "wanted"
                return self.last
        raise OSError("all ids are taken")

    # The client has waited long enough for the reply with this id.
    def give_up(self, id):
        self.states[id] = "late"

    # A reply with this id has come: "wanted", "late" if it was given up, "stray" if none was to come.
    def reply(self, id):
        return self.states.pop(id, "stray")


# Exercise 4: VERSION 0.0 that asks for a twin socket. Returns the socket, or None if the server does not grant it;
# ConnectionError if it does and no such descriptor came.
def open_twin(sock):
    text = json.dumps({"capabilities": {"max_msg_fds": 1, "twin_socket": {"supported": True}}})
    payload, files = ask_with_files(sock, VERSION, struct.pack("=HH", 0, 0) + text.encode() + b"\0")
    said = json.loads(payload[4:-1] or b"{}").get("capabilities", {}).get("twin_socket", {})
    index = said.get("fd_index", -1)
    twin = files.pop(index) if said.get("supported") and 0 <= index < len(files) else None
    for file in files:  # nobody asked for these
        os.close(file)
    if said.get("supported") and twin is None:
        raise ConnectionError("a twin socket is granted, and did not come")
    return twin and socket.socket(fileno=twin)


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
