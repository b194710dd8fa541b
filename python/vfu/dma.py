# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A device's access to the client's memory."""

import asyncio
import contextlib
import errno
import threading
from typing import NamedTuple

import libvfu as c

from .errors import make_error
from .pci import COMMAND_BUS_MASTER


class DmaRange(NamedTuple):
    """A range of the client's memory. mapped: the device reaches it directly, else by messages."""

    iova: int
    size: int
    readable: bool
    writable: bool
    mapped: bool


def dma_range(iova, size, flags, mapped):
    return DmaRange(iova, size, bool(flags & c.VFU_DMA_READ), bool(flags & c.VFU_DMA_WRITE), bool(mapped))


def _explain(error, what, iova, handle):
    """Says of a failed copy where it was, and why if that is known."""
    why = {
        errno.EFAULT: "not all of it is mapped, or its file was cut",
        errno.EACCES: "the client does not allow it",
    }.get(error.errno)
    if error.errno == errno.EIO and not c.vfu_device_config_read(handle, 4, 1)[0] & COMMAND_BUS_MASTER:
        why = "the client has bus mastering off"
    error.strerror = f"DMA {what} at {iova:#x}: {why or error.strerror}"


async def _finish(start, handle, iova, data, kick):
    """Awaits a copy that start begins.

    What is done at once, well or not, lets the event loop run too: else a coroutine that polls
    memory would keep the client from being served.
    """
    loop = asyncio.get_running_loop()
    thread = threading.get_ident()
    future = loop.create_future()

    def settle(status, result):
        if future.done():
            return
        if status == 0:
            future.set_result(result)
        else:
            future.set_exception(make_error(-status))
            future.exception()  # seen, should nobody wait any more

    def done(status, result):
        if threading.get_ident() == thread:
            settle(status, result)
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and who waited with it
                loop.call_soon_threadsafe(settle, status, result)

    try:
        result = start(handle, iova, data, done)
    except Exception:
        await asyncio.sleep(0)
        raise
    if result is not None:
        await asyncio.sleep(0)
        return result
    if kick:
        kick()
    return await future


class DeviceDma:
    """self.dma of a device. Copies of any length, over mapped and message ranges alike."""

    def __init__(self, handle):
        self._handle = handle
        self._kick = None  # makes the server's event loop look for what it has to send

    async def read(self, iova, size):
        """Reads size bytes, or fills a buffer that is given instead."""
        try:
            return await _finish(c.dma_read, self._handle, iova, size, self._kick)
        except OSError as error:
            _explain(error, "read", iova, self._handle)
            raise

    async def write(self, iova, data):
        """Writes data. It must not change until then."""
        try:
            await _finish(c.dma_write, self._handle, iova, data, self._kick)
        except OSError as error:
            _explain(error, "write", iova, self._handle)
            raise

    def read_sync(self, iova, size):
        """The same, waiting; in a handler other requests of the client are served meanwhile."""
        try:
            return c.vfu_dma_read(self._handle, iova, size)
        except OSError as error:
            _explain(error, "read", iova, self._handle)
            raise

    def write_sync(self, iova, data):
        """The same, waiting; in a handler other requests of the client are served meanwhile."""
        try:
            c.vfu_dma_write(self._handle, iova, data)
        except OSError as error:
            _explain(error, "write", iova, self._handle)
            raise

    def map(self, iova, size, write=True):
        """Pins a mapped range and returns it as a buffer; release() it, or the client's unmap waits."""
        return c.dma_pin(self._handle, iova, size, c.VFU_DMA_READ | (c.VFU_DMA_WRITE if write else 0))

    @property
    def ranges(self):
        """All ranges, in ascending order."""
        return [dma_range(*item) for item in c.dma_ranges(self._handle)]
