# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Memory of the client's that the device may reach."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

import libvfu as c

from ..dma import DmaRange, dma_range
from ..memory import Mapping, memfd
from ..shown import shown

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Buffer(Mapping):
    """Memory for DMA, of dev.dma.alloc(): an mmap, so its slices are bytes, and memoryview() of it is its memory.

    iova: its first address as the device sees it. shared: the device has its file, and may map it; else it reaches
    the memory by messages, which the Client serves. It stays mapped for the device until dev.dma.unmap(buffer) or the
    end of the connection, and usable here after that.
    """

    iova: int = None  # type: ignore[assignment]  # dma.map() says it
    shared: bool = False

    @shown
    def __repr__(self) -> str:
        where = f"at iova {self.iova:#x}" if self.iova is not None else "not mapped"
        return f"{where}: {self._state()}, {'shared' if self.shared else 'by messages'}"


class ClientDma:
    """dev.dma: the memory that the device may reach. Any thread.

    What is there already, or overlaps with it, is refused with EEXIST (E8); more ranges than the device takes with
    ENOSPC (E9). At first use the Client turns bus mastering on, unless it has bus_master=False (E63).

    The device's messages are served while anything waits: any call of the Client, and its thread in the background. What is
    not mapped they find to be EFAULT, what its range does not allow EACCES; then nothing of the transfer was done.

    shared: whether the device gets the files behind memory, as the Client was told.
    """

    shared: bool = True

    _FIRST = 0x1000_0000

    def __init__(self, handle: c.vfu_client) -> None:
        self._h = handle
        # iova: (size, hold, buffer); calls under way in other threads keep the handle
        self._maps: dict[int, tuple[int, object, object]] = {}
        handle.maps = self._maps

    @shown
    def __repr__(self) -> str:
        maps = list(self._maps.items())
        return f"{len(maps)} ranges, {sum(entry[0] for _, entry in maps):#x} bytes"

    def alloc(
        self,
        size: int,
        iova: int | None = None,
        shared: bool | None = None,
        read: bool = True,
        write: bool = True,
        flags: int = 0,
    ) -> Buffer:
        """New zeroed memory, mapped for the device. shared=False: the device reaches it by messages only; by default the
        Client's shared holds.

        size: in bytes, rounded up to whole pages. iova: its address, by default the lowest free one from 0x1000_0000.
        read and write: what the device may do. flags: more of protocol.DmaMapFlags, whose rules are checked first.
        vfu.Error: the device refuses; then nothing is mapped.
        """
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        fd = -1
        try:
            if self.shared if shared is None else shared and self.shared:
                fd = memfd("vfu-dma", size)
            buffer = Buffer(fd, size)
            self.map(buffer, self._free(size) if iova is None else iova, fd=fd, read=read, write=write, flags=flags)
        finally:
            if fd >= 0:
                os.close(fd)
        return buffer

    def map(
        self,
        buffer: ReadableBuffer,
        iova: int,
        fd: int = -1,
        fd_offset: int = 0,
        read: bool = True,
        write: bool = True,
        flags: int = 0,
    ) -> None:
        """Maps any buffer, which stays in place until it is unmapped: bytearray, mmap, an array of numpy...

        iova and the buffer's size are multiples of the page size that was agreed (limits["pgsize"]). fd: the file behind
        it, from fd_offset on, which the device then maps too; it stays yours. All else as in alloc().
        BufferError: the device is to write to what cannot be written, as bytes.
        """
        flags |= (c.VFU_DMA_READ if read else 0) | (c.VFU_DMA_WRITE if write else 0)
        hold = c.hold_buffer(buffer)
        entry = (memoryview(buffer).nbytes, hold, buffer)
        c.client_map_buffer(self._h, iova, flags, hold, fd, fd_offset, self._maps, entry)
        if isinstance(buffer, Buffer):
            buffer.iova, buffer.shared = iova, fd >= 0 and self.shared

    def unmap(self, what: ReadableBuffer | int) -> None:
        """Takes memory away from the device: a buffer that was mapped, or the iova of one. ValueError: it is not.

        Returns when the device has let go of it. vfu.Error: it refuses, and the memory stays mapped.
        """
        found = (at for at, entry in self._maps.items() if at == what or entry[2] is what)
        if (iova := next(found, None)) is None:
            raise ValueError("not mapped")
        c.vfu_client_dma_unmap(self._h, iova, self._maps[iova][0])
        del self._maps[iova]

    def unmap_all(self) -> None:
        """Takes all memory away from the device. vfu.Error: it refuses some, which stay mapped."""
        try:
            c.vfu_client_dma_unmap_all(self._h)
        finally:
            self._forget_gone()

    @property
    def ranges(self) -> list[DmaRange]:
        """What the device may reach, in ascending order; mapped: it has the file."""
        return [dma_range(*item) for item in c.client_dma_ranges(self._h)]

    def _forget_gone(self) -> None:
        """Lets go of the memory of ranges that the library has no more. Others may map and unmap meanwhile."""
        known = list(self._maps.items())
        there = {iova for iova, *_ in c.client_dma_ranges(self._h)}
        for iova, entry in known:
            if iova not in there and self._maps.get(iova) is entry:
                del self._maps[iova]

    def _free(self, size: int) -> int:
        at = self._FIRST
        for iova in sorted(self._maps):
            if iova >= at + size:
                break
            at = max(at, iova + self._maps[iova][0])
        return at
