# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A client for coroutines: vfu.Client in an event loop of asyncio.

    import asyncio
    import vfu.aio

    async def main():
        async with vfu.aio.connect("/tmp/counter.sock") as dev:
            ram = await dev.dma.alloc(4096)
            await dev.regions.bar0.write32(4, ram.iova)
            await dev.irqs.msix[0].wait(timeout=10)       # or: async for count in dev.irqs.msix[0]
            print(ram[:5], await dev.config.vendor_id)
            values = await asyncio.gather(*(dev.regions.bar0.read32(4 * i) for i in range(64)))

    asyncio.run(main())

All that vfu.Client does is here as a coroutine, under the same name and with the same arguments, timeouts and errors:
help(vfu.Client) and so on are its manual. While coroutines run the loop serves the device's DMA.

    accesses, call(), feature_get...   any number are under way at once; they go out in the order in which they start
    maps, reset, interrupts' setup     one after another, in a thread that sleeps until the loop has read the answer
    dev.posting(), dev.dma.batch()     async with: of this task, and of those that it starts in the block
    dev.run(function)                  any other call of the vfu.Client, in that thread

    async def fill(dev):
        async with dev.posting():                         # no write waits, small ones go together
            for i in range(256):
                await dev.regions.bar0.write32(4 * i, i)

While the client connects again (reconnect=) what is asked waits for that, as long as for an answer, but a posted write, which
waits for nothing, is vfu.Disconnected; on_link tells of it, on the thread that notices, mostly the loop's: what takes its time there holds the loop up, as do the regions that were known, which
are asked for again before it is told.
A request that is cancelled may have been done by the device; its answer is dropped when it comes, and what was mapped is
unmapped. At the end of the connection all that wait get Disconnected. An object belongs to the loop in which it was made, and to its thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import libvfu as c

from .. import client, commands, protocol
from ..capabilities import Agreed
from ..client import DeviceInfo
from ..client.link import Link
from ..client.times import answer_time
from ..errors import Error
from ..fixed import Fixed
from ..shown import shown
from .dma import Dma
from .irqs import Irq, Irqs, Vector
from .loop import Loop, in_thread
from .regions import Config, Msix, Region, Regions

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike, ReadableBuffer
    from typing_extensions import Self

__all__ = ["Client", "Config", "Dma", "Irq", "Irqs", "Msix", "Region", "Regions", "Vector", "connect"]

P = ParamSpec("P")
T = TypeVar("T")

_PIECE = 1 << 20  # what the library moves in a message, if it was not told otherwise


