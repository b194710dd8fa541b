# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A command that becomes a process of its own: what --detach, --pid-file, --log-file and --ready-fd of vfu serve do.

    who is called               waits for a byte, and ends with status 0; 1 if there is none
        |   ^                        ^
      fork  |                        | pipe
        |   | waits                  |
        v   |                        |
      leads a session, and ends      |
        |                            |
      fork: leads none, so no terminal can become its own
        |                            |
        v                            |
      loads the device, listens ---> ready: from now on output goes to the log

Until it is ready it writes where the command would, so whoever has called sees what is wrong. The forks come before
anything of the device or the library is made: neither has threads or descriptors that a child would lack.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import io
import logging
import logging.handlers
import os
import socket
import sys
from typing import TextIO, cast

from .activation import descriptor
from .error import CommandError

SYSLOG = "/dev/log"

output = logging.getLogger("vfu.output")
output.setLevel(logging.DEBUG)  # whatever --log-level is


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ready-fd", type=descriptor, metavar="N",
                        help='write "ready" and a newline to this descriptor once clients can connect, and close it')
    parser.add_argument("--detach", action="store_true",
                        help="go on in the background: the command ends once clients can connect, or with status 1")
    parser.add_argument("--pid-file", metavar="PATH",
                        help="has the process's number while it serves, and is locked; removed at the end")
    parser.add_argument("--log-file", metavar="PATH",
                        help="append the log to this file, and with --detach all output (without it: to syslog)")


def reason(error: OSError, path: str) -> CommandError:
    return CommandError(f"{path}: {error.strerror}")


def fork_away() -> int:
    """Goes on in the background. Returns what is_ready() is told with. The process that called waits, and ends here."""
    sys.stdout.flush()
    sys.stderr.flush()
    word, say = os.pipe()
    child = os.fork()
    if child:
        os.close(say)
        os.waitpid(child, 0)
        raise SystemExit(0 if os.read(word, 1) else 1)
    os.close(word)
    os.setsid()
    if os.fork():
        os._exit(0)
    return say


def tell(fd: int, word: bytes, option: str) -> None:
    """The last word to a descriptor, unless it is a standard stream."""
    try:
        os.write(fd, word)
    except OSError as error:
        raise reason(error, option) from error
    if fd > 2:
        os.close(fd)


class PidFile:
    """Locked as long as the process lives: a file that a dead one has left is no obstacle."""

    def __init__(self, path: str):
        self.path = os.path.abspath(path)
        self.file = self.lock()
        while not os.path.exists(path) or not os.path.samestat(os.stat(path), os.fstat(self.file.fileno())):
            self.file.close()  # who had it has removed it just then
            self.file = self.lock()

    def lock(self) -> TextIO:
        try:
            file = open(self.path, "a+")
        except OSError as error:
            raise reason(error, self.path) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            other = file.read(20).strip() or "its number is yet to come"
            file.close()
            raise CommandError(f"{self.path} is of a process that runs: {other}") from None
        return file

    def write(self) -> None:
        self.file.truncate(0)
        self.file.write(f"{os.getpid()}\n")
        self.file.flush()

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        self.file.close()


class Lines(io.TextIOBase):
    """A stream whose lines are logged: what a device prints, where there is no other place for it."""

    def __init__(self, level: int):
        self.level, self.rest = level, ""

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in filter(None, lines):
            output.log(self.level, "%s", line)
        return len(text)


class Syslog(logging.handlers.SysLogHandler):
    """Of this machine. Raises OSError if there is none, which the handler itself would put up with."""

    def __init__(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
            there.connect(SYSLOG)
        super().__init__(SYSLOG, self.LOG_DAEMON)
        self.setFormatter(logging.Formatter(f"vfu[{os.getpid()}]: %(message)s"))

    def handleError(self, record: logging.LogRecord) -> None:
        """There is no other place to say it: standard error comes here."""


def log_handler(path: str | None) -> logging.Handler:
    """For a file, which may be moved away meanwhile, or for syslog. Raises CommandError if there is none."""
    try:
        if path is None:
            return Syslog()
        handler = logging.handlers.WatchedFileHandler(path)
    except OSError as error:
        hint = "" if path else "; without syslog --detach wants --log-file"
        raise CommandError(f"{path or SYSLOG}: {error.strerror}{hint}") from error
    handler.setFormatter(logging.Formatter(f"%(asctime)s vfu[{os.getpid()}]: %(levelname)s: %(message)s"))
    return handler


def redirect(handler: logging.Handler) -> None:
    """Standard streams go where the log goes."""
    log = handler.stream.fileno() if isinstance(handler, logging.FileHandler) else None
    with open(os.devnull, "r+b", buffering=0) as null:
        for fd in (0, 1, 2):
            os.dup2(log if log is not None and fd else null.fileno(), fd)
    if log is None:
        sys.stdout, sys.stderr = cast(TextIO, Lines(logging.INFO)), cast(TextIO, Lines(logging.ERROR))
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)


class Process:
    """What these options make of the command. Made before all else: it may go on in another process then."""

    def __init__(self, options: argparse.Namespace):
        self.ready_fd: int | None = options.ready_fd
        if self.ready_fd is not None:
            try:
                os.set_inheritable(self.ready_fd, self.ready_fd <= 2)
            except OSError as error:
                raise reason(error, f"--ready-fd={self.ready_fd}") from error
        self.waiter = fork_away() if options.detach else None
        self.handler = log_handler(options.log_file) if options.detach or options.log_file else None
        if self.handler:
            logging.getLogger().handlers[:] = [self.handler]
        self.pid_file = PidFile(options.pid_file) if options.pid_file else None

    def is_ready(self) -> None:
        """Clients can connect: tells all who want to know. CommandError: whoever waited for it has gone."""
        sys.stdout.flush()
        if self.pid_file:
            self.pid_file.write()
        if self.ready_fd is not None:
            tell(self.ready_fd, b"ready\n", f"--ready-fd={self.ready_fd}")
        if self.waiter is not None and self.handler:
            redirect(self.handler)
            tell(self.waiter, b"\n", "--detach")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.pid_file:
            self.pid_file.remove()
