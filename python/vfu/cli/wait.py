# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu wait: until a served device interrupts, or a register has a value.

    connect -> arm the interrupt -> --write ... -> wait, or read again and again -> came: 0, time is up: 124
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import time
from typing import Any, NamedTuple

import vfu
from vfu.client.irqs import IRQ_NAMES

from .access import assignment
from .connection import (
    ANSWER, add_device, add_enable, add_socket, complete_assignments, complete_events, completed, seconds, session,
)
from .error import CommandError, TimeIsUp, UsageError
from .names import Names, Place, number

EPILOG = """\
An EVENT is
  msix[2]            an interrupt and its vector: intx, msi, msix, err, req, irq9...; without [N] it is vector 0
  status=1           a register that has this value; `vfu read --help` says how registers are called
  status=0x80/0xf0   one that has it in the bits of this mask
  status!=0/0x80     one that has another

A server has one client at a time, and a client's interrupts go with it. So what makes the device interrupt is
written in the same run, after the interrupt has been armed: --write. For MSI and MSI-X bus mastering is turned on, as a
driver does. Registers are read again each --interval. What has come is printed: how often the interrupt was raised,
or the register's value.

examples:
  vfu wait /tmp/edu.sock status=0/1 --device edu.py --write factorial=10 --timeout 10
  vfu wait /tmp/edu.sock 'msi[0]' --write bar0+0x60=1 --timeout 10 && echo it interrupts
  vfu wait /tmp/counter.sock intx --timeout 0.1 || test $? = 124   # nothing comes"""

SPARE = 1.0  # seconds: so much later than it ends itself it is ended, at a server that is slow to say what it has

_IRQ = re.compile(rf"({'|'.join(IRQ_NAMES)}|irq\d+)(?:\[(\d+)\])?")
_CONDITION = re.compile(r"(?P<place>[^=!]+)(?P<sign>!?=)(?P<value>[^/]+)(?:/(?P<mask>.+))?")


def add_to(commands: Any) -> None:
    """The command."""
    parser = commands.add_parser(
        "wait", help="wait for an interrupt or a register",
        description="Waits until a served device interrupts, or one of its registers has a value.", epilog=EPILOG)
    add_socket(parser, timeout=None, about="give up when it has not come after so long (never, but 5 for each answer)")
    completed(parser.add_argument("event", metavar="EVENT", help="what to wait for"), complete_events)
    add_device(parser)
    add_enable(parser)
    first = parser.add_argument("-w", "--write", metavar="PLACE=VALUE", action="append", default=[],
                                help="write this first; repeatable")
    completed(first, complete_assignments)
    parser.add_argument("--interval", metavar="SECONDS", type=seconds, default=0.01,
                        help="pause between two reads of a register (0.01)")
    parser.add_argument("--json", action="store_true", help="print a JSON object: event, and count or value")
    parser.set_defaults(function=run)


@dataclasses.dataclass(frozen=True)
class Interrupt:
    """A vector."""

    irq: int
    vector: int

    def wait(self, dev: vfu.Client, stimulate: Any, options: argparse.Namespace) -> dict[str, int]:
        """How often it was raised since it was armed."""
        if self.irq >= len(dev.irqs) or self.vector >= dev.irqs[self.irq].count:
            count = dev.irqs[self.irq].count if self.irq < len(dev.irqs) else 0
            kind = options.event.partition("[")[0]
            has = f"it has {count}, from {kind}[0] on" if count else f"it has no {kind}"
            raise CommandError(f"the device has no interrupt {options.event}: {has}")
        vector = dev.irqs[self.irq][self.vector]
        count = vector.wait(timeout=0)  # which arms it
        stimulate(dev)
        return {"count": count or vector.wait(options.timeout)}


class Condition(NamedTuple):
    """Of a register."""

    place: Place
    value: int
    mask: int
    equal: bool

    def wait(self, dev: vfu.Client, stimulate: Any, options: argparse.Namespace) -> dict[str, int]:
        """What it has when the condition holds; without that, what it had last."""
        end = None if options.timeout is None else time.monotonic() + options.timeout
        self.place.region_of(dev)
        stimulate(dev)
        while True:
            value = self.place.read(dev)
            if (value & self.mask == self.value) == self.equal:
                return {"value": value}
            left = options.interval if end is None else min(options.interval, end - time.monotonic())
            if left <= 0:
                raise TimeIsUp(f"{options.event} did not come, {self.place.name} is {self.place.text(value)}")
            time.sleep(left)


def event(names: Names, word: str) -> Interrupt | Condition:
    """What EVENT means."""
    irq = _IRQ.fullmatch(word)
    if irq:
        index = IRQ_NAMES.index(irq[1]) if irq[1] in IRQ_NAMES else int(irq[1][3:])
        return Interrupt(index, int(irq[2] or 0))
    match = _CONDITION.fullmatch(word)
    if match is None:
        raise UsageError(f"{word!r} is no event: say an interrupt, as msix[0], or PLACE=VALUE, as bar0+4:8=1")
    place, value = names.one(match["place"]), number(match["value"])
    mask = number(match["mask"]) if match["mask"] else place.mask
    place.check(value)
    place.check(mask)
    if value & ~mask:
        raise UsageError(f"{word}: {value:#x} has bits that the mask {mask:#x} lacks, so it never comes")
    return Condition(place, value, mask, match["sign"] == "=")


def run(options: argparse.Namespace) -> None:
    """Waits, and prints what has come."""
    names = Names.of_file(options.device)
    awaited = event(names, options.event)
    values = [assignment(names, word) for word in options.write]

    def stimulate(dev: vfu.Client) -> None:
        for place, value in values:
            place.write(dev, value)

    answer = min(ANSWER, options.timeout or ANSWER)
    with session(options, names, spare=SPARE, bus_master=True, timeout=answer) as dev:
        came = awaited.wait(dev, stimulate, options)
    if came == {"count": 0}:
        raise TimeIsUp(f"{options.event} did not come")
    if options.json:
        print(json.dumps({"event": options.event} | came))
    else:
        print(came["count"] if "count" in came else awaited.place.text(came["value"]))  # type: ignore[union-attr]
