# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Notes what goes by, and writes it where that is not in the way.

note() is called before a message is sent on, so that the order of notes is that of cause and effect; it only
appends to a list. The writing is done afterwards, by a thread of its own or by whoever has noted many.
"""

from __future__ import annotations

import collections
import os
import threading
import time

from . import pcapng
from .pcapng import Record

BATCH = 64  # notes that are written at once
IDLE_S = 0.02  # how late the last ones are
BACKLOG_MAX = 256 << 20  # bytes that wait for a slow reader; what comes then is lost, and counted


class Recorder:
    """Writes pcapng to fd, which may be a file or a pipe. The first snaplen bytes of a message are kept."""

    def __init__(self, fd: int, snaplen: int):
        self.fd, self.snaplen = fd, snaplen
        self.lost, self.failed = 0, False
        self.notes: collections.deque[Record] = collections.deque()
        self.backlog = bytearray(pcapng.head(snaplen))
        self.lock = threading.Lock()
        self.ending = threading.Event()
        os.set_blocking(fd, False)
        self.thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.thread.start()

    def note(self, kind: int, sender: int, twin: bool, connection: int, nfds: int = 0, data: bytes = b"", length: int = 0) -> None:
        """Remembers what happens now."""
        self.notes.append(Record(kind, time.time_ns(), sender, twin, connection, nfds, data[: self.snaplen], length))

    def relieve(self) -> None:
        """Writes if there is much to write and nobody else does."""
        if len(self.notes) >= BATCH and self.lock.acquire(blocking=False):
            try:
                self._write()
            finally:
                self.lock.release()

    def close(self) -> None:
        """Writes all, however long the reader takes, and closes fd."""
        self.ending.set()
        self.thread.join()
        os.set_blocking(self.fd, True)
        with self.lock:
            while (self.notes or self.backlog) and not self.failed:
                self._write()
        os.close(self.fd)

    def _run(self) -> None:
        while not self.ending.wait(IDLE_S):
            if self.notes or self.backlog:
                with self.lock:
                    self._write()

    def _write(self) -> None:
        """All notes into the backlog, and of that as much as is taken."""
        blocks = []
        while self.notes:
            blocks.append(pcapng.packet(self.notes.popleft()))
        if self.failed or len(self.backlog) > BACKLOG_MAX:
            self.lost += len(blocks)
        else:
            self.backlog += b"".join(blocks)
        try:
            while self.backlog and not self.failed:
                del self.backlog[: os.write(self.fd, memoryview(self.backlog)[: 1 << 20].tobytes())]
        except BlockingIOError:
            pass
        except OSError:  # a full disk, a reader that has gone
            self.failed = True
            self.backlog.clear()
