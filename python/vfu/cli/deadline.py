# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What --timeout is for a whole command: however promptly each answer comes, so much time and no more.

A server that answers each message just in time is as lost to a script as one that answers none. The alarm is a
signal, for these end whatever waits in the main thread, as Ctrl-C does; in another thread, which gets none, each
answer still has its own time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import libvfu as c
import vfu

from .error import TimeIsUp


class _Alarm(BaseException):
    """Not to be caught by what catches exceptions."""


def _ring(_number: int, _frame: FrameType | None) -> None:
    raise _Alarm


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    old = signal.signal(signal.SIGALRM, _ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, old or signal.SIG_DFL)


def _asked(dev: vfu.Client | None) -> str:
    """What this thread waited for when it was ended; "the device", if its answer came in the same moment."""
    if dev is None or dev._h is None:
        return "the connection"
    error = c.vfu_err()
    c.vfu_client_err(dev._h, error)
    message, colon, why = error.text.partition(": ")
    return f"the answer to {message}" if colon and why == os.strerror(errno.EINTR) else "the device"


class Deadline:
    """Of what is done in `with deadline.kept():`. dev: the client that is used there, as soon as there is one."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.dev: vfu.Client | None = None

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """TimeIsUp: it was not, and what was waited for then."""
        if self.seconds is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        try:
            with _alarm(self.seconds):
                yield
        except _Alarm:
            raise TimeIsUp(f"not done after {self.seconds:g} s, when it waited for {_asked(self.dev)}") from None
