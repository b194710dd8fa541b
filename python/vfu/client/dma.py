# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Memory of the client's that the device may reach."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import mmap
import os
import threading
import types
import weakref
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING, Any

import libvfu as c

from ..arguments import check, check_given
from ..declared import refuse_handler
from ..dma import DmaRange, dma_range
from ..errors import explain, make_error, report
from ..fixed import Fixed
from ..memory import Mapping, memfd
from ..shown import shown

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike, ReadableBuffer, StrPath


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


# What serves memory, and what its methods are given.
_METHODS = {"read": "iova, size", "write": "iova, data"}


def _check_handler(handler: Any, wanted: dict[str, bool | None], has_loop: bool) -> None:
    """TypeError: its methods are not there, or can not be called as they will be."""
    if not any(callable(getattr(handler, name, None)) for name in _METHODS):
        raise TypeError(f"a handler has a method read(iova, size), or write(iova, data), or both, not {handler!r}")
    for name, given in _METHODS.items():
        method = getattr(handler, name, None)
        if method is None and wanted[name]:
            raise TypeError(f"{name}=True wants a handler with a method {name}({given}), not {handler!r}")
        if isinstance(method, types.MethodType):
            refuse_handler(method.__func__, f"self, {given}")
        elif method is not None:
            refuse_handler(method, given)
        if inspect.iscoroutinefunction(method) and not has_loop:
            raise TypeError(f"{method.__qualname__} is a coroutine, which needs an event loop: map it where one runs")


class _Served:
    """A range that an object serves: what the library calls for each piece of a transfer, and how that ends."""

    def __init__(self, handle: c.vfu_client, handler: Any) -> None:
        self._handle = weakref.ref(handle)  # which has this in its maps
        self._handler = handler
        self._tasks: set[asyncio.Future[None]] = set()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def __call__(self, is_write: bool, iova: int, what: Any) -> ReadableBuffer | int:
        method = None
        size = 0 if is_write else what
        try:
            method = self._handler.write if is_write else self._handler.read
            result = method(iova, what)
            if inspect.isawaitable(result):
                return self._answer_later(method, result, size)
            return _checked(result, size)
        except Exception as error:
            return -report(method or self._handler, error)

    def _answer_later(self, method: Any, result: Awaitable[Any], size: int) -> int:
        handle, later = self._handle(), None
        try:
            if self._loop is None or handle is None:
                raise RuntimeError("what answers later needs an event loop: map it where one runs")
            later = c.client_dma_later(handle, size)
            self._loop.call_soon_threadsafe(self._start, method, result, size, later)
        except BaseException:
            if inspect.iscoroutine(result):
                result.close()
            if later is not None:  # the loop is closed; what this returns counts no more
                c.client_dma_answer(later, b"", -errno.EIO)
            raise
        return c.VFU_LATER

    def _start(self, *args: Any) -> None:
        task = asyncio.ensure_future(self._finish(*args))
        self._tasks.add(task)  # which the loop does not keep
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, method: Any, result: Awaitable[Any], size: int, later: c.Later) -> None:
        data: ReadableBuffer | int = 0
        status = -errno.ECANCELED
        try:
            data = _checked(await result, size)
            status = 0
        except Exception as error:
            status = -report(method, error)
        finally:
            c.client_dma_answer(later, b"" if isinstance(data, int) else data, status)


def _checked(result: Any, size: int) -> ReadableBuffer | int:
    """What a handler has returned, of a read (which has a size) all that was asked for."""
    if not size:
        return 0
    if (length := memoryview(result).nbytes) != size:
        raise ValueError(f"{length} bytes were read, {size} are wanted")
    data: ReadableBuffer = result
    return data


