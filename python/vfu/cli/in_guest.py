# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What vfu guest does with its arguments: serves, boots, tells, cleans up."""

import argparse
import contextlib
import os
import re
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ..guest import Cache, GuestError, Kit, Machine, Server, Slot, Task, TimedOut, Unusable, check_drivers, serve_command
from ..guest import run as run_guest
from ..guest.boot import Sink
from .error import CommandError
from .guest import SERVING
from .progress import Progress
from .status import NO_GUEST, TIMEOUT


class Ended(BaseException):
    """By a signal."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def is_file(name: str) -> bool:
    """FILE.py or FILE.py:CLASS."""
    return os.path.isfile(name) or os.path.isfile(name.rpartition(":")[0])


def read_script(name: str | None) -> bytes | None:
    if name is None:
        return None
    if name == "-":
        return sys.stdin.buffer.read()
    return Path(name).read_bytes()


def make_task(options: argparse.Namespace) -> Task:
    """What the guest has to do; complains of what can be known before."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    shell = options.shell or (options.run is None and terminal)
    if shell and not terminal:
        raise CommandError("--shell needs a terminal; --run - takes a script from standard input")
    if not shell and options.run is None:
        raise CommandError("say what the guest has to do: --run SCRIPT, or --shell on a terminal")
    vfio = [driver for driver in options.driver if driver.replace("-", "_") == "vfio_pci"]
    if vfio and not options.iommu:
        raise CommandError("--driver vfio-pci needs --iommu")
    return Task(read_script(options.run), shell, options.driver, dict(options.env), dict(options.file))


def grouped(words: list[str]) -> list[tuple[str, list[str]]]:
    """Each device with its arguments."""
    devices: list[tuple[str, list[str]]] = []
    for word in words:
        if devices and re.match(r"[A-Za-z_]\w*=", word) and not os.path.exists(word):
            devices[-1][1].append(word)
        else:
            devices.append((word, []))
    return devices


def serving_options(options: argparse.Namespace) -> list[str]:
    """What is passed on to vfu serve."""
    passed = [f"--{name}={value}" for name in SERVING for value in getattr(options, f"serve_{name}")]
    return [*passed, f"--log-level={options.log_level}"]


class Devices:
    """Sockets and names of all devices; servers of those that are files."""

    def __init__(self, options: argparse.Namespace, stack: contextlib.ExitStack):
        self.servers: list[Server] = []
        self.sockets: list[str] = []
        self.names: list[str] = []
        self.faults = 0
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vfu-guest.")))
        stack.callback(self.stop)
        for name, arguments in grouped(options.devices):
            self.names.append(name)
            if is_socket(name):
                self.sockets.append(name)
                continue
            command = serve_command(name, *arguments, *serving_options(options))
            socket = directory / f"{len(self.servers)}.sock"
            self.servers.append(Server(command, socket, os.path.basename(name)))
            self.sockets.append(str(socket))

    def watch(self, started: bool) -> bool:
        """Tells of servers that have ended. A guest that runs may go on, one that has not started cannot."""
        for server in self.servers:
            fault = server.fault()
            if fault is not None:
                self.faults += 1
                tell(fault)
        return started or not self.faults

    def stop(self) -> None:
        """Ends the servers."""
        self.watch(True)
        for server in self.servers:
            # By the signal itself: before it was up.
            if not server.told and server.stop() not in (0, -signal.SIGTERM):
                self.faults += 1
                tell(f"the server of {server.name} did not end as it should")
            server.stop()


def tell(text: str) -> None:
    print(f"vfu guest: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """The first signal of these ends the guest; what it takes to clean up is bounded, and no second one stops that."""

    def end(number: int, _: object) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)
        raise Ended(number)

    before: dict[int, object] = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for other, handler in before.items():
            signal.signal(other, handler)  # type: ignore[arg-type]


def write_to(stream: TextIO) -> Sink:
    def write(data: bytes) -> None:
        stream.buffer.write(data)
        stream.flush()

    return write


def run(options: argparse.Namespace) -> int:
    task = make_task(options)
    missing = [name for name, _ in grouped(options.devices) if not is_file(name) and not is_socket(name)]
    if missing:
        raise CommandError(f"there is no file or socket {missing[0]}")
    # Before anything is fetched.
    for path in options.kernel, options.modules:
        if path is not None and not path.exists():
            raise CommandError(f"there is no {path}")
    try:
        with ended_by_signals(), contextlib.ExitStack() as stack:
            status = boot(options, task, stack)
        return status
    except TimedOut as error:
        tell(str(error))
        return TIMEOUT
    except Unusable as error:
        raise CommandError(str(error)) from None
    except GuestError as error:
        tell(str(error))
        return NO_GUEST
    except Ended as error:
        return 128 + error.number


def make_kit(options: argparse.Namespace) -> Kit:
    with contextlib.closing(Progress("guest")) as progress:
        return Kit.of(Cache(options.cache, progress), options.qemu, options.kernel, options.modules)


def boot(options: argparse.Namespace, task: Task, stack: contextlib.ExitStack) -> int:
    kit = make_kit(options)
    check_drivers(task.drivers, kit.kernel)
    devices = Devices(options, stack)
    machine = Machine(
        [Slot(path, options.root_ports) for path in devices.sockets], options.share == "on", options.iommu,
        options.memory, options.append, options.qemu_arg,
    )
    if sys.stderr.isatty():
        introduce(devices.names, machine.addresses(), task.shell)
    console = None
    if options.console == "-":
        console = write_to(sys.stderr)
    elif options.console:
        console = stack.enter_context(open(options.console, "wb", buffering=0)).write
    outcome = run_guest(
        machine, task, kit, stdout=write_to(sys.stdout), stderr=write_to(sys.stderr), console=console,
        qemu=lambda line: tell(f"QEMU: {line}"), timeout=options.timeout, watch=devices.watch,
    )
    return outcome.status or (NO_GUEST if devices.faults else 0)


def introduce(names: list[str], addresses: list[str], shell: bool) -> None:
    """Where the devices are, while the guest boots."""
    for number, (name, address) in enumerate(zip(names, addresses)):
        tell(f"$DEV{number} is {name} at {address}")
    if shell:
        tell("exit or Ctrl-A X ends the guest")
