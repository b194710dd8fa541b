# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What lesson 1 ends with, for the lessons behind it: messages on a socket, with nothing but Python's own modules."""

import collections
import errno
import itertools
import os
import socket
import struct

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO = 1, 2, 3, 4, 5
GET_IRQ_INFO, SET_IRQS, REGION_READ, REGION_WRITE, DMA_READ, DMA_WRITE, RESET = 7, 8, 9, 10, 11, 12, 13
REPLY, NO_REPLY, ERROR = 0x01, 0x10, 0x20  # bits of a header's flags

HEADER = struct.Struct("=HHIII")
Header = collections.namedtuple("Header", "id command size flags error")
ids = itertools.count(1)


def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return sock


def send_message(sock, id, command, payload=b"", flags=0, error=0, fds=()):
    """In one piece; descriptors go with its first byte."""
    head = HEADER.pack(id, command, HEADER.size + len(payload), flags, error)
    socket.send_fds(sock, [head + payload], list(fds))


def recv_exactly(sock, count, files=None):
    """So many bytes; descriptors that come with them are added to files."""
    data = b""
    while len(data) < count:
        if files is None:
            more = sock.recv(count - len(data))
        else:
            more, fds, _, _ = socket.recv_fds(sock, count - len(data), 16)
            files += fds
        if not more:
            raise ConnectionError(f"the connection ended; {count - len(data)} bytes are missing")
        data += more
    return data


def recv_message(sock):
    """(header, payload, descriptors)"""
    fds = []
    header = Header(*HEADER.unpack(recv_exactly(sock, HEADER.size, fds)))
    return header, recv_exactly(sock, header.size - HEADER.size), fds


def ask_with_files(sock, command, payload=b"", fds=()):
    """Sends a command and waits for its reply: its payload, and the descriptors that came along. OSError if it is an error."""
    id = next(ids) & 0xFFFF
    send_message(sock, id, command, payload, fds=fds)
    header, answer, files = recv_message(sock)
    if header.flags & ERROR:
        raise OSError(header.error or errno.EIO, os.strerror(header.error or errno.EIO))
    if (header.id, header.command) != (id, command):
        raise ConnectionError(f"{header} is no reply to command {command} with the id {id}")
    return answer, files


def ask(sock, command, payload=b"", fds=()):
    """The payload alone."""
    return ask_with_files(sock, command, payload, fds)[0]


def greet(sock):
    """VERSION 0.0 without a proposal, which is enough for most."""
    return ask(sock, VERSION, struct.pack("=HH", 0, 0))
