# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What a service manager and a service tell each other, in systemd's way: see sd_listen_fds(3) and sd_notify(3).

    manager   LISTEN_FDS=2 LISTEN_FDNAMES=a:b LISTEN_PID=77      descriptors 3 and 4 are sockets for process 77
              NOTIFY_SOCKET=/run/... or @abstract                datagrams go there
    service   READY=1, STOPPING=1

The variables are read once and removed, for they are meant for no process that a device starts.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import socket
from collections.abc import MutableMapping
from typing import NamedTuple

from .error import CommandError

FIRST_FD = 3
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "NOTIFY_SOCKET")
NOTIFY_TIMEOUT = 5.0  # seconds; a manager that reads nothing keeps nobody from serving

logger = logging.getLogger("vfu")


class Manager(NamedTuple):
    """What one has said. sockets: {descriptor: name}; notify: where it listens; unused: why its sockets are not ours."""

    sockets: dict[int, str]
    notify: str
    unused: str

    def tell(self, *words: str) -> None:
        """Sends READY=1 and the like, if somebody listens. That it did not arrive is logged only."""
        if not self.notify:
            return
        address = "\0" + self.notify[1:] if self.notify.startswith("@") else self.notify
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(NOTIFY_TIMEOUT)
                sender.sendto("\n".join(words).encode(), os.fsencode(address))
        except OSError as error:
            logger.warning("NOTIFY_SOCKET=%s: %s", self.notify, error.strerror or error)


def take_environment(environment: MutableMapping[str, str] = os.environ) -> Manager:
    """Reads the variables and removes them. Raises CommandError for sockets that are ours, and wrong."""
    said = {name: environment.pop(name) for name in VARIABLES if name in environment}
    sockets, unused = {}, ""
    if "LISTEN_FDS" in said:
        unused = not_ours(said)
        sockets = {} if unused else passed(said)
    return Manager(sockets, said.get("NOTIFY_SOCKET", ""), unused)


def not_ours(said: dict[str, str]) -> str:
    pid = said.get("LISTEN_PID", "")
    return "" if pid == str(os.getpid()) else f"LISTEN_PID={pid} is for another process, this is {os.getpid()}"


def passed(said: dict[str, str]) -> dict[int, str]:
    text = said["LISTEN_FDS"]
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 1024:
        raise CommandError(f"LISTEN_FDS={text} is no number of sockets")
    count = int(text)
    names = said["LISTEN_FDNAMES"].split(":") if said.get("LISTEN_FDNAMES") else ["unknown"] * count
    if len(names) != count:
        raise CommandError(f"LISTEN_FDNAMES={said['LISTEN_FDNAMES']} has {len(names)} names for LISTEN_FDS={count}")
    for fd in range(FIRST_FD, FIRST_FD + count):
        try:
            os.set_inheritable(fd, False)
        except OSError as error:
            raise CommandError(f"LISTEN_FDS={count}, but descriptor {fd}: {error.strerror}") from error
    return dict(zip(range(FIRST_FD, FIRST_FD + count), names))


def choose(sockets: dict[int, str], name: str | None) -> int:
    """The one with this name, or the only one; it is kept. Raises CommandError."""
    found = [fd for fd, its in sockets.items() if name is None or its == name]
    if len(found) != 1:
        there = ", ".join(sockets.values()) or "none"
        raise CommandError(
            f"{'no' if not found else len(found)} sockets are called {name}; there are: {there}" if name is not None
            else f"the service manager passes {len(found)} sockets: say --fd=NAME; there are: {there}"
        )
    return keep(sockets, found[0])


def keep(sockets: dict[int, str], fd: int) -> int:
    """Closes the others."""
    for other in sockets.keys() - {fd}:
        os.close(other)
    return fd


def descriptor(text: str) -> int:
    """Its number, of an argument."""
    number = int(text)
    if not 0 <= number < 1 << 31:
        raise argparse.ArgumentTypeError(f"{text} is no descriptor")
    return number


def descriptor_or_name(text: str) -> int | str:
    """Of one, or of a service manager's socket."""
    return descriptor(text) if text.isdecimal() else text


def beside_streams(fd: int) -> int:
    """The same, with a number that no standard stream has: those may become others."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FD) if fd < FIRST_FD else fd
    except OSError as error:
        raise CommandError(f"descriptor {fd}: {error.strerror}") from error


def check_socket(fd: int) -> None:
    """Raises CommandError unless it is a stream socket of UNIX."""
    try:
        with socket.socket(fileno=os.dup(fd)) as copy:
            family, kind = copy.family, copy.type
    except OSError as error:
        raise CommandError(f"descriptor {fd}: {error.strerror}") from error
    if family != socket.AF_UNIX or kind != socket.SOCK_STREAM:
        raise CommandError(f"descriptor {fd} is no stream socket of UNIX, as of ListenStream=/PATH: {family.name}, {kind.name}")
