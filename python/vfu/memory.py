# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Memory that the other end has too, and what becomes of it if that end cuts the file behind it."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable
from typing import Any

import libvfu as c

from .shown import shown


def memfd(name: str, size: int) -> int:
    """A file in memory that stays as long as it is: the other end can neither cut nor grow it."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(fd)
        raise
    return fd


class Mapping(mmap.mmap):
    """An mmap of a file that the other end has too.

    All that an mmap can do it does: slices are bytes, memoryview() of it is the memory itself. It stays usable when the
    connection has ended.

    Should the other end cut the file, memory that is gone reads as zeros instead of ending the process with SIGBUS, what
    is written there is lost, and lost is true. (A handler of SIGBUS set after the first Server or Client, as by
    faulthandler.enable(), would come first: enable it before.)
    """

    _watch: c.Watch | None = None
    _was_lost = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._watch = c.watch_buffer(self)

    @shown
    def __repr__(self) -> str:
        return self._state()

    def _state(self) -> str:
        return "closed" if self.closed else f"{len(self):#x} bytes{', lost' if self.lost else ''}"

    @property
    def lost(self) -> bool:
        """Part of the memory was gone when it was touched; all of it has read as zeros since."""
        return self._was_lost or (self._watch is not None and c.watch_is_lost(self._watch))

    def close(self) -> None:
        """Unmaps the memory. BufferError: views of it are in use."""
        self._change(super().close)

    def resize(self, size: int) -> None:
        """As that of an mmap, where the system can."""
        self._change(super().resize, size)

    def _change(self, change: Callable[..., None], *args: int) -> None:
        # Not watched any more before the memory goes: others may get its addresses.
        self._was_lost, self._watch = self.lost, None
        try:
            change(*args)
        finally:
            if not self.closed:
                self._watch = c.watch_buffer(self)
