# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A device's access to the client's memory."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import errno
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import libvfu as c

from .declared import number
from .errors import explain, make_error
from .pci import COMMAND_BUS_MASTER
from .shown import shown

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

PinnedMemory = c.Memory


class DmaRange(NamedTuple):
    """A range of the client's memory, as the client has announced it (DMA_MAP).

    iova and size: its first address and its length, in bytes. readable, writable: what the device may do.
    mapped: the device reaches it directly, else by messages.
    flags: protocol.DmaMapFlags with which the client announced it, but those that say how to use its file.
    """

    iova: int
    size: int
    readable: bool
    writable: bool
    mapped: bool
    flags: int = 0

    @shown
    def __repr__(self) -> str:
        able = " ".join(word for word in ("readable", "writable", "mapped") if getattr(self, word))
        return f"{self.iova:#x} + {self.size:#x} bytes: {able or 'no access'}"


def dma_range(iova: int, size: int, flags: int, mapped: bool) -> DmaRange:
    return DmaRange(iova, size, bool(flags & c.VFU_DMA_READ), bool(flags & c.VFU_DMA_WRITE), bool(mapped), flags)


def _explained(error: Exception, what: str, iova: int, handle: c.DeviceHandle) -> Exception:
    """A copy's failure, with where it was, and why if that is known."""
    if isinstance(error, TypeError):
        number("iova", iova)
    if isinstance(error, OverflowError) and iova >> 64:  # what a client says may lead there, and nothing is
        error = make_error(errno.EFAULT)
    if not isinstance(error, OSError):
        return error
    why = {
        errno.EFAULT: "not all of it is mapped, or its file was cut",
        errno.EACCES: "the client does not allow it",
        errno.EOPNOTSUPP: "not all of it is in one range that is mapped; pin() has a buffer for what is reached by messages",
    }.get(error.errno or 0)
    if error.errno == errno.EIO and not c.vfu_device_config_read(handle, 4, 1)[0] & COMMAND_BUS_MASTER:
        why = "the client has bus mastering off"
    explain(error, f"DMA {what} at {iova:#x}: {why or error.strerror}")
    return error


_REFUSED = OSError, OverflowError, TypeError  # what _explained() knows
_FULL = object()


def _try(start: Callable[..., Any], *args: Any) -> Any:
    """Starts a copy; _FULL: there is no room for it."""
    try:
        return start(*args)
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise
        return _FULL


