# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""For tests of devices: a device in this process, or served by `vfu serve`, each with a client.

    import vfu.testing

    with vfu.testing.plug(MyDevice()) as dev:
        dev.regions.bar0.write32(0, 1)

pytest has fixtures of all this, and of Linux guests: see vfu.pytest_plugin.
"""

import contextlib
import gc
import inspect
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vfu import Client, Device, Disconnected, Server

from .guest.boot import signal_name
from .guest.servers import PATIENCE, serve_command
from .guest.servers import Server as Process

__all__ = ["leaves_nothing", "plug", "served"]


@contextlib.contextmanager
def plug(
    device: Device,
    *,
    profile: str | None = None,
    policy: Mapping[str, str] | None = None,
    options: Mapping[str, int] | None = None,
    capabilities: Mapping[str, int | bool] | None = None,
    client: Mapping[str, Any] | None = None,
    **others: Any,
) -> Iterator[Client]:
    """A connected client of a device that a thread of this process serves, until the end of the block.

    profile, policy, options, capabilities: the server's, with the defaults of `vfu serve`; all else is for Client,
    which gets its own of these four in client={"capabilities": {"sparse_mmap_fds": True}}.
    Raises what Client and Server raise; and at its end, if the block has raised nothing, the first exception of the device
    that no answer told of: of a write's coroutine, of spawn()'s, of on_connect() and its like."""
    failures: list[Exception] = []
    device._unanswered_failures = failures
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            server = Server(
                device, fd=theirs, profile=profile, policy=policy, options=options, capabilities=capabilities
            )
        with server, server.start(), Client(fd=ours, **(client or {}), **others) as dev:
            ours.close()  # the client has its own: it alone keeps the connection
            yield dev
    device._unanswered_failures = None
    if failures:
        raise failures[0]


@contextlib.contextmanager
def served(device: str | type[Device], *arguments: str, **client: Any) -> Iterator[Client]:
    """A connected client of a device in a process of its own, `vfu serve FILE.py[:CLASS] ARGUMENT...`.

    device: FILE.py[:CLASS], or a class that a file has at its top level. What the server says goes to our stderr.
    Raises AssertionError if there is no server, or at the end if it has ended by itself, or does not end as it should."""
    with tempfile.TemporaryDirectory(prefix="vfu-testing.") as name:
        process = Process(serve_command(file_of(device), *arguments), Path(name) / "dev.sock", file_of(device))
        fault, status = None, None
        try:
            with connected(process, client) as dev:
                yield dev
        finally:
            fault, status = process.fault(), process.stop()
            if fault is None and status != 0:
                fault = f"the server of {process.name} ends {signal_name(status or -9)}"
        assert fault is None, fault


def connected(process: Process, client: Mapping[str, Any]) -> Client:
    """A client of a server. AssertionError: the server has ended."""
    try:
        return Client(process.path, **client)
    except Disconnected:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.process.wait(PATIENCE)
        fault = process.fault()
        assert fault is None, fault
        raise


def file_of(device: str | type[Device]) -> str:
    """What `vfu serve` is told of a class."""
    if isinstance(device, str):
        return device
    if "." in device.__qualname__:
        raise ValueError(f"{device.__qualname__} is not at the top level of its file, where vfu serve looks")
    return f"{inspect.getfile(device)}:{device.__name__}"


@contextlib.contextmanager
def leaves_nothing() -> Iterator[None]:
    """Raises AssertionError if the block leaves a descriptor open, or a thread behind."""
    before, threads = open_descriptors(), set(threading.enumerate())
    yield
    gc.collect()
    left = {fd: what for fd, what in open_descriptors().items() if before.get(fd) != what}
    assert not left, f"descriptors left open: {left}"
    running = [thread.name for thread in threading.enumerate() if thread not in threads]
    assert not running, f"threads left behind: {running}"


def open_descriptors() -> dict[int, str]:
    """Each with what it is open at."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found
