# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Exceptions, and what becomes of exceptions in callbacks."""

from __future__ import annotations

import errno
import logging
import os
import time
import types
from collections.abc import Callable
from typing import Any, TypeVar

import libvfu as c

logger = logging.getLogger("vfu")
Function = TypeVar("Function", bound=Callable[..., Any])

# Below logging.DEBUG, at which messages are shown with their fields: with their first bytes, too.
TRACE = 5
if logging.getLevelName(TRACE) == f"Level {TRACE}":
    logging.addLevelName(TRACE, "TRACE")

_LEVELS = {
    c.VFU_LOG_ERROR: logging.ERROR,
    c.VFU_LOG_WARN: logging.WARNING,
    c.VFU_LOG_INFO: logging.INFO,
    c.VFU_LOG_DEBUG: logging.DEBUG,
    c.VFU_LOG_TRACE: TRACE,
}


class Error(OSError):
    """A call failed: an OSError, whose errno is the library's or, if the other end refused, that of its reply.

    strerror says what went wrong, and where. field: the field of a message that broke a rule, if one did
    ("dma_map.size"), else None; offset: where in the payload that is, in bytes. EPROTO: what the other end sent.
    """

    field: str | None = None
    offset: int = 0


class Timeout(Error, TimeoutError):
    """ETIMEDOUT: the other end did not answer in time; timeout of Client, timeout_ms in options."""


class Disconnected(Error, ConnectionError):
    """There is no connection, or it has ended: ENOTCONN, ECONNRESET, EPIPE; EPROTO, if the other end has broken a rule.

    A client's calls all tell the one cause, the one that finds it and those that come later.
    """


class NotFound(Error, FileNotFoundError):
    """ENOENT: there is no such socket, or no such thing."""


class Refused(Error, ConnectionRefusedError):
    """ECONNREFUSED: the socket is there, but nobody listens."""


class Denied(Error, PermissionError):
    """EACCES, EPERM: the system, or the other end, does not allow it."""


# Errors that Python has classes for are of those too, so that scripts may know either.
_CLASSES = {
    errno.ENOENT: NotFound,
    errno.ECONNREFUSED: Refused,
    errno.EACCES: Denied,
    errno.EPERM: Denied,
    errno.ETIMEDOUT: Timeout,
    errno.ENOTCONN: Disconnected,
    errno.ECONNRESET: Disconnected,
    errno.EPIPE: Disconnected,
}


def make_error(code: int, field: str = "", offset: int = 0, text: str = "", has_ended: bool = False) -> Error:
    """The exception for a positive errno. has_ended: so has the connection."""
    error = _CLASSES.get(code, Disconnected if has_ended else Error)(code, text or os.strerror(code))
    if field:
        error.field, error.offset = field, offset
    return error


def explain(error: OSError, text: str) -> None:
    """Says better what went wrong, to str() and repr() alike."""
    error.strerror = text
    error.args = (error.errno, text)


# A client can make a handler fail as often as it likes. As the library does with its lines, of each kind (one place,
# one exception) a few are logged in a while, the first with its traceback; the others are counted, and the next of
# that kind tells how many there were, or the end of a connection after that while.
_KINDS, _BURST, _WHILE = 32, 10, 10.0
_REFUSES = "on_gate"  # whose OSError is an answer: where it was raised says nothing more
_reports: dict[Any, _Kind] = {}
_now = time.monotonic


class _Kind:
    def __init__(self) -> None:
        self.since, self.logged, self.missed, self.text = _now(), 0, 0, ""


def _kind_of(name: str, exc: BaseException) -> _Kind:
    """The entry for such failures, made new when its while is over; the oldest makes room."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    key = name, type(exc), trace and (trace.tb_frame.f_code, trace.tb_lineno)
    kind = _reports.get(key)
    if kind is None and len(_reports) >= _KINDS:
        del _reports[min(_reports, key=lambda key: _reports[key].since)]
    if kind is None:
        kind = _reports[key] = _Kind()
    elif _now() - kind.since >= _WHILE:
        kind.since, kind.logged = _now(), 0
    return kind


_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep, os.path.abspath(str(c.__file__))


def _of_users(trace: types.TracebackType | None) -> types.TracebackType | None:
    """Without the frames of this package, which say nothing to who reads of a handler that failed; all, if there are no others."""
    kept = []
    one = trace
    while one is not None:
        if not os.path.abspath(one.tb_frame.f_code.co_filename).startswith(_OURS):
            kept.append(one)
        one = one.tb_next
    shown = None
    for one in reversed(kept):
        shown = types.TracebackType(shown, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return shown or trace


def hook(name: str, *, answered: bool = True) -> Callable[[Function], Function]:
    """Decorator of a method that the library calls, and that calls the method of this name, of a device's class.

    answered: whether the client is told if it fails."""

    def mark(function: Function) -> Function:
        setattr(function, "hook", name)
        setattr(function, "answered", answered)
        return function

    return mark


def report(where: object, exc: BaseException) -> int:
    """Logs an exception that a callback let go. Returns the errno for the client.

    where: what was called; of a method of ours that calls a hook (see hook()), the hook is what people know.
    """
    if name := getattr(where, "hook", None):
        if not where.answered:  # type: ignore[attr-defined]
            keep_unanswered(where.__self__, exc)  # type: ignore[attr-defined]
        where = getattr(where.__self__, name)  # type: ignore[attr-defined]
    name = getattr(where, "__qualname__", None) or repr(where)
    kind = _kind_of(name, exc)
    if kind.logged < _BURST:
        kind.text = f"{name}: {type(exc).__name__}: {exc}"
        more = f" (and {kind.missed} more like that)" if kind.missed else ""
        is_answer = isinstance(exc, OSError) and name.endswith(f".{_REFUSES}")
        where_from = (type(exc), exc, _of_users(exc.__traceback__))
        logger.error("%s%s", kind.text, more, exc_info=None if kind.logged or is_answer else where_from)
        kind.logged, kind.missed = kind.logged + 1, 0
    else:
        kind.missed += 1
    code = exc.errno if isinstance(exc, OSError) else None
    return code if isinstance(code, int) and 0 < code < 4096 else errno.EIO


def keep_unanswered(device: Any, exc: BaseException | None) -> None:
    """A failure that nobody but the log is told of, for a test that wants to know: see vfu.testing.plug."""
    if device._unanswered_failures is not None:
        device._unanswered_failures.append(exc)


def report_missed() -> None:
    """Tells of failures that were counted only, once their while is over."""
    for kind in list(_reports.values()):
        if kind.missed and _now() - kind.since >= _WHILE:
            logger.error("%s (and %d more like that)", kind.text, kind.missed)
            kind.missed = 0


def _log(level: int, text: str) -> None:
    logger.log(_LEVELS.get(level, logging.ERROR), "%s", text)


def log_level() -> int:
    """The library's log level that fits the logger's."""
    wanted = logger.getEffectiveLevel()
    return max((ours for ours, level in _LEVELS.items() if level >= wanted), default=c.VFU_LOG_ERROR)


def trace_option() -> int:
    """What of messages the library is to log for whoever wants to see so much."""
    return {c.VFU_LOG_DEBUG: 1, c.VFU_LOG_TRACE: 2}.get(log_level(), 0)


c.set_globals(make_error, report, _log)
