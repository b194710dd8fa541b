# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Memory that the other end has too, and what becomes of it if that end cuts the file behind it."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

import libvfu as c

from .shown import shown

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


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


class Memory:
    """Memory of a region of a device, self.bar0, for the device itself: no handlers run.

    self.bar0[3] is a number, self.bar0[0:4] bytes; both can be set, slices to as many bytes. Offsets are of the region,
    or of the part that has a name; len() in bytes. buffer: the memory of all of the region. The client sees what is
    written at once, in what it has mapped too. Any thread.
    """

    def __init__(self, buffer: c.Memory, offset: int = 0, size: int | None = None) -> None:
        self.buffer, self._span = buffer, slice(offset, None if size is None else offset + size)

    @shown
    def __repr__(self) -> str:
        return f"of {len(self):#x} bytes"

    def __len__(self) -> int:
        with self.view() as view:
            return len(view)

    @overload
    def __getitem__(self, key: int) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> bytes: ...
    def __getitem__(self, key: int | slice) -> int | bytes:
        with self.view() as view:
            part = view[key]
            return bytes(part) if isinstance(part, memoryview) else part

    @overload
    def __setitem__(self, key: int, value: int) -> None: ...
    @overload
    def __setitem__(self, key: slice, value: ReadableBuffer) -> None: ...
    def __setitem__(self, key: Any, value: Any) -> None:
        with self.view() as view:
            view[key] = value

    def view(self) -> memoryview:
        """A writable memoryview of it, for numpy and the like; release it, as the region cannot be replaced meanwhile."""
        with self.buffer.view() as view:
            return view[self._span]


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
