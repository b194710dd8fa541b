# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu guest: boots a Linux guest that has devices attached. What is done then: in_guest.py."""

import argparse
import os
from pathlib import Path

from .connection import seconds
from .serve import argument

EPILOG = """\
In the guest $DEV0, $DEV1... are the devices' PCI addresses, in the order of the command line. It has busybox
(devmem, modprobe, vi...), lspci, setpci, all modules of the kernel, and "bind-driver DRIVER ADDRESS...", which gives
a device to a driver that does not know it by its ids. Its root file system is in memory and gone after it.

QEMU, if PATH has none of version 11.1 or newer, the kernel and the programs are fetched once from the Debian mirror
that this machine's apt uses, some 160 MB, and kept in --cache; nothing is installed and nothing needs root. Elsewhere
give --qemu and --kernel, and have busybox on PATH.

files:
  $XDG_CACHE_HOME/vfu-guest  what was fetched, by default ~/.cache/vfu-guest; it may be removed at any time

examples:
  vfu guest mydevice.py --shell
  vfu guest timer.py period=0.1 /tmp/other.sock --run test.sh
  vfu guest gpio.py --driver gpio-pci-idio-16 --run - <<< 'ls /dev/gpiochip*'
  vfu guest /tmp/dev.sock --iommu --driver vfio-pci --run test.sh --file my-test:bin/my-test
"""
# Options of vfu serve that are passed on.
SERVING = {"policy": "FIELD=CHOICE", "profile": "NAME", "option": "NAME=NUMBER", "capability": "NAME=VALUE"}


def guest_file(text: str) -> tuple[str, Path]:
    source, _, place = text.partition(":")
    return place or os.path.basename(source), Path(source)


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "guest", help="boot a Linux guest with devices", epilog=EPILOG,
        description="Boots a Linux guest in QEMU with vfio-user devices attached, and runs a script or a shell in it.",
    )
    parser.add_argument("devices", metavar="DEVICE", nargs="+",
                        help="FILE.py[:CLASS], which is served as `vfu serve` does, with NAME=VALUE for its arguments "
                        "behind it; or the socket of a running server")
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
    task.add_argument("--env", metavar="NAME=VALUE", type=argument, action="append", default=[],
                      help="a variable for the script")
    task.add_argument("--timeout", metavar="SECONDS", type=seconds, help="end the guest after so long (never)")
    serving = parser.add_argument_group("serving, for all FILE.py; see vfu serve --help")
    for name, metavar in SERVING.items():
        serving.add_argument(f"--{name}", dest=f"serve_{name}", metavar=metavar, action="append", default=[])
    add_machine_options(parser.add_argument_group("the machine"))
    parser.set_defaults(function=run, log_level="warning")


def run(options: argparse.Namespace) -> int:
    from . import in_guest  # no other command has to wait for what it needs

    return in_guest.run(options)


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
