# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Exceptions, and what becomes of exceptions in callbacks."""

import errno
import logging
import os

import libvfu as c

logger = logging.getLogger("vfu")

_LEVELS = {
    c.VFU_LOG_ERROR: logging.ERROR,
    c.VFU_LOG_WARN: logging.WARNING,
    c.VFU_LOG_INFO: logging.INFO,
    c.VFU_LOG_DEBUG: logging.DEBUG,
}


class Error(OSError):
    """A call failed. field names the wire field at fault, if one was ("dma_map.size")."""

    field = None
    offset = 0


class Timeout(Error, TimeoutError):
    """The peer did not answer in time."""


class Disconnected(Error, ConnectionError):
    """There is no connection, or it has ended."""


class NotFound(Error, FileNotFoundError):
    """There is no such socket, or no such thing."""


class Refused(Error, ConnectionRefusedError):
    """The socket is there, but nobody listens."""


class Denied(Error, PermissionError):
    """The system, or the peer, does not allow it."""


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


def make_error(code, field="", offset=0, text=""):
    """The exception for a positive errno."""
    error = _CLASSES.get(code, Error)(code, text or os.strerror(code))
    if field:
        error.field, error.offset = field, offset
    return error


def report(where, exc):
    """Logs an exception that a callback let go. Returns the errno for the client."""
    name = getattr(where, "__qualname__", None) or repr(where)
    logger.error("%s: %s: %s", name, type(exc).__name__, exc, exc_info=exc)
    code = exc.errno if isinstance(exc, OSError) else None
    return code if isinstance(code, int) and 0 < code < 4096 else errno.EIO


def _log(level, text):
    logger.log(_LEVELS.get(level, logging.ERROR), "%s", text)


def log_level():
    """The library's log level that fits the logger's."""
    wanted = logger.getEffectiveLevel()
    return max((ours for ours, level in _LEVELS.items() if level >= wanted), default=c.VFU_LOG_ERROR)


c.set_globals(make_error, report, _log)
