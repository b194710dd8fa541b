# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What the commands that use a served device have in common: SOCKET, --timeout, --device; names that are completed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any

import vfu
from vfu.client.irqs import IRQ_NAMES
from vfu.client.regions import REGION_NAMES

from . import settings
from .error import CommandError
from .names import Names

LONGEST = 1_000_000  # seconds


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
    parser: argparse.ArgumentParser, timeout: float | None = 5.0, about: str = "wait so long for each answer (5)"
) -> None:
    """Which device, and how long its server may take."""
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


def enabled(dev: vfu.Client, enable: bool) -> vfu.Client:
    """The same one, with its BARs placed if that is wanted; closed if they cannot be."""
    try:
        if enable:
            dev.assign_bars()
    except BaseException:
        dev.close()
        raise
    return dev


def connect(options: argparse.Namespace, enable: bool = False, **how: Any) -> vfu.Client:
    """A client of the server, as it was told; without more it changes nothing of the device by being there, but for
    --enable."""
    how = {"irqs": False, "bus_master": False, "timeout": options.timeout, "wait": options.wait} | how
    try:
        return enabled(vfu.Client(options.socket, **how, **settings.of(options)), enable)
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from error


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
