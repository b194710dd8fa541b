# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Interrupts of a device, awaited or iterated over."""

from __future__ import annotations

import asyncio
import collections
import functools
import math
import time
from typing import TYPE_CHECKING, Any

import libvfu as c

from ..client.irqs import IRQ_NAMES, ClientIrq, ClientVector, doubtful, irq_name, look_into
from ..client.times import wait_time
from ..errors import Disconnected
from ..fixed import Fixed
from ..shown import shown
from .loop import Loop, in_thread

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike
    from typing_extensions import Self


def _time_is_up(waiter: asyncio.Future[int]) -> None:
    if not waiter.done():
        waiter.set_result(0)


class Vector(Fixed):
    """One interrupt vector of the device, dev.irqs.msix[3]: awaited, or iterated over.

        async def look(dev):
            async for count in dev.irqs.msix[3]:
                print(count)

    index and vector: which one. count is how often it was raised since the last; it ends with close(), and with Disconnected if the device has gone. The device gets the vector's eventfd when it is first used. Of several that wait for one vector each count goes to one.
    """

    index: int
    vector: int

    def __init__(self, loop: Loop, index: int, vector: int) -> None:
        self._loop, self.index, self.vector = loop, index, vector
        self._waiting: collections.deque[asyncio.Future[int]] = collections.deque()
        self._fd: int | None = None  # what is waited on
        self._left = 0  # counted, but who was told was cancelled before it could look
        self._is_looked_into = False
        self._arming: asyncio.Future[tuple[int, ClientVector]] | None = None

    @shown
    def __repr__(self) -> str:
        return f"{irq_name(self.index)}[{self.vector}], {len(self._waiting)} wait"

    def _plain(self) -> Any:
        return self._loop.client.irqs[self.index][self.vector]

    async def wait(self, timeout: float | None = None) -> int:
        """Waits until the device raises it, for timeout seconds at most (None: for ever, 0 and less: it only looks).

        Returns how often it was raised since it was last waited for; 0: the time is up. Disconnected: the device has
        gone, and will not. The first use gives the device the eventfd, as vfu.ClientVector.wait() says; that goes on if the time is
        up first, but is waited for with timeout=0.
        """
        wait_time(timeout)  # ValueError, TypeError
        until = None if timeout is None else time.monotonic() + timeout
        if (fd := await self._arm(max(0, timeout or 0) or None)) is None:
            return 0
        if not self._waiting and (count := self._take(fd)):
            return count
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            self._loop.check()
            return 0
        return await self._wait(fd, left)

    @property
    def _is_message(self) -> bool:
        return self.index in (c.VFU_IRQ_MSI, c.VFU_IRQ_MSIX)

    def _known(self) -> int | None:
        """The eventfd, if the device has it, and may signal it."""
        known = self._loop.armed.get((self.index, self.vector))
        is_ready = self._loop.is_master or not self._is_message
        return known[0] if known is not None and known[1]._is_armed_with(known[0]) and is_ready else None

    async def _arm(self, timeout: float | None = None) -> int | None:
        """The eventfd, which the device has then. None: that takes longer, and goes on, for all that wait."""
        if (known := self._known()) is not None:
            return known
        if self._arming is None:
            self._arming = self._loop.begin(self._arm_in_thread)
            self._arming.add_done_callback(self._end_arming)
        arming = self._arming
        await asyncio.wait([arming], timeout=timeout)
        return arming.result()[0] if arming.done() else None

    def _arm_in_thread(self) -> tuple[int, ClientVector]:
        vector = self._loop.client.irqs[self.index][self.vector]
        fd = vector.fd
        if self._is_message:
            c.vfu_client_use_bus_master(self._loop.handle)  # off again after a reset
        return fd, vector

    def _end_arming(self, arming: asyncio.Future[tuple[int, ClientVector]]) -> None:
        """Perhaps nobody who waits is there any more."""
        self._arming = None
        if arming.cancelled():
            return
        if (error := arming.exception()) is None:
            self._loop.armed[self.index, self.vector] = arming.result()
            self._loop.is_master = self._loop.is_master or self._is_message
        elif isinstance(error, Disconnected):
            self._loop.process()  # which finds out whether that is so

    def _timers(self, waiter: asyncio.Future[int], timeout: float | None) -> list[asyncio.TimerHandle]:
        """Of a wait: its end, and when it is time to ask why nothing comes."""
        timers = [] if timeout is None else [self._loop.later(timeout, functools.partial(_time_is_up, waiter))]
        if self._is_message and not self._is_looked_into:
            after = doubtful(-1 if timeout is None else math.ceil(timeout * 1000))
            timers.append(self._loop.later(after / 1000, self._look_into))
        return timers

    def _look_into(self) -> None:
        self._is_looked_into = not self._loop.is_closed and look_into(self._loop.handle)

    async def _wait(self, fd: int, timeout: float | None) -> int:
        waiter = self._loop.waiter()
        timers = self._timers(waiter, timeout)
        self._waiting.append(waiter)
        self._watch(fd)
        try:
            return int(await waiter)
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._left += waiter.result()
            raise
        finally:
            self._waiting.remove(waiter)
            if self._left:
                self._deliver()
            if not self._waiting:
                self._watch(None)
            for timer in timers:
                timer.cancel()

    def _take(self, fd: int) -> int:
        count, self._left = self._left + c.eventfd_take(fd), 0
        return count

    def _use(self, fd: FileDescriptorLike | None) -> None:
        self._plain().use(fd)

    def _watch(self, fd: int | None) -> None:
        """Has this eventfd looked at, and no other."""
        if fd == self._fd:
            return
        if self._fd is not None:
            self._loop.unwatch(self._fd)
        self._fd = fd
        if fd is not None:
            self._loop.watch(fd, lambda: self._deliver())

    def _deliver(self) -> None:
        """Something was counted, which the first that waits is told."""
        waiter = next((one for one in self._waiting if not one.done()), None)
        if waiter is not None and self._fd is not None and (count := self._take(self._fd)):
            waiter.set_result(count)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        try:
            return await self.wait()
        except Disconnected:
            if self._loop.is_closed:
                raise StopAsyncIteration from None
            raise

    async def use(self, fd: FileDescriptorLike | None) -> None:
        """Has the device signal an eventfd of the caller's, as vfu.ClientVector.use(); who waits goes on with that."""
        self._watch(None)
        try:
            await self._loop.run(functools.partial(self._use, fd))
        finally:
            if self._waiting and not self._loop.is_closed:
                self._watch(await self._arm())
                self._deliver()

    trigger = in_thread(ClientVector.trigger)
    mask = in_thread(ClientVector.mask)
    unmask = in_thread(ClientVector.unmask)
    mask_on = in_thread(ClientVector.mask_on)
    unmask_on = in_thread(ClientVector.unmask_on)


