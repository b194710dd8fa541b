# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Writes what was noted where that is not in the way of what goes by."""

from __future__ import annotations

import os
import threading

import libvfu as c

from . import pcapng

IDLE_S = 0.02  # how late the last notes are
BACKLOG_MAX = 256 << 20  # bytes that wait for a slow reader; what comes then is lost, and counted
PIPE_PIECE = 1 << 20  # bytes of one write


class Recorder:
    """Writes pcapng to fd, which may be a file or a pipe. The first snaplen bytes of a message are kept."""

    def __init__(self, fd: int, snaplen: int):
        self.fd = fd
        self.lost, self.failed = 0, False
        self.notes = c.relay_notes(snaplen, BACKLOG_MAX)
        self.backlog = memoryview(pcapng.head(snaplen))
        self.ending = threading.Event()
        os.set_blocking(fd, False)
        self.thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.thread.start()

    def note(self, kind: int, sender: int, twin: bool, connection: int) -> None:
        """That a socket was opened or closed."""
        c.relay_note(self.notes, kind, sender, twin, connection)

    def close(self) -> None:
        """Writes all, however long the reader takes, and closes fd."""
        self.ending.set()
        self.thread.join()
        os.set_blocking(self.fd, True)
        while self._write():
            pass
        os.close(self.fd)

    def _run(self) -> None:
        while not self.ending.wait(IDLE_S):
            while self._write():
                pass

    def _write(self) -> bool:
        """As much as is taken; False if there is nothing more to do now."""
        if not self.backlog:
            data, self.lost = c.relay_take(self.notes)
            self.backlog = memoryview(data)
        if not self.backlog:
            return False
        try:
            self.backlog = self.backlog[os.write(self.fd, self.backlog[:PIPE_PIECE]) :] if not self.failed else memoryview(b"")
        except BlockingIOError:
            return False
        except OSError:  # a full disk, a reader that has gone
            self.failed = True
        return True
