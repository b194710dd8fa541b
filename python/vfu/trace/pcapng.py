# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Files that Wireshark reads: pcapng, link type USER0 (147), a packet for each message.

A packet begins with this pseudo header, in network order, then come the bytes of the message as they were on the
socket, in the byte order of the machine (doc/howto/wireshark.md):

    0    1    2         3      4         5    6           8          12
    +----+----+---------+------+---------+----+-----------+----------+----------
    | 1  |kind|direction|socket|byteorder| 0  |descriptors|connection| message...
    +----+----+---------+------+---------+----+-----------+----------+----------
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

VERSION = 1
MESSAGE, OPENED, CLOSED = range(3)  # kind
USER0 = 147
PSEUDO = struct.Struct(">BBBBBBHI")
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_MAGIC = 0x1A2B3C4D
_BLOCK_MAX = 1 << 28
_HEAD = struct.Struct("=IIIIIII")
_LENGTH = struct.Struct("=I")
_ORDER = int(sys.byteorder == "big")


class Record(NamedTuple):
    """A packet: what went by, or that a socket was opened or closed by sender (0 the client, 1 the server).

    time is in nanoseconds since 1970. data may be less than the length of the message on the wire; order is
    "<" or ">".
    """

    kind: int
    time: int
    sender: int
    twin: bool
    connection: int
    nfds: int
    data: bytes
    length: int
    order: str = "<>"[_ORDER]


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    size = 12 + len(body)
    return struct.pack("=II", kind, size) + body + struct.pack("=I", size)


def head(snaplen: int) -> bytes:
    """What a file begins with."""
    end = bytes(4)
    section = struct.pack("=IHHq", _MAGIC, 1, 0, -1) + _option(4, b"vfu trace") + end
    interface = struct.pack("=HHI", USER0, 0, snaplen + PSEUDO.size)
    interface += _option(2, b"vfio-user") + _option(9, bytes([9])) + end
    return _block(_SECTION, section) + _block(_INTERFACE, interface)


def packet(r: Record) -> bytes:
    """The block of a record."""
    size = PSEUDO.size + len(r.data)
    pad = -size & 3
    total = 32 + size + pad
    return b"".join((
        _HEAD.pack(_PACKET, total, 0, r.time >> 32, r.time & 0xFFFFFFFF, size, PSEUDO.size + r.length),
        PSEUDO.pack(VERSION, r.kind, r.sender, r.twin, r.order == ">", 0, r.nfds, r.connection),
        r.data, b"\0\0\0"[:pad], _LENGTH.pack(total),
    ))


class Reader:
    """Blocks out of bytes that come piece by piece; raises ValueError for what is no such file."""

    def __init__(self) -> None:
        self.rest = b""
        self.order = ""
        self.resolution = 1000

    def feed(self, data: bytes) -> Iterator[Record]:
        self.rest += data
        at = 0
        while len(self.rest) - at >= 12:
            if self.rest[at : at + 4] == b"\n\r\r\n":
                self._section(self.rest[at + 8 : at + 12])
            elif not self.order:
                raise ValueError("this is no pcapng file")
            kind, size = struct.unpack_from(self.order + "II", self.rest, at)
            if not 12 <= size <= _BLOCK_MAX or size % 4:
                raise ValueError(f"a block of {size} bytes")
            if len(self.rest) - at < size:
                break
            yield from self._block(kind, self.rest[at + 8 : at + size - 4])
            at += size
        self.rest = self.rest[at:]

    def _section(self, magic: bytes) -> None:
        self.order = next((o for o in "<>" if magic == struct.pack(o + "I", _MAGIC)), "")
        if not self.order:
            raise ValueError("this is no pcapng file")

    def _block(self, kind: int, body: bytes) -> Iterator[Record]:
        if kind == _INTERFACE:
            self._interface(body)
        elif kind == _PACKET:
            _, high, low, size, length = struct.unpack_from(self.order + "IIIII", body)
            if size < PSEUDO.size or len(body) < 20 + size or body[20] != VERSION:
                raise ValueError("a packet that vfu trace did not write")
            _, what, sender, twin, order, _, nfds, connection = PSEUDO.unpack_from(body, 20)
            time = (high << 32 | low) * self.resolution
            yield Record(what, time, sender & 1, bool(twin), connection, nfds, body[20 + PSEUDO.size : 20 + size],
                         length - PSEUDO.size, "<>"[order & 1])

    def _interface(self, body: bytes) -> None:
        if struct.unpack_from(self.order + "H", body)[0] != USER0:
            raise ValueError("a capture of something else: its link type is not USER0")
        at, self.resolution = 8, 1000
        while at + 4 <= len(body):
            code, size = struct.unpack_from(self.order + "HH", body, at)
            if code == 9 and body[at + 4] <= 9:
                self.resolution = 10 ** (9 - body[at + 4])
            at += 4 + size + (-size & 3)


def read(file: BinaryIO) -> Iterator[Record]:
    """The records of a file."""
    reader = Reader()
    while data := file.read(1 << 20):
        yield from reader.feed(data)
