# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A Linux guest with vfio-user devices: `vfu guest` as a function.

    servers.py: vfu serve DEVICE.py --socket--+
    whoever serves ---------------- --socket--+--> boot.py: QEMU --> guest: init, task.py's script
    cache.py: QEMU, kernel, tools ------------'             |
    caller's stdout, stderr <--- serial ports --------------'

    import vfu.guest
    outcome = vfu.guest.run(vfu.guest.Machine([vfu.guest.Slot("/tmp/dev.sock")]), vfu.guest.Task(b"lspci -v -s $DEV0"))
    print(outcome.status, outcome.stdout)

It is emulated, so it needs no rights; a boot takes some 3 seconds of processor time.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import boot
from .cache import Cache, Kernel, Tools
from .errors import GuestError, Unavailable, Unusable
from .machine import Machine, Slot
from .servers import Server, serve_command
from .task import Task, check_drivers, make_initramfs

__all__ = [
    "Cache",
    "GuestError",
    "Kit",
    "Machine",
    "Outcome",
    "Server",
    "Slot",
    "Task",
    "TimedOut",
    "Unavailable",
    "Unusable",
    "check_drivers",
    "run",
    "serve_command",
]

# The longest path of a socket that a kernel takes, in bytes.
LONGEST_PATH = 107


class TimedOut(GuestError):
    """The guest was ended for it took too long."""


@dataclass
class Kit:
    """What a guest is made of: the command of qemu and its first arguments, tools for the guest, and a kernel."""

    qemu: list[str]
    tools: Tools
    kernel: Kernel

    @classmethod
    def of(
        cls, cache: Cache, qemu: str | None = None, kernel: Path | None = None, modules: Path | None = None
    ) -> "Kit":
        """From a cache, but for what is given; raises Unavailable with what to get."""
        with contextlib.closing(cache):
            found = cache.qemu(qemu)
            tools = cache.tools()
            return cls(found, tools, cache.kernel(tools, kernel, modules))


@dataclass
class Outcome:
    """What came of a guest. status: the script's, or the shell's; stdout, stderr: what it printed, bytes; console: what
    the kernel said. What is passed on as it comes is not kept here."""

    status: int
    stdout: bytes
    stderr: bytes
    console: str


class _Reports:
    """What comes from the guest beside the script's output."""

    def __init__(self, console: boot.Sink | None) -> None:
        self.console = bytearray()
        self._further = console
        self.stdout, self.stderr = bytearray(), bytearray()
        self.started = False
        self.status: int | None = None
        self.driver: str | None = None

    def from_console(self, data: bytes) -> None:
        self.console += data
        if self._further is not None:
            self._further(data)

    def control(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        self.started = True
        if word == "end":
            self.end(int(rest))
        elif word == "driver":
            self.driver = rest

    def end(self, status: int) -> None:
        if self.status is None:
            self.status = status

    def console_end(self) -> str:
        """The console's last lines, to be told with a fault."""
        lines = self.console.decode(errors="replace").replace("\r", "").strip().split("\n")[-8:]
        return "".join(f"\n    {line}" for line in lines if line)


def run(
    machine: Machine,
    task: Task,
    kit: Kit | None = None,
    *,
    stdout: boot.Sink | None = None,
    stderr: boot.Sink | None = None,
    console: boot.Sink | None = None,
    qemu: Callable[[str], object] | None = None,
    timeout: float | None = None,
    watch: Callable[[bool], bool] = lambda started: True,
) -> Outcome:
    """Boots a guest and has it do its task; returns when it has powered off.

    stdout, stderr: called with bytes as they come, else they are in the outcome; console: too, with what the kernel
    says; qemu: with lines of QEMU's own, unless the guest does not start.
    timeout: in seconds, of the whole; watch: told five times a second whether the guest has started; False ends it.
    Raises TimedOut, and GuestError for a guest that does not come up, or ends before its script."""
    made_of = kit or Kit.of(Cache())
    check_drivers(task.drivers, made_of.kernel)
    reports, said = _Reports(console), list[str]()
    sinks: dict[str, boot.Sink] = {
        "console": reports.from_console,
        "stdout": stdout or reports.stdout.extend,
        "stderr": stderr or reports.stderr.extend,
        "control": boot.Lines(reports.control),
        "qemu": boot.Lines(lambda line: qemu(line) if qemu and reports.started else said.append(line)),
    }
    with tempfile.TemporaryDirectory(prefix="vfu-guest.") as name:
        initrd = Path(name) / "initrd"
        initrd.write_bytes(make_initramfs(task, made_of.tools, made_of.kernel, machine.addresses()))
        machine = _with_short_paths(machine, Path(name))
        status = boot.run(
            lambda channels: machine.command(made_of.qemu, made_of.kernel, initrd, channels),
            sinks, terminal=task.shell, timeout=timeout, watch=lambda: watch(reports.started),
        )
    if qemu and reports.started:
        for line in said:
            qemu(line)
    if reports.driver is not None:
        raise _no_driver(reports, made_of.kernel)
    if task.shell and reports.started and status == 0:
        reports.end(0)  # by Ctrl-A X, which is a way to end a shell
    return _outcome(status, reports, said, timeout)


def _no_driver(reports: _Reports, kernel: Kernel) -> GuestError:
    why = reports.stderr.decode(errors="replace").strip()
    if kernel.disk is None:
        why = f"{why} (no modules: --modules has to say where this kernel's are, with virtio_blk and squashfs)"
    return GuestError(f"the guest cannot load the driver {reports.driver}" + (f": {why}" if why else ""))


def _outcome(status: int | None, reports: _Reports, said: list[str], timeout: float | None) -> Outcome:
    if reports.status is not None:
        console = reports.console.decode(errors="replace").replace("\r", "")
        return Outcome(reports.status, bytes(reports.stdout), bytes(reports.stderr), console)
    where = "before its script was done" if reports.started else "before it had started"
    if status is None and timeout is not None:
        raise TimedOut(f"the guest was ended after {timeout:g} s, {where}{reports.console_end()}")
    if status is None:
        raise GuestError(f"the guest was ended {where}")
    qemu = "".join(f"\n    {line}" for line in said[-4:])
    raise GuestError(f"QEMU has ended {boot.signal_name(status)} {where}{qemu}{reports.console_end()}")


def _with_short_paths(machine: Machine, directory: Path) -> Machine:
    """The same with sockets at paths that QEMU can connect to, wherever it runs."""
    slots = []
    for number, slot in enumerate(machine.slots):
        path = os.path.abspath(slot.socket)
        if len(os.fsencode(path)) > LONGEST_PATH:
            short = directory / f"{number}.sock"
            short.symlink_to(path)
            path = str(short)
        slots.append(Slot(path, slot.root_port, slot.options))
    return Machine(slots, machine.share, machine.iommu, machine.memory, machine.append, machine.arguments)
