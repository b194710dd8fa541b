# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Accesses that nobody waits for yet.

    Region.read_async() --> Access: under way --> told by whoever reads: result, or error
                              | cancel()     \\-> result(): reads itself until then
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

import libvfu as c

from ..errors import Disconnected, Error, explain, make_error
from ..shown import shown
from .times import wait_time

T = TypeVar("T")


class Place(NamedTuple):
    """What an access is to: a region, where in it, how many bytes; and whether it writes."""

    region: int
    offset: int
    size: int
    is_write: bool


def why(handle: c.vfu_client, place: Place, code: int, where: str) -> Error:
    """The error of an access of which only the errno is known, with what a call that waits would say."""
    text, field, offset = c.client_explain(handle, *place, code)
    return make_error(code, field, offset, f"{where}: {text}")


class Access(Future[T]):
    """A read or write that is under way, of Region.read_async() and write_async(): a concurrent.futures.Future.

    It ends while anybody reads what the device says: a call that waits, Client.process(), the thread of background=True. Functions
    of add_done_callback() run there, and must not wait for the device. result() and exception() read themselves; concurrent.futures.wait() does not.
    """

    def __init__(self, handle: c.vfu_client, place: Place, where: str, convert: Callable[[int, Any], T]) -> None:
        super().__init__()
        self._place = place
        self._bell: int | None
        self._handle, self._where, self._convert = handle, where, convert
        self._lock = threading.Lock()
        self._waiting, self._bell = 0, None  # an eventfd, while somebody waits
        self.add_done_callback(_ended)
        self._started: c.Started | None = None

    @shown
    def __repr__(self) -> str:
        return f"{self._where}: {'given up' if self.cancelled() else 'ended' if self.done() else 'under way'}"

    def _start(self, start: Callable[[Callable[[int, Any], None]], c.Started]) -> Access[T]:
        try:
            self._started = start(self._settle)
        except Error as error:
            explain(error, f"{self._where}: {error.strerror}")
            raise
        return self

    def _settle(self, status: int, came: Any) -> None:
        if status < 0:
            self.set_exception(why(self._handle, self._place, -status, self._where))
        else:
            self.set_result(self._convert(status, came))

    def cancel(self) -> bool:
        """Gives it up: what it was to fill is the caller's again, but the device may have done it. False: it has ended."""
        if self.done() or self._started is None or not c.client_cancel(self._handle, self._started):
            return self.cancelled()
        super().cancel()
        return not self.set_running_or_notify_cancel()

    def result(self, timeout: float | None = None) -> T:
        """What was read, bytes or how many; None of a write. Waits timeout seconds at most, and reads meanwhile. vfu.Error: see
        vfu.Region; TimeoutError: it has not ended yet."""
        return super().result(self._wait(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What went wrong, None: nothing. Waits as result()."""
        return super().exception(self._wait(timeout))

    def _wait(self, timeout: float | None) -> float | None:
        """Reads until it has ended. What is left of the time: nothing, or all if whoever ends the connection has yet to tell us."""
        longest = wait_time(timeout)
        if self.done():
            return 0
        bell = self._enter()
        try:
            if not self.done():  # or nobody rings any more
                c.client_wait_eventfd(self._handle, bell, longest)
        except Disconnected:
            return timeout
        finally:
            self._leave()
        return 0

    def _enter(self) -> int:
        with self._lock:
            if self._bell is None:
                self._bell = c.eventfd_new()
            self._waiting += 1
            return self._bell

    def _leave(self) -> None:
        self._ring()  # another thread may wait for it, too
        with self._lock:
            self._waiting -= 1
            if self._bell is not None and not self._waiting:
                os.close(self._bell)
                self._bell = None

    def _ring(self) -> None:
        with self._lock:
            if self._bell is not None and self.done():
                os.write(self._bell, (1).to_bytes(8, sys.byteorder))


def _ended(access: Any) -> None:
    access._ring()