class _Copy:
    """A copy that await dma.read() or write() has under way."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._ended = ended
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def done(self, status: int, result: Any) -> None:
        """It has ended. On whatever thread."""
        if threading.get_ident() == self._thread:
            self._settle(status, result)
        else:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and who waited with it
                self._loop.call_soon_threadsafe(self._settle, status, result)

    def _settle(self, status: int, result: Any) -> None:
        self._ended()
        if self.future.done():
            return
        if status == 0:
            self.future.set_result(result)
        else:
            self.future.set_exception(make_error(-status))
            self.future.exception()  # seen, should nobody wait any more


class DeviceDma:
    """self.dma of a device: the client's memory. Copies of any length, over ranges that are mapped and others alike.

    Copies take effect in the order in which they were started, reads and writes, mapped ranges and others. So an entry
    of a ring may be written, and its index behind it, without a wait between: await asyncio.gather(dma.write(...),
    dma.write(...)). 2, 4 or 8 bytes at a multiple of their size are one access. What map() gives is used directly,
    without an order; so are read_sync() and write_sync() of mapped memory on other threads than the server's.

    Addresses are the client's (IOVA), sizes in bytes. Coroutines await read() and write(); others use read_sync() and
    write_sync(), from any thread where all is mapped, else in handlers. map() gives memory itself, pin() that or a buffer.

    vfu.Error: EFAULT, not all of it is mapped, as an address of more than 64 bits never is; Denied, the client does not
    allow it; EIO, the client has bus mastering off (E63); ECANCELED, the client took the memory away, has reset the
    device, or has gone; strerror says where.
    """

    def __init__(self, handle: c.DeviceHandle) -> None:
        self._handle = handle
        self._kick: Callable[[], None] | None = None  # makes the server's event loop look for what it has to send
        # An event for each that waits for room, in order.
        self._waiting: collections.deque[asyncio.Event] = collections.deque()

    @shown
    def __repr__(self) -> str:
        ranges = self.ranges
        return f"{len(ranges)} ranges, {sum(one.size for one in ranges):#x} bytes"

    @overload
    async def read(self, iova: int, size: int) -> bytes: ...
    @overload
    async def read(self, iova: int, size: WriteableBuffer) -> bool: ...
    async def read(self, iova: int, size: int | WriteableBuffer) -> bytes | bool:
        """Reads size bytes, or fills a buffer that is given instead, which must stay until then, and returns True.

        Any number may be under way; what messages cannot hold waits its turn (options["queue_bytes"]).
        """
        try:
            result: bytes | bool = await self._copy(c.dma_read, iova, size)
            return result
        except _REFUSED as error:
            raise _explained(error, "read", iova, self._handle) from None

    async def write(self, iova: int, data: ReadableBuffer) -> None:
        """Writes bytes, which must not change until then. An interrupt that is triggered afterwards comes after them."""
        try:
            await self._copy(c.dma_write, iova, data)
        except _REFUSED as error:
            raise _explained(error, "write", iova, self._handle) from None

    async def read_list(self, pieces: Sequence[tuple[int, int]]) -> bytes:
        """Reads many pieces, (iova, size) of each, and returns their bytes one behind the other: a scatter list."""
        result: bytes = await self._list(
            lambda handle, iova, data, done: c.dma_readv(handle, pieces, done), "read", pieces
        )
        return result

    async def write_list(self, pieces: Sequence[tuple[int, int]], data: ReadableBuffer) -> None:
        """Writes data, which is as long as all pieces together, (iova, size) of each, in their order.

        Nothing is written if one of them cannot be. ValueError: there is more or less data than room for it.
        """
        await self._list(lambda handle, iova, _, done: c.dma_writev(handle, pieces, data, done), "write", pieces)

    async def fill(self, iova: int, size: int, byte: int = 0) -> None:
        """Writes one byte to a whole range, for which nothing of its size is made."""
        if not 0 <= byte <= 255:
            raise ValueError(f"{byte} is no byte")
        await self._list(
            lambda handle, iova, data, done: c.dma_fill(handle, iova, size, byte, done), "fill", [(iova, size)]
        )

    async def _list(self, start: Callable[..., Any], what: str, pieces: Sequence[tuple[int, int]]) -> Any:
        first = pieces[0][0] if pieces else 0
        try:
            return await self._copy(start, first, None)
        except (OSError, OverflowError) as error:
            at = next((iova for iova, _ in pieces if iova >> 64), first)
            raise _explained(error, what, at, self._handle) from None

    async def pin(self, iova: int, size: int, write: bool = True) -> PinnedMemory:
        """Pins memory of any kind and returns it as a PinnedMemory.

            async def shout(self, address):
                with await self.dma.pin(address, 64) as memory:  # given back at the end, without a wait
                    with memory.view() as view:
                        view[:5] = bytes(view[:5]).upper()
                    await self.dma.unpin(memory)  # waits, and raises what went wrong

        Where it lies in one mapped range it is the memory itself, as of map(). Else it is a buffer: filled with what
        is there, and written back where it was changed, when it is given back, unless a reset, an unmap or the end of the
        connection comes first: then it is written nowhere. Either stays valid until it is given back.
        It waits for room, of which a device has options["dma_bounce_bytes"]; what will be written to takes it twice. vfu.Error with
        E2BIG: there is never so much.
        write: it will be written to, for which the client must have allowed it.
        """
        flags = c.VFU_DMA_READ | (c.VFU_DMA_WRITE if write else 0)

        def start(handle: c.DeviceHandle, iova: int, data: Any, done: Callable[[int, Any], None]) -> Any:
            return c.dma_pin_async(handle, iova, size, flags, done)

        try:
            memory: PinnedMemory = await self._copy(start, iova, None)
            return memory
        except _REFUSED as error:
            raise _explained(error, "pin", iova, self._handle) from None

    async def unpin(self, memory: PinnedMemory) -> None:
        """Gives pinned memory back, and waits until the client has what was changed. BufferError while views exist.

        memory.release() does not wait, and a fault is only logged. Either way copies and interrupts that are started
        afterwards come behind it. ECANCELED: the client took the memory away first, or has reset the device, and nothing
        was written from a buffer.
        """
        copy = _Copy(self._wake)
        # It needs no room, and makes some for those that wait.
        if c.dma_unpin(memory, copy.done) is None:
            if self._kick:
                self._kick()
            await copy.future

    async def _copy(self, start: Callable[..., Any], iova: int, data: object) -> Any:
        """Starts a copy and waits for it.

        What is done at once, well or not, lets the event loop run too: else a coroutine that polls
        memory would keep the client from being served.
        """
        copy = _Copy(self._wake)
        try:
            result = await self._begin(start, iova, data, copy.done)
        except Exception:
            await asyncio.sleep(0)
            raise
        if result is not None:
            await asyncio.sleep(0)
            return result
        if self._kick:
            self._kick()
        return await copy.future

    async def _begin(
        self, start: Callable[..., Any], iova: int, data: object, done: Callable[[int, Any], None]
    ) -> Any:
        """Starts it when its turn comes: as many may be queued as options["queue_bytes"] has room for."""
        result = _FULL if self._waiting else _try(start, self._handle, iova, data, done)
        if result is not _FULL:
            return result
        turn = asyncio.Event()
        self._waiting.append(turn)
        try:
            while result is _FULL:
                await self._pause(turn)
                if self._waiting[0] is turn:
                    result = _try(start, self._handle, iova, data, done)
            return result
        finally:
            self._waiting.remove(turn)
            self._wake()

    async def _pause(self, turn: asyncio.Event) -> None:
        """Until it is this one's turn and a copy of ours has ended; or for a while, for others may fill the queue."""
        turn.clear()
        timer = asyncio.get_running_loop().call_later(0.05, turn.set) if self._waiting[0] is turn else None
        try:
            await turn.wait()
        finally:
            if timer:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiting:
            self._waiting[0].set()

    def read_sync(self, iova: int, size: int) -> bytes:
        """read() for those who are no coroutine: it waits; in a handler other requests are served meanwhile (E60)."""
        try:
            return c.vfu_dma_read(self._handle, iova, size)
        except _REFUSED as error:
            raise _explained(error, "read", iova, self._handle) from None

    def write_sync(self, iova: int, data: ReadableBuffer) -> None:
        """write() for those who are no coroutine: it waits; in a handler other requests are served meanwhile (E60)."""
        try:
            c.vfu_dma_write(self._handle, iova, data)
        except _REFUSED as error:
            raise _explained(error, "write", iova, self._handle) from None

    def map(self, iova: int, size: int, write: bool = True) -> PinnedMemory:
        """Pins mapped memory and returns it as a PinnedMemory, in which both sides see each other's writes.

        All of it is in one mapped range, else EOPNOTSUPP. release() it, or the client waits when it takes the memory away.
        write: it will be written to, for which the client must have allowed it.
        """
        flags = c.VFU_DMA_READ | c.VFU_DMA_PIN_DIRECT | (c.VFU_DMA_WRITE if write else 0)
        try:
            return c.dma_pin(self._handle, iova, size, flags)
        except _REFUSED as error:
            raise _explained(error, "map", iova, self._handle) from None

    @property
    def ranges(self) -> list[DmaRange]:
        """All ranges, in ascending order. Any thread."""
        return [dma_range(*item) for item in c.dma_ranges(self._handle)]
