# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A client's connection in an event loop of asyncio.

    Region.read() ... ask(start) --> request --> the device
         ^                                         | answers, reads and writes memory
         | future                                  v
       done(status, result) <-- process() <-- the descriptor is readable, or time is up

Only the loop's thread reads what the device says (vfu_client_set_reader), so all that is told is told here: ends of
requests, the device's accesses to memory that a function serves. What has no request of its own that needs not wait
(maps, resets, questions about regions) is a call of the plain vfu.Client in one more thread, and sleeps there until
this loop has read its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import functools
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

import libvfu as c

from ..errors import Disconnected, Error, make_error

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from ..client import Client
    from ..client.irqs import ClientVector

    Done = Callable[[int, Any], None]

_MOST = 1024  # posted writes that go together: of more the library waits for room, which must not be here
_SMALL = 8  # bytes of one that can go with others

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")


class Block:
    """An async with statement of a task, in which, and in tasks that are started there, calls do something else."""

    def __init__(self, loop: Loop, kind: str) -> None:
        self.loop, self.kind, self.is_open = loop, kind, True
        self.connection: int | None = None  # by which its first write was sent; None: there was none


_blocks: contextvars.ContextVar[tuple[Block, ...]] = contextvars.ContextVar("vfu.aio", default=())


class Loop:
    """What stands between a vfu.Client, which is its own from now on, and the running event loop."""

    def __init__(self, client: Client, pool: Executor, posts: bool) -> None:
        assert client._h is not None  # it has just connected
        self.client, self.posts = client, posts
        self.handle: c.vfu_client = client._h
        self.is_closed = False
        self.is_master = False  # bus mastering is known to be on
        self.armed: dict[tuple[int, int], tuple[int, ClientVector]] = {}  # eventfds that the device was given
        self.cause: Error | None = None  # why the connection has ended
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._pid = os.getpid()
        self._timer: asyncio.Handle | None = None
        self._waiters: set[asyncio.Future[Any]] = set()  # that only the end of the connection has to tell
        self._turn = self._loop.create_future()
        self._gate = asyncio.Lock()  # who found the queue full, and those behind, who are
        self._behind = 0  # so many; the lock is free for a moment when it goes from one to the next
        self._pool = pool
        self._gathered = 0  # posted writes of this turn that go together
        self._watched: set[int] = set()
        self._ended: asyncio.Future[None] | None = None  # close() is under way, or done
        c.vfu_client_set_reader(self.handle, True)
        self._fd = c.vfu_client_fd(self.handle)
        self._loop.add_reader(self._fd, _process, weakref.ref(self))
        self._set_timer()

    @property
    def may_post(self) -> bool:
        """Whether the library posts: not with a region that can be mapped, nor where it was told not to."""
        known = list(self.client.regions._known.values())
        return self.posts and not any(region.flags & c.VFU_REGION_MMAP for region in known)

    # ---- turns ----

    def process(self) -> None:
        """Handles what has come, and sets the time of the next turn."""
        if self.is_closed or self.cause is not None:
            return
        try:
            c.vfu_client_process(self.handle, 0)
        except Error as error:
            self._lose(error)
            return
        self._tell_turn()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        timeout = c.vfu_client_timeout(self.handle)
        self._timer = None if timeout < 0 else self._loop.call_later(timeout / 1000, _process, weakref.ref(self))

    def _tell_turn(self) -> None:
        turn, self._turn = self._turn, self._loop.create_future()
        turn.set_result(None)

    def _lose(self, error: Error) -> None:
        """The connection has ended."""
        self.cause = error
        self._leave()
        for waiter in list(self._waiters):
            if not waiter.done():
                waiter.set_exception(self.disconnected())
        self._tell_turn()

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._loop.is_closed():
            for fd in {self._fd, *self._watched}:
                self._loop.remove_reader(fd)
        self._watched.clear()

    def check(self, where: str = "") -> None:
        """Raises Disconnected if nothing can be asked any more."""
        if self.is_closed or self.cause is not None:
            raise self.disconnected(where)

    def disconnected(self, where: str = "", cause: Error | None = None) -> Error:
        """For who waited when the connection ended: its first cause, with what a plain Client says of it."""
        cause = self.cause or cause
        if self.is_closed or cause is None:
            error = make_error(errno.ENOTCONN, text=where + "closed")
        else:
            error = make_error(cause.errno or errno.ENOTCONN, cause.field or "", cause.offset, f"{where}{cause.strerror}", True)
        error.__cause__ = cause
        return error

    def _begin_end(self) -> bool:
        """False: somebody else has, or this is a child of the process."""
        if self.is_closed or self._pid != os.getpid():
            return False
        self.is_closed = True
        self._lose(make_error(errno.ENOTCONN, text="closed"))
        return True

    def _end(self) -> None:
        """Waits for what the thread does, a function of the user's, too."""
        self.client.close()
        self._pool.shutdown()

    def close(self) -> None:
        """Ends the connection, and all that waits for it, where nobody awaits that."""
        if self._begin_end():
            self._end()

    async def aclose(self) -> None:
        """The same, while the event loop goes on."""
        if self._begin_end():
            self._ended = self._loop.create_future()
            threading.Thread(target=self._end_and_tell, args=(self._ended,), name="vfu-aio-close").start()
        if self._ended is not None:
            await asyncio.shield(self._ended)

    def _end_and_tell(self, ended: asyncio.Future[None]) -> None:
        me = threading.current_thread()

        def tell() -> None:
            me.join()  # which has nothing left to do
            ended.set_result(None)

        try:
            self._end()
        finally:
            with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody awaits it
                self._loop.call_soon_threadsafe(tell)

    # ---- requests ----

    async def ask(self, start: Callable[[Done], c.Started], where: str = "", longest: int = 0) -> Any:
        """Has start send a request, and waits for what it is answered; where: how errors begin; longest: of answer_time(), also
        for a connection that is not there yet."""
        future: asyncio.Future[Any] = self._loop.create_future()
        done = functools.partial(self._settle, future, where)
        request = None if self._behind else self._start(start, done, where)
        if request is None:
            request = await self._start_in_turn(start, done, where, self._until(longest))
        try:
            return await future
        except asyncio.CancelledError:
            self._give_up(request)
            raise

    def _start(self, start: Callable[[Done], c.Started], done: Done, where: str) -> c.Started | None:
        """None: the queue is full, or there is no connection yet."""
        self.check(where)
        try:
            return start(done)
        except Error as error:
            if error.errno != errno.ENOBUFS and not self._is_coming():
                raise
            return None

    def _is_coming(self) -> bool:
        """Whether the client is connecting again."""
        try:
            c.vfu_client_status(self.handle)
        except OSError as error:
            return error.errno == errno.EINPROGRESS
        return False

    def _until(self, longest: int = 0) -> float | None:
        """When whoever waits from now on has waited for long enough, longest ms, or the Client's time; None: never."""
        seconds = longest / 1000 if longest > 0 else 0 if longest else self.client._timeout
        return self._loop.time() + seconds if seconds else None

    async def _next(self, turn: asyncio.Future[None], until: float | None) -> None:
        """TimeoutError: that takes too long."""
        await asyncio.wait_for(asyncio.shield(turn), until and until - self._loop.time())

    @contextlib.asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        self._behind += 1
        try:
            async with self._gate:
                yield
        finally:
            self._behind -= 1

    async def _start_in_turn(
        self, start: Callable[[Done], c.Started], done: Done, where: str, until: float | None
    ) -> c.Started:
        async with self._in_turn():
            while True:
                turn = self._turn
                if (request := self._start(start, done, where)) is not None:
                    return request
                try:
                    await self._next(turn, until if self._is_coming() else None)
                except asyncio.TimeoutError:
                    raise self.disconnected(where) from None

    def _give_up(self, request: c.Started) -> None:
        """Its answer is dropped when it comes; memory for it is free now, or when it comes."""
        if not self.is_closed:
            c.client_cancel(self.handle, request)

    def _settle(self, future: asyncio.Future[Any], where: str, status: int, result: Any) -> None:
        """Told by the library; on another thread if it is that one which ends the connection."""
        if threading.get_ident() != self._thread:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._settle, future, where, status, result)
        elif future.done():
            return
        elif status >= 0:
            future.set_result(result)
        else:
            future.set_exception(self._error(-status, where))

    def _error(self, code: int, where: str) -> Error:
        if code in (errno.ENOTCONN, errno.EPROTO):
            if self.is_closed or self.cause is not None:
                return self.disconnected(where)
            try:
                c.vfu_client_status(self.handle)  # a device may answer so, and go on
            except Error as error:
                self._loop.call_soon(self.process)  # which tells all others; this may be in it
                return self.disconnected(where, error)
        return make_error(code, text=where + os.strerror(code))

    async def room(self) -> None:
        """Until all that was said is in the socket: what is posted now waits for nothing."""
        async with self._in_turn():
            until = self._until()
            while True:
                turn = self._turn
                self.check()
                if not c.client_is_sending(self.handle):
                    return
                try:
                    await self._next(turn, until)
                except asyncio.TimeoutError:
                    raise make_error(errno.ETIMEDOUT, text="the device does not read") from None

    async def post(self, index: int, offset: int, data: memoryview) -> None:
        """Sends a write that wants no answer. In a block of posting() small ones of one turn go together."""
        blocks = self._blocks("posting")
        is_small = len(data) <= _SMALL and bool(blocks)
        if not is_small or not 0 < self._gathered < _MOST:
            self._send_gathered()
            await self.room()
        if is_small:
            self._gather()
        c.vfu_client_region_post(self.handle, index, offset, data)
        for block in blocks:
            if block.connection is None:
                block.connection = self.client.link.restored

    def _gather(self) -> None:
        """What the library calls a batch of the thread lasts until the end of the turn, for other tasks are in it, too."""
        if not self._gathered:
            c.vfu_client_post_begin(self.handle)
            self._loop.call_soon(self._send_gathered)
        self._gathered += 1

    def _send_gathered(self) -> None:
        """What the socket does not take is sent by the next turns."""
        if self._gathered:
            self._gathered = 0
            with contextlib.suppress(OSError):  # which process() finds out
                c.vfu_client_post_leave(self.handle)

    # ---- blocks ----

    @contextlib.asynccontextmanager
    async def block(self, kind: str) -> AsyncIterator[Block]:
        """Tasks that outlive it are not in it any more."""
        block = Block(self, kind)
        _blocks.set((*(one for one in _blocks.get() if one.is_open), block))
        try:
            yield block
        finally:
            block.is_open = False

    def is_in(self, kind: str) -> bool:
        """Whether the running task is in such a block."""
        return bool(self._blocks(kind))

    def _blocks(self, kind: str) -> list[Block]:
        return [one for one in _blocks.get() if one.is_open and one.loop is self and one.kind == kind]

    @contextlib.asynccontextmanager
    async def posting(self) -> AsyncIterator[None]:
        """See Client.posting()."""
        try:
            async with self.block("posting") as block:
                yield
        finally:
            self._send_gathered()
        await self.room()
        if block.connection is not None and (block.connection != self.client.link.restored or self._is_coming()):
            # As the end of a batch of a thread: what was written may be lost.
            raise make_error(errno.ENOTCONN, text="the batch was begun on a connection that has ended")

    # ---- what waits for something else ----

    def waiter(self) -> asyncio.Future[Any]:
        """A future that the end of the connection fails with Disconnected."""
        self.check()
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiters.add(future)
        future.add_done_callback(self._waiters.discard)
        return future

    def watch(self, fd: int, function: Callable[[], None]) -> None:
        """Calls it whenever fd is readable, until the connection ends."""
        self._loop.add_reader(fd, function)
        self._watched.add(fd)

    def unwatch(self, fd: int) -> None:
        """No longer. Its number may be another's by now if the connection has ended."""
        if fd in self._watched and not self._loop.is_closed():
            self._loop.remove_reader(fd)
        self._watched.discard(fd)

    def later(self, seconds: float, function: Callable[[], None]) -> asyncio.TimerHandle:
        """Calls it once so much time has passed."""
        return self._loop.call_later(seconds, function)

    # ---- in a thread ----

    def begin(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Has it called there, in its turn."""
        if self.is_closed:
            raise self.disconnected()
        return asyncio.wrap_future(self._pool.submit(function))

    async def run(self, function: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """Calls what waits in the thread for that, one after another.

        If who awaits it is cancelled it is not begun, or goes on; what it has done is undone then, in the thread too.
        """
        if self.is_closed:
            raise self.disconnected()
        job = self._pool.submit(function)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            if undo is not None and not self.is_closed:
                self._pool.submit(_undo, job, undo)
            raise
        except Disconnected:
            self.process()  # which finds out whether that is so: a device may answer so, too
            raise
        finally:
            del job  # which has the exception, which has this


def _undo(job: Future[T], undo: Callable[[T], object]) -> None:
    """Behind the job. That it was cancelled or has failed, and what is wrong now, is nobody's business any more."""
    if not job.cancelled() and job.exception() is None:
        undo(job.result())


def _process(which: weakref.ref[Loop]) -> None:
    """The event loop keeps nobody who is not used any more."""
    loop = which()
    if loop is not None:
        loop.process()


class _Part(Protocol):
    """What is made of an object of vfu's client."""

    _loop: Loop

    def _plain(self) -> Any: ...


def in_thread(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """A method of the plain object as a coroutine, with its arguments and documentation."""

    @functools.wraps(method)
    async def call(self: _Part, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._loop.run(lambda: method(self._plain(), *args, **kwargs))

    return call