class Irq(Vector):
    """An interrupt of the device, dev.irqs.msix, and its vectors, irq[i]. Itself, by its index, it stands for vector 0."""

    def __init__(self, loop: Loop, index: int) -> None:
        super().__init__(loop, index, 0)
        self._vectors: dict[int, Vector] = {0: self}

    def __getitem__(self, vector: int) -> Vector:
        """A vector; whether the device has so many shows when it is used (IndexError)."""
        if vector < 0:
            raise IndexError(f"{irq_name(self.index)}: vectors count from 0")
        return self._vectors.setdefault(vector, Vector(self._loop, self.index, vector))

    def _plain(self) -> Any:
        return self._loop.client.irqs[self.index]

    trigger = in_thread(ClientIrq.trigger)
    mask = in_thread(ClientIrq.mask)
    unmask = in_thread(ClientIrq.unmask)

    async def info(self) -> ClientIrq:
        """What the device says of it, as a vfu.ClientIrq: count, flags. Asked for once. Its methods wait, and are not for coroutines."""
        return await self._loop.run(lambda: self._loop.client.irqs[self.index])

    async def enable(self) -> None:
        """Gives the device the eventfds of the first 64 vectors now, as vfu.ClientIrq.enable()."""
        await self._loop.run(lambda: self._loop.client.irqs[self.index].enable())

    async def disable(self) -> None:
        """Takes all eventfds away from the device; a vector that is used again gets its own back."""
        await self._loop.run(lambda: self._loop.client.irqs[self.index].disable())


class Irqs(Fixed):
    """dev.irqs: the interrupts of the device, by index or as intx, msi, msix, err, req.

    IndexError, AttributeError: the device has fewer.
    """

    intx: Irq
    msi: Irq
    msix: Irq
    err: Irq
    req: Irq

    def __init__(self, loop: Loop, count: int) -> None:
        self._all = [Irq(loop, index) for index in range(count)]

    @shown
    def __repr__(self) -> str:
        return f"{len(self._all)}"

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: int) -> Irq:
        if not 0 <= index < len(self._all):
            raise IndexError(f"the device has {len(self._all)} interrupts")
        return self._all[index]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *IRQ_NAMES[: len(self._all)]]

    if not TYPE_CHECKING:  # checkers know these by their names

        def __getattr__(self, name):
            if name not in IRQ_NAMES or IRQ_NAMES.index(name) >= len(self):
                raise AttributeError(name)
            return self[IRQ_NAMES.index(name)]
