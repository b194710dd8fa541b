# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu guest: boots a Linux guest that has devices attached."""

import argparse
import contextlib
import os
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..guest import (
    Cache, GuestError, Kit, Machine, Server, Slot, Task, TimedOut, Unavailable, run as run_guest, serve_command
)
from .error import CommandError
from .progress import Progress

EPILOG = """\
In the guest $DEV0, $DEV1... are the devices' PCI addresses, in the order of the command line. It has busybox
(devmem, modprobe, vi...), lspci, setpci, all modules of the kernel, and "bind-driver DRIVER ADDRESS...", which gives
a device to a driver that does not know it by its ids. Its root file system is in memory and gone after it.

QEMU, if PATH has none of version 11.1 or newer, the kernel and the programs are fetched once from the Debian mirror
that this machine's apt uses, some 160 MB, and kept in --cache; nothing is installed and nothing needs root. Elsewhere
give --qemu and --kernel, and have busybox on PATH.

exit status:
  that of the script, else of the shell; 2 bad use; 124 after --timeout; 125 no guest, or it ended too early, or a
  device's server did; 130 after Ctrl-C

examples:
  vfu guest mydevice.py --shell
  vfu guest gpio.py --driver gpio-pci-idio-16 --run - <<< 'ls /dev/gpiochip*'
  vfu guest /tmp/dev.sock --iommu --driver vfio-pci --run test.sh --file my-test:bin/my-test
"""
NO_GUEST, TIMEOUT = 125, 124

class Ended(KeyboardInterrupt):
    """By a signal, as Ctrl-C is one."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number

def guest_file(text: str) -> tuple[str, Path]:
    source, _, place = text.partition(":")
    return place or os.path.basename(source), Path(source)

def variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value

def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value

def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "guest", help="boot a Linux guest with devices", epilog=EPILOG,
        description="Boots a Linux guest in QEMU with vfio-user devices attached, and runs a script or a shell in it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("devices", metavar="DEVICE", nargs="+",
                        help="FILE.py[:CLASS], which is served as `vfu serve` does, or the socket of a running server")
    task = parser.add_argument_group("what the guest does")
    task.add_argument("--shell", action="store_true",
                      help="an interactive shell, after the script if there is one (default on a terminal without "
                      "--run); its end or Ctrl-A X ends the guest")
    task.add_argument("--run", metavar="SCRIPT", help="a shell script, - for standard input, or a static program")
    task.add_argument("--driver", metavar="MODULE", action="append", default=[],
                      help="load this module of the kernel's, or this file .ko, first; vfio-pci, uio_pci_generic and "
                      "pci-stub get all devices that have no driver")
    task.add_argument("--file", metavar="FILE[:PLACE]", type=guest_file, action="append", default=[],
                      help="put a file into the guest, at /PLACE; without, at /FILE's name")
    task.add_argument("--env", metavar="NAME=VALUE", type=variable, action="append", default=[],
                      help="a variable for the script")
    task.add_argument("--timeout", metavar="SECONDS", type=positive, help="end the guest after so long (never)")
    add_machine_options(parser.add_argument_group("the machine"))
    parser.set_defaults(function=run)

def add_machine_options(machine: "argparse._ArgumentGroup") -> None:
    machine.add_argument("--share", choices=["on", "off"], default="on",
                         help="on: servers map the guest's memory (default); off: DMA goes by messages")
    machine.add_argument("--iommu", action="store_true", help="with an Intel IOMMU, as vfio-pci needs it")
    machine.add_argument("--root-ports", action="store_true",
                         help="each device behind a PCIe root port of its own, so that the guest can reset its bus")
    machine.add_argument("--memory", metavar="SIZE", default="512M", help="of the guest (512M)")
    machine.add_argument("--qemu", metavar="PROGRAM", help="qemu-system-x86_64 of version 11.1 or newer")
    machine.add_argument("--kernel", metavar="FILE", type=Path, help="a Linux kernel, in place of Debian's")
    machine.add_argument("--modules", metavar="DIR", type=Path, help="that kernel's (/lib/modules/VERSION)")
    machine.add_argument("--append", metavar="ARGUMENTS", default="", help="further arguments for the kernel")
    machine.add_argument("--qemu-arg", metavar="ARGUMENT", action="append", default=[],
                         help="a further argument for QEMU, one word; repeatable")
    machine.add_argument("--console", metavar="FILE", help="write what the kernel says there, - for stderr")
    machine.add_argument("--cache", metavar="DIR", type=Path, help="where what is fetched is kept (~/.cache/vfu-guest)")

def is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False

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

class Devices:
    """Sockets and names of all devices; servers of those that are files."""

    def __init__(self, names: list[str], stack: "contextlib.ExitStack[bool | None]"):
        self.servers: list[Server] = []
        self.sockets: list[str] = []
        self.faults = 0
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vfu-guest.")))
        stack.callback(self.stop)
        for number, name in enumerate(names):
            if is_socket(name):
                self.sockets.append(name)
                continue
            if not os.path.exists(name.rpartition(":")[0] or name) and not os.path.exists(name):
                raise CommandError(f"there is no file {name}")
            self.servers.append(Server(serve_command(name), directory / f"{number}.sock", os.path.basename(name)))
            self.sockets.append(str(self.servers[-1].path))

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
            status = server.stop()
            if server.fault() and status != 0:
                tell(f"the server of {server.name} " + ("had to be killed" if status is None else f"ends with status {status}"))

def tell(text: str) -> None:
    print(f"vfu guest: {text}", file=sys.stderr, flush=True)

@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the guest as Ctrl-C does."""

    def end(number: int, _: object) -> None:
        raise Ended(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

def write_to(stream: "sys.TextIO") -> object:  # type: ignore[name-defined]
    def write(data: bytes) -> None:
        stream.buffer.write(data)
        stream.flush()

    return write

def run(options: argparse.Namespace) -> int:
    task = make_task(options)
    try:
        with ended_by_signals(), contextlib.ExitStack() as stack:
            return boot(options, task, stack)
    except Unavailable as error:
        tell(str(error))
    except TimedOut as error:
        tell(str(error))
        return TIMEOUT
    except GuestError as error:
        tell(str(error))
    except Ended as error:
        return 128 + error.number
    return NO_GUEST

def boot(options: argparse.Namespace, task: Task, stack: "contextlib.ExitStack[bool | None]") -> int:
    progress = Progress("guest")
    with contextlib.closing(progress):
        kit = Kit.of(Cache(options.cache, progress), options.qemu, options.kernel, options.modules)
    devices = Devices(options.devices, stack)
    machine = Machine(
        [Slot(path, options.root_ports) for path in devices.sockets], options.share == "on", options.iommu,
        options.memory, options.append, options.qemu_arg,
    )
    if sys.stderr.isatty():
        for number, (name, address) in enumerate(zip(options.devices, machine.addresses())):
            tell(f"$DEV{number} {address} is {name}")
    sinks = {"stdout": write_to(sys.stdout), "stderr": write_to(sys.stderr)}
    if options.console == "-":
        sinks["console"] = write_to(sys.stderr)
    elif options.console:
        file = stack.enter_context(open(options.console, "wb", buffering=0))
        sinks["console"] = file.write
    outcome = run_guest(
        machine, task, kit, **sinks, qemu=lambda line: tell(f"QEMU: {line}"), timeout=options.timeout,
        watch=devices.watch,
    )
    return outcome.status or (NO_GUEST if devices.faults else 0)
