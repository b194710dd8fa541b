# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""One direction of a socket: messages are read whole or in large pieces, and go on with their descriptors.

A header is read by itself, then no more than its message has. Read together, two messages would mix their
descriptors: the kernel does not tell with which byte they came.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
import struct
from collections.abc import Callable

PIECE = 256 << 10  # bytes of a message that are in memory at once
HEADER_SIZE = 16
FDS_MAX = 253  # what the kernel sends in one message
_FDS_ROOM = socket.CMSG_SPACE(4 * FDS_MAX)
_SIZE = struct.Struct("=I")

# (head and first piece, descriptors, length) -> descriptors that go on instead
Look = Callable[[bytes, list[int], int], list[int]]


class Pump:
    """Moves messages from source to target until one of them is closed.

    look is called with the first piece of each message before it goes on, after once all of it has.
    """

    def __init__(self, source: socket.socket, target: socket.socket, look: Look, after: Callable[[], None]):
        self.source, self.target, self.look, self.after = source, target, look, after

    def run(self) -> bool:
        """Until the end; True if it was source that ended it."""
        try:
            while self._message():
                self.after()
            return True
        except BrokenPipeError:  # target has gone: source must not wait for it
            _shutdown(self.source, socket.SHUT_RD)
            return False
        except ConnectionResetError:
            return True

    def _message(self) -> bool:
        """Moves one; False at the end."""
        head, fds = self._read(HEADER_SIZE)
        try:
            if not head:
                return False
            size = _SIZE.unpack_from(head, 4)[0] if len(head) == HEADER_SIZE else 0
            if size < HEADER_SIZE:  # no message: where the next one begins nobody knows
                fds = self.look(head, fds, len(head))
                self._send(head, fds)
                return len(head) == HEADER_SIZE and self._rest(None)
            body, more = self._read(min(size, PIECE) - HEADER_SIZE) if size > HEADER_SIZE else (b"", [])
            data, fds = head + body, fds + more
            fds = self.look(data, fds, size)
            self._send(data, fds)
        finally:
            for fd in fds:
                os.close(fd)
        return len(data) == min(size, PIECE) and self._rest(size - len(data))

    def _rest(self, left: int | None) -> bool:
        """Moves what is left of a message, or all that comes if that is None."""
        while left is None or left > 0:
            data, fds = self._read(min(PIECE, left or PIECE), left is not None)
            try:
                if not data:
                    return False
                self._send(data, fds)
            finally:
                for fd in fds:
                    os.close(fd)
            left = None if left is None else left - len(data)
        return True

    def _read(self, want: int, whole: bool = True) -> tuple[bytes, list[int]]:
        """So many bytes, fewer at the end (or if not whole), and the descriptors that came with them."""
        data, ancillary, _, _ = self.source.recvmsg(want, _FDS_ROOM, socket.MSG_CMSG_CLOEXEC)
        fds = _descriptors(ancillary) if ancillary else []
        while whole and data and len(data) < want:
            more, ancillary, _, _ = self.source.recvmsg(want - len(data), _FDS_ROOM, socket.MSG_CMSG_CLOEXEC)
            fds += _descriptors(ancillary)
            if not more:
                break
            data += more
        return data, fds

    def _send(self, data: bytes, fds: list[int]) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            sent = self.target.sendmsg((data,), ancillary)
            while sent < len(data):
                sent += self.target.send(memoryview(data)[sent:])
        except ConnectionResetError as error:
            raise BrokenPipeError(error.errno, error.strerror) from None


def is_closed(sock: socket.socket) -> bool:
    """Has the other side closed both ways, as close() does, or does it only send no more?"""
    poll = select.poll()
    poll.register(sock, select.POLLHUP)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    out = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            out.frombytes(data[: len(data) - len(data) % out.itemsize])
    return list(out)


def _shutdown(sock: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):  # the other side was faster
        sock.shutdown(how)