class Client(Fixed):
    """A connection to a device, of connect(): vfu.Client with coroutines.

    info: a DeviceInfo; regions, irqs, dma, config: what the device has, see Regions, Irqs, Dma, Config.

    It ends with close(), or an async with statement.
    """

    info: DeviceInfo
    regions: Regions
    irqs: Irqs
    dma: Dma

    def __init__(self, plain: client.Client, options: dict[str, int], pool: Executor) -> None:
        self._loop = Loop(plain, pool, posts=bool(options.get("posted", 1)))
        piece = min(plain.limits["max_data_xfer_size"], options.get("max_data_xfer_size", _PIECE))
        self.info = plain.info
        self.regions = Regions(self._loop, self.info.regions, piece)
        self.irqs = Irqs(self._loop, self.info.irqs)
        self.dma = Dma(self._loop)

    @shown
    def __repr__(self) -> str:
        return repr(self._loop.client)[len("<vfu.Client ") : -1]

    def _plain(self) -> client.Client:
        return self._loop.client

    @property
    def config(self) -> Config:
        """Configuration space, dev.regions.config. AttributeError: the device has none."""
        return self.regions.config

    @property
    def limits(self) -> dict[str, Any]:
        """What was agreed when connecting, as vfu.Client.limits."""
        return self._plain().limits

    @property
    def agreed(self) -> Agreed:
        """What was agreed of the capabilities of VERSION, as vfu.Client.agreed."""
        return self._plain().agreed

    @property
    def stats(self) -> dict[str, int]:
        """Counters since it was made, as vfu.Client.stats."""
        return self._plain().stats

    @property
    def connected(self) -> bool:
        """Whether the connection is up."""
        return self._loop.cause is None and self._plain().connected

    @property
    def link(self) -> Link:
        """What has become of the connection, as vfu.Client.link."""
        return self._plain().link

    def posting(self) -> contextlib.AbstractAsyncContextManager[None]:
        """A batch, as vfu.Client.posting(): async with dev.posting(): what this task, and tasks that it starts, write in the
        block wants no answer, and what they do without waiting for anything else in between is sent together.

        The end returns when all of it is sent; vfu.Disconnected: it was begun on a connection that has ended, with which writes may be
        lost. Writes of other tasks are as ever."""
        return self._loop.posting()

    async def reset(self) -> None:
        """Resets the device, as vfu.Client.reset()."""
        self._loop.is_master = False
        try:
            await self._loop.run(self._plain().reset)
        finally:
            self._loop.is_master = False  # what was before it in the thread may have turned it on

    async def call(
        self,
        command: str | int | protocol.Payload,
        /,
        *,
        fds: Iterable[FileDescriptorLike] = (),
        timeout: float | None = None,
        post: bool = False,
        **fields: Any,
    ) -> Any:
        """Sends a message and returns its answer, an object of vfu.protocol, as vfu.Client.call()."""
        longest = answer_time(timeout)
        message = commands.Message(command, fds, fields)
        answer = await self._loop.ask(
            lambda done: c.client_call_async(
                self._loop.handle, *message.wire, longest, post, functools.partial(_own, done)
            ),
            longest=longest,
        )
        return message.answer(answer)

    async def feature_get(
        self, feature: str | int, data: protocol.Part | ReadableBuffer = b"", room: int = commands.ROOM
    ) -> Any:
        """What a feature says, as vfu.Client.feature_get()."""
        return (await self.call(commands.feature_request(feature, protocol.FeatureFlags.GET, data, room))).data

    async def feature_set(self, feature: str | int, data: protocol.Part | ReadableBuffer) -> Any:
        """Sets a feature, as vfu.Client.feature_set()."""
        return (await self.call(commands.feature_request(feature, protocol.FeatureFlags.SET, data))).data

    async def feature_probe(self, feature: str | int, *, get: bool = False, set: bool = False) -> bool:
        """Whether the device has a feature, as vfu.Client.feature_probe()."""
        try:
            await self.call(commands.probe_request(feature, get, set))
        except Error as error:
            if commands.is_lacking(error):
                return False
            raise
        return True

    feature = in_thread(client.Client.feature)
    assign_bars = in_thread(client.Client.assign_bars)

    async def run(self, function: Callable[[client.Client], T]) -> T:
        """What function returns, called with the plain vfu.Client in the thread for what waits: for all that has no coroutine
        of its own, as await dev.run(lambda plain: plain.regions.bar0.capabilities)."""
        return await self._loop.run(lambda: function(self._plain()))

    async def close(self) -> None:
        """Ends the connection, and with Disconnected all that waits. Can be called again.

        Returns when all is over, a function of run() too, for which the event loop does not wait; if it is cancelled it ends all the same.
        """
        await self._loop.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __del__(self) -> None:
        loop = getattr(self, "_loop", None)
        if loop is not None and not loop.is_closed:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, source=self, stacklevel=2)
            loop.close()


def _own(done: Callable[[int, Any], None], status: int, came: tuple[bytes, list[int]] | None) -> None:
    """Descriptors of an answer that nobody waits for any more are closed."""
    done(status, came and (came[0], commands.owned(came[1])))


class _Connecting:
    """What connect() returns: to be awaited, or for async with."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, Client]]) -> None:
        self._make = make
        self._client: Client | None = None

    def __await__(self) -> Generator[Any, None, Client]:
        return self._make().__await__()

    async def __aenter__(self) -> Client:
        self._client = await self._make()
        return self._client

    async def __aexit__(self, *exc: object) -> None:
        if self._client is not None:
            await self._client.close()


def _with_arguments_of(
    init: Callable[Concatenate[client.Client, P], None],
) -> Callable[[Callable[..., _Connecting]], Callable[P, _Connecting]]:
    """For checkers, and for help()."""
    whole = inspect.signature(init)
    said = [one for one in whole.parameters.values() if one.name not in ("self", "background")]

    def decorate(function: Callable[..., _Connecting]) -> Callable[P, _Connecting]:
        function.__signature__ = whole.replace(  # type: ignore[attr-defined]
            parameters=said, return_annotation="Awaitable[Client]"
        )
        return function

    return decorate


@_with_arguments_of(client.Client.__init__)
def connect(*args: Any, **kwargs: Any) -> _Connecting:
    """Connects to a device, at a path or over a socket, with all arguments of vfu.Client but background, and its errors.

    await connect(...) gives a Client, which is to be closed; so does async with, which closes it. One that is cancelled
    leaves nothing behind.
    """
    if kwargs.get("background"):
        raise ValueError("there is no background: the event loop serves the device's DMA")
    inspect.signature(client.Client.__init__).bind(None, *args, **kwargs)  # TypeError
    return _Connecting(functools.partial(_connect, args, kwargs))


async def _connect(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Client:
    """In a thread: it may take long, and questions follow."""
    plain = client.Client.__new__(client.Client)
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(1, "vfu-aio")
    making = loop.run_in_executor(pool, functools.partial(client.Client.__init__, plain, *args, **kwargs))
    try:
        try:
            await asyncio.shield(making)
        except asyncio.CancelledError:
            plain._give_up()
            await asyncio.wait([making])
            raise
        return Client(plain, dict(kwargs.get("options") or {}), pool)
    except BaseException:
        if making.done() and not making.exception():
            plain.close()
        pool.shutdown()
        raise