class ClientDma(Fixed):
    """dev.dma: the memory that the device may reach. Any thread.

    What is there already, or overlaps with it, is refused with EEXIST (E8); more ranges than the device takes with
    ENOSPC (E9). At first use the Client turns bus mastering on, unless it has bus_master=False (E63).

    The device's messages are served while anything waits: any call of the Client, and its thread in the background. What is
    not mapped they find to be EFAULT, what its range does not allow EACCES; then nothing of the transfer was done.

    shared: whether the device gets the files behind memory, as the Client was told.
    """

    shared: bool = True

    _FIRST, _LAST = 0x1000_0000, (1 << 64) - 1

    def __init__(self, handle: c.vfu_client) -> None:
        self._h = handle
        # iova: (size, hold, buffer); calls under way in other threads keep the handle
        self._maps: dict[int, tuple[int, object, object]] = {}
        handle.maps = self._maps
        self._space = c.vfu_iova_new(self._FIRST, self._LAST)
        self._mine = threading.local()  # queued: this thread is in a batch
        self._is_owed = False  # a batch was left before all was answered

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
        align: int = 0,
        bits: int = 64,
    ) -> Buffer:
        """New zeroed memory, mapped for the device. shared=False: the device reaches it by messages only; by default the
        Client's shared holds.

        size: in bytes, rounded up to whole pages. iova: its address, by default the lowest free one from 0x1000_0000 on
        that is not reserved, a multiple of align (a power of two, at least 4096) and within so many bits, as many as the
        device has for addresses. ENOSPC: there is none.
        read and write: what the device may do. flags: more of protocol.DmaMapFlags, whose rules are checked first.
        vfu.Error: the device refuses; then nothing is mapped.
        """
        check(size=size)
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        fd = -1
        try:
            if self._shares(shared):
                fd = memfd("vfu-dma", size)
            buffer = Buffer(fd, size)
            with self._address(size, iova, align, bits) as at:
                self._map(buffer, at, fd, 0, self._flags(read, write, flags))
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
        check(iova=iova, fd=fd, fd_offset=fd_offset)
        with self._address(memoryview(buffer).nbytes, iova) as at:
            self._map(buffer, at, fd, fd_offset, self._flags(read, write, flags))

    def map_file(
        self,
        file: StrPath | FileDescriptorLike,
        iova: int | None = None,
        size: int | None = None,
        offset: int = 0,
        shared: bool | None = None,
        read: bool = True,
        write: bool = True,
        flags: int = 0,
        align: int = 0,
        bits: int = 64,
    ) -> Buffer:
        """Maps a file, here and for the device: its path, or an open one, which stays yours. It has to be writable
        if the device may write.

        size and offset: which part, in bytes; by default all that is behind offset, a multiple of the page size. All else as in alloc().
        """
        check(offset=offset)
        check_given(size=size)
        with contextlib.ExitStack() as stack:
            if isinstance(file, (str, os.PathLike)):
                file = os.open(file, os.O_CLOEXEC | (os.O_RDWR if write else os.O_RDONLY))
                stack.callback(os.close, file)
            check(file=file)
            fd = file if isinstance(file, int) else file.fileno()
            size = os.fstat(fd).st_size - offset if size is None else size
            if size <= 0:
                raise ValueError(f"nothing of the file is behind {offset:#x}")
            buffer = Buffer(fd, size, offset=offset, prot=mmap.PROT_READ | (mmap.PROT_WRITE if write else 0))
            if not self._shares(shared):
                fd, offset = -1, 0
            with self._address(size, iova, align, bits) as at:
                self._map(buffer, at, fd, offset, self._flags(read, write, flags))
        return buffer

    def map_handler(
        self, handler: Any, iova: int, size: int, read: bool | None = None, write: bool | None = None
    ) -> None:
        """Maps what is no memory, as that of a simulator: an object with the methods

            def read(self, iova, size): ...     # returns so many bytes
            def write(self, iova, data): ...    # data: bytes

        which get addresses as the device has them, and no piece of a transfer that is outside of this range. read and write: what the
        device may do, by default what there is a method for. They run on whichever thread waits for the device, that of the
        background among them, and must not wait for it themselves (EDEADLK). What they raise is logged, and is the device's
        answer: the errno of an OSError, else EIO.

        A method may be a coroutine, or return another awaitable, if this is called where an event loop runs: it goes on
        there, and the device has its answer when it ends; other transfers go on meanwhile. Nothing else in that loop must wait in
        a blocking call for a device that waits for this. ENOBUFS for the device: so many wait that they hold what options={"queue_bytes": ...} allows.
        TypeError: the handler has neither, or one that can not be called so.
        """
        self._map_served(_Served(self._h, handler), handler, iova, size, read, write)

    def _map_served(
        self, served: _Served, handler: Any, iova: int, size: int, read: bool | None, write: bool | None
    ) -> None:
        check(iova=iova, size=size)
        _check_handler(handler, {"read": read, "write": write}, served._loop is not None)
        flags = self._flags(
            hasattr(handler, "read") if read is None else read, hasattr(handler, "write") if write is None else write
        )
        with self._address(size, iova) as at:
            c.client_map_function(self._h, at, size, flags, served, self._maps, (size, served, handler))

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """A context in which alloc() and map() of this thread do not wait for the device's answers: its end does, for all of
        them, and many ranges are mapped sooner. It raises the first error that there was; what the device refused is
        not mapped then, all else is: see ranges. An exception in the block goes on once they have come, and is the one that is raised; KeyboardInterrupt
        does not wait for them."""
        if self._queued:  # in another, whose end counts
            yield
            return
        try:
            with self._queueing(True):
                yield
        except BaseException as error:
            # That goes on, and not what the device may have refused, too. KeyboardInterrupt has waited long enough.
            if isinstance(error, Exception):
                with contextlib.suppress(OSError):
                    self._fence()
            else:
                self._is_owed = True
            raise
        self._fence()

    @contextlib.contextmanager
    def _queueing(self, is_queued: bool) -> Iterator[None]:
        """Whether maps of this thread wait for their answers."""
        self._mine.queued = is_queued
        try:
            yield
        finally:
            self._mine.queued = False

    def _fence(self) -> None:
        """Waits for all that was queued, and lets go of what is not mapped then."""
        is_owed, self._is_owed = self._is_owed, False
        try:
            c.vfu_client_fence(self._h)
        except BaseException as error:
            self._is_owed = not isinstance(error, Exception)
            self._forget_gone(error)
            raise
        if is_owed:
            self._forget_gone()

    def _shares(self, shared: bool | None) -> bool:
        """Whether the device gets the file, as a call says, or not."""
        return self.shared and (shared is None or shared)

    @property
    def _queued(self) -> bool:
        return getattr(self._mine, "queued", False)

    @staticmethod
    def _flags(read: bool, write: bool, flags: int = 0) -> int:
        return flags | (c.VFU_DMA_READ if read else 0) | (c.VFU_DMA_WRITE if write else 0)

    def _map(self, buffer: ReadableBuffer, iova: int, fd: int, fd_offset: int, flags: int) -> None:
        hold = c.hold_buffer(buffer)
        entry = (memoryview(buffer).nbytes, hold, buffer)
        c.client_map_buffer(self._h, iova, flags, hold, fd, fd_offset, self._queued, self._maps, entry)
        if isinstance(buffer, Buffer):
            buffer.iova, buffer.shared = iova, fd >= 0 and self.shared

    @contextlib.contextmanager
    def _address(self, size: int, iova: int | None, align: int = 0, bits: int = 64) -> Iterator[int]:
        """An address that is in use from now on, unless the map fails."""
        check(align=align, bits=bits)
        check_given(iova=iova)
        is_ours = True
        if iova is None:
            iova = self._free(size, align, bits)
        else:
            try:
                c.vfu_iova_take(self._space, iova, size)
            except OSError as error:
                if error.errno == errno.EEXIST:
                    raise make_error(errno.EEXIST, "dma_map.address", 16, "overlaps another range") from None
                is_ours = False  # there is no such range, and the library says what is wrong with it
        try:
            yield iova
        except BaseException as error:
            if is_ours and iova not in self._maps:
                self._give(iova, size, error)
            raise

    def _free(self, size: int, align: int, bits: int) -> int:
        try:
            return c.vfu_iova_alloc(self._space, size, align, (1 << bits) - 1)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                explain(error, f"no {size:#x} addresses are free in {bits} bits, at a multiple of {align or mmap.PAGESIZE:#x}")
            raise

    def _give(self, iova: int, size: int, why: BaseException | None) -> None:
        """These addresses are free again; if the device may have them all the same, only for who names them."""
        with contextlib.suppress(OSError):  # of a range that there could not be
            if why is not None and (not isinstance(why, OSError) or why.errno in (errno.ETIMEDOUT, errno.EDEADLK)):
                c.vfu_iova_reserve(self._space, iova, size)
            c.vfu_iova_give(self._space, iova)

    def reserve(self, iova: int, size: int) -> None:
        """Of these addresses alloc() takes none by itself, nor does it of 0xfee00000 to 0xfeefffff, where on x86 writes of a
        device are interrupts."""
        check(iova=iova, size=size)
        c.vfu_iova_reserve(self._space, iova, size)

    def unmap(self, what: object, size: int | None = None) -> None:
        """Takes memory away from the device: a buffer or handler that was mapped, or the iova of one. ValueError: it is not.

        Returns when the device has let go of it. vfu.Error: it refuses, and the memory stays mapped. Not so after Timeout, Disconnected
        and KeyboardInterrupt, when nobody knows what the device did: the memory is the caller's again, and its messages find nothing there, but
        what it has the file of it may reach yet; alloc() takes none of these addresses by itself any more.
        size, with an iova: all that lies whole in so many bytes, or nothing; the device is asked also where nothing is
        mapped here, as after Timeout.
        """
        check_given(size=size)
        iova = what if isinstance(what, int) else self._find(what)
        known = self._maps.get(iova)
        if iova < 0 or known is None and size is None:
            raise ValueError("not mapped")
        try:
            c.vfu_client_dma_unmap(self._h, iova, known[0] if known and size is None else size or 0)
        except BaseException as error:
            self._forget_gone(error)
            raise
        if size is None:
            self._forget(iova)
        else:
            self._forget_gone()

    def _find(self, what: object) -> int:
        if isinstance(what, Buffer) and what.iova in self._maps and self._maps[what.iova][2] is what:
            return what.iova
        return next((iova for iova, entry in list(self._maps.items()) if entry[2] is what), -1)

    def _forget(self, iova: int, why: BaseException | None = None) -> None:
        if (entry := self._maps.pop(iova, None)) is not None:
            self._give(iova, entry[0], why)

    def unmap_all(self) -> None:
        """Takes all memory away from the device. vfu.Error: it refuses some, which stay mapped; else as unmap()."""
        try:
            c.vfu_client_dma_unmap_all(self._h)
        except BaseException as error:
            self._forget_gone(error)
            raise
        self._forget_gone()

    @property
    def ranges(self) -> list[DmaRange]:
        """What the device may reach, in ascending order; mapped: it has the file."""
        return [dma_range(*item) for item in c.client_dma_ranges(self._h)]

    def _forget_gone(self, why: BaseException | None = None) -> None:
        """Lets go of the memory of ranges that the library has no more. Others may map and unmap meanwhile."""
        known = list(self._maps.items())
        there = {iova for iova, *_ in c.client_dma_ranges(self._h)}
        for iova, entry in known:
            if iova not in there and self._maps.get(iova) is entry:
                self._forget(iova, why)
