# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Memory that the device may reach, given to it and taken back by coroutines."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..client.dma import ClientDma, _Served
from ..dma import DmaRange
from ..fixed import Fixed
from ..shown import shown
from .loop import Loop, in_thread

P = ParamSpec("P")
T = TypeVar("T")


def _mapping(
    method: Callable[Concatenate[ClientDma, P], T], undo: Callable[..., object]
) -> Callable[Concatenate[Dma, P], Coroutine[Any, Any, T]]:
    """A method that maps: in a batch it does not wait; if who awaits it is cancelled undo(plain object, result, the
    arguments) takes it back."""

    @functools.wraps(method)
    async def call(self: Dma, /, *args: P.args, **kwargs: P.kwargs) -> T:
        plain, is_queued = self._plain(), self._loop.is_in("batch")

        def work() -> T:
            with plain._queueing(is_queued):
                return method(plain, *args, **kwargs)

        return await self._loop.run(work, lambda result: undo(plain, result, *args, **kwargs))

    return call


def _unmap(plain: ClientDma, buffer: object, *args: Any, **kwargs: Any) -> None:
    plain.unmap(buffer)


def _unmap_at(plain: ClientDma, result: None, buffer: object, iova: int, *args: Any, **kwargs: Any) -> None:
    plain.unmap(iova)


class Dma(Fixed):
    """dev.dma: the memory that the device may reach, as vfu.ClientDma, which is its manual. The loop serves it.

    What is mapped by a call that is cancelled is unmapped again, as soon as the device has answered.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    @shown
    def __repr__(self) -> str:
        return repr(self._plain())

    def _plain(self) -> ClientDma:
        return self._loop.client.dma

    alloc = _mapping(ClientDma.alloc, _unmap)
    map = _mapping(ClientDma.map, _unmap_at)
    map_file = _mapping(ClientDma.map_file, _unmap)
    reserve = in_thread(ClientDma.reserve)
    unmap = in_thread(ClientDma.unmap)
    unmap_all = in_thread(ClientDma.unmap_all)

    async def map_handler(
        self, handler: Any, iova: int, size: int, read: bool | None = None, write: bool | None = None
    ) -> None:
        """Maps what is no memory, as vfu.ClientDma.map_handler(). Its methods run in this loop, coroutines among them: they may
        use the device, as long as what they wait for does not wait for them."""
        served = _Served(self._loop.handle, handler)  # here, where the loop is
        await self._loop.run(
            lambda: self._plain()._map_served(served, handler, iova, size, read, write),
            lambda _: self._plain().unmap(iova),
        )

    @contextlib.asynccontextmanager
    async def batch(self) -> AsyncIterator[None]:
        """async with dev.dma.batch(): alloc() and map() of this task, and of tasks that it starts there, do not wait for
        the device's answers; the end does. All else as with vfu.ClientDma.batch()."""
        plain = self._plain()
        try:
            async with self._loop.block("batch"):
                yield
        except BaseException as error:
            if isinstance(error, Exception):
                with contextlib.suppress(OSError):
                    await self._loop.run(plain._fence)
            else:  # cancelled, which does not wait
                plain._is_owed = True
            raise
        if not self._loop.is_in("batch"):  # another, whose end counts
            await self._loop.run(plain._fence)

    @property
    def ranges(self) -> list[DmaRange]:
        """What the device may reach, as vfu.ClientDma.ranges."""
        return self._plain().ranges

    @property
    def shared(self) -> bool:
        """Whether the device gets the files behind memory, as vfu.ClientDma.shared."""
        return self._plain().shared
