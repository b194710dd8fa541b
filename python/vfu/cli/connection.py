# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What the commands that use a served device have in common: SOCKET, --timeout, --device; names that are completed."""

from __future__ import annotations

import argparse
import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import vfu
from vfu.client.irqs import IRQ_NAMES
from vfu.client.regions import REGION_NAMES

from . import settings
from .deadline import Deadline
from .error import CommandError
from .names import Names

LONGEST = 1_000_000  # seconds
ANSWER = 5.0  # seconds, for one, if --timeout does not say more of all


def seconds(text: str) -> float:
    """A time to wait."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds up to {LONGEST:,}")
    return value


def completed(action: argparse.Action, by: Callable[..., Iterable[str]]) -> None:
    """Tells argcomplete who knows what can stand there."""
    setattr(action, "completer", by)


def add_socket(
    parser: argparse.ArgumentParser, timeout: float | None = ANSWER,
    about: str = "give up after so long, counted from when there is a server (5)",
) -> None:
    """Which device, and how long its server may take, however promptly each of its answers comes."""
    parser.add_argument("socket", metavar="SOCKET", help="where the device is served")
    parser.add_argument("--timeout", metavar="SECONDS", type=seconds, default=timeout, help=about)
    parser.add_argument("--wait", metavar="SECONDS", type=seconds, default=0,
                        help="wait so long for a server that is not there yet, or has a client (0)")
    settings.add_to(
        parser.add_argument_group("for servers that behave in their own ways"),
        profile="a set of such choices: default, strict, libvfio-user (messages of 128 KiB at most), one-at-a-time (one "
        "command at a time, and none that a server need not know)")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where its registers have names."""
    parser.add_argument("-d", "--device", metavar="FILE.py[:CLASS]", help="its class, which names its registers")


def add_enable(parser: argparse.ArgumentParser) -> None:
    """For devices that want firmware first."""
    parser.add_argument(
        "--enable", action="store_true",
        help="place the BARs and set Command first, as firmware does: some devices refuse all accesses to BARs before")


def connect(options: argparse.Namespace, **how: Any) -> vfu.Client:
    """A client of the server, as it was told; without more it changes nothing of the device by being there."""
    how = {"irqs": False, "bus_master": False, "timeout": options.timeout or ANSWER, "wait": options.wait} | how
    if os.path.exists(options.socket) and not stat.S_ISSOCK(os.stat(options.socket).st_mode):
        raise CommandError(f"{options.socket} is no socket, but a file of another kind")
    try:
        return vfu.Client(options.socket, **how, **settings.of(options))
    except (TypeError, ValueError) as error:
        raise settings.complaint(error) from error


@contextlib.contextmanager
def session(
    options: argparse.Namespace, names: Names, *, spare: float = 0, is_kept: bool = False, **how: Any
) -> Iterator[vfu.Client]:
    """A client for what is done in the with statement, inside of --timeout, or spare seconds more; with --enable its BARs
    are placed. names: of --device, which may be another device's. It is closed after that; if is_kept, only when something was raised."""
    deadline = Deadline(options.timeout and options.timeout + options.wait + spare)
    with contextlib.ExitStack() as stack, deadline.kept():
        deadline.dev = dev = stack.enter_context(connect(options, **how))
        if getattr(options, "enable", False):
            dev.assign_bars()
        names.compare(dev)
        yield dev
        if is_kept:
            stack.pop_all()


def _names(options: argparse.Namespace) -> Names:
    try:
        return Names.of_file(options.device)
    except Exception:  # of somebody's file
        return Names()


def complete_places(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """For argcomplete: registers, fields of configuration space, and regions to go on from."""
    return [*_names(parsed_args).words(), *(f"{name}+0x" for name in REGION_NAMES)]


def complete_assignments(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The same, for what stands before a value."""
    return [word if word.endswith("+0x") else f"{word}=" for word in complete_places(parsed_args)]


def complete_events(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """What wait takes."""
    return [*IRQ_NAMES, *complete_assignments(parsed_args)]


def complete_regions(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """What dump takes."""
    return [*_names(parsed_args).parts, *REGION_NAMES]
