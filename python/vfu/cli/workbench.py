# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What the prompt of vfu shell has: a device's parts by their names, and a few functions. What a prompt is: shell.py.

    dev           vfu.Client           bar0... config   its regions        irqs   its interrupts       dma   its memory
    regs.NAME     a register of the class that --device names: read, and set
    info()  hexdump(bar0, 0, 64)  wait(timeout=1)  reconnect()

reconnect() puts new objects in the place of those that belong to the connection that has ended; what has another
name stays with that one. Completion looks at dir() alone: to read a register may do something in a device.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import select
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import vfu
from vfu.client.irqs import IRQ_NAMES, ClientIrq, ClientVector, irq_name
from vfu.client.regions import Region
from vfu.declared import element

from ..decode.hexdump import Dump
from . import info
from .connection import session
from .error import CommandError
from .names import Names, Place, Span

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ROWS = 16  # of 16 bytes, that hexdump() shows if not told how many
LOOK = 0.25  # seconds between two looks whether the server is still there
FEW = 64  # vectors that wait() waits for: the client gives the device no more of its own accord


class Number(int):
    """One that is shown as a register is written in manuals. Calculating with it gives plain numbers."""

    text: str

    @classmethod
    def read(cls, place: Place, dev: vfu.Client) -> Number:
        """What is there now."""
        number = cls(place.read(dev))
        number.text = place.text(number)
        return number

    def __repr__(self) -> str:
        return self.text


class NoRegister(CommandError, AttributeError):
    """Of a name that means none."""


class NoElement(CommandError, IndexError):
    """Of an array that is shorter."""


class Registers:
    """The registers of a device and their fields, by name: regs.NAME reads, regs.NAME = 1 writes; regs.NAME[0] of arrays.

    Shown, they are listed and not read."""

    _bench: Workbench

    def __init__(self, bench: Workbench):
        self.__dict__["_bench"] = bench

    def __dir__(self) -> list[str]:
        return list(self._bench.names.registers)

    def __getattr__(self, name: str) -> Any:
        places = self._find(name)
        return Number.read(places[0], self._bench.dev) if places[0].name == name else Array(self._bench, name, places)

    def __setattr__(self, name: str, value: int) -> None:
        places = self._find(name)
        if places[0].name != name:
            raise NoRegister(f"{name} has {len(places)} elements: say which, as regs.{places[0].name}")
        places[0].write(self._bench.dev, value)

    def _find(self, name: str) -> list[Place]:
        names = list(self._bench.names.registers)
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            there = ", ".join(names) or "none, without --device"
            raise NoRegister(f"no register {name}{f', did you mean {near[0]}?' if near else f'; there are: {there}'}")
        return self._bench.names.find(name)

    def __repr__(self) -> str:
        lines = []
        for name in self._bench.names.registers:
            first, *others = self._find(name)
            array = f"[0] to [{len(others)}]" if first.name != name else ""
            bits = f", bit {first.lowest}" if first.bits else ""
            bits += f" to {first.lowest + first.bits - 1}" if first.bits and first.bits > 1 else ""
            lines.append(f"{first.region}+{first.offset:#05x}:{8 * first.width:<3} regs.{name}{array}{bits}")
        return "\n".join(lines) or "no registers are known: vfu shell SOCKET --device FILE.py"


class Array:
    """Registers of one name: [index] reads, [index] = 1 writes."""

    def __init__(self, bench: Workbench, name: str, places: list[Place]):
        self._bench, self._name, self._places = bench, name, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Number:
        return Number.read(self._at(index), self._bench.dev)

    def __setitem__(self, index: int, value: int) -> None:
        self._at(index).write(self._bench.dev, value)

    def _at(self, index: int) -> Place:
        return element(self._places, index, self._name, NoElement)

    def __repr__(self) -> str:
        return f"<{len(self)} registers: regs.{self._name}[0] to [{len(self) - 1}]>"


class Workbench:
    """A connection, and the names that a prompt has for it. options: of the command line, how to connect."""

    def __init__(self, options: argparse.Namespace, names: Names):
        self.socket, self.names, self.options = options.socket, names, options
        self.namespace: dict[str, Any] = {"__name__": "__vfu__", "vfu": vfu}
        self.dev = self._connect()

    def _connect(self) -> vfu.Client:
        """Its memory is served while the prompt waits."""
        with session(self.options, self.names, is_kept=True, background=True, irqs=True, bus_master=True) as self.dev:
            self.namespace |= {
                "dev": self.dev, **self._regions(), "irqs": self.dev.irqs, "dma": self.dev.dma, "regs": Registers(self),
                "info": self.info, "hexdump": self.hexdump, "wait": self.wait, "reconnect": self.reconnect,
            }
        return self.dev

    def _regions(self) -> dict[str, Region]:
        regions = [self.dev.regions[index] for index in range(len(self.dev.regions))]
        return {region.name: region for region in regions if region.size}

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, *exc: object) -> None:
        self.dev.close()

    # ---- functions of the prompt ----

    def reconnect(self) -> None:
        """Connects again, after the server was started again, say. dev, bar0... are new objects then."""
        for name in self._regions() if self.dev.connected else ():
            self.namespace.pop(name, None)
        self.dev.close()
        self._connect()
        print(f"connected to {self.socket}")

    def info(self) -> None:
        """Shows the device, as vfu info does."""
        print("\n".join(info.text(info.describe(self.dev, self.names, False))))

    def hexdump(self, region: Region | str | ReadableBuffer, offset: int = 0, size: int | None = None) -> None:
        """Shows bytes of a region, or of memory: hexdump(bar0), hexdump(ram, 0x100, 64). size: 256, or to the end."""
        if not isinstance(region, (str, Region)):
            memory = memoryview(region).cast("B")[offset:][: 16 * ROWS if size is None else size]
            lines = Dump(offset)
            print(lines.feed(bytes(memory)) + lines.end(), end="")
            return
        name = region if isinstance(region, str) else region.name
        found, places = Span(name, offset, size).of(self.dev)
        if size is None:
            places = places[: 16 * ROWS]
        lines = Dump(places.start)
        print(lines.feed(found.read(places.start, len(places))) + lines.end(), end="")

    def wait(self, irq: ClientVector | None = None, timeout: float | None = None) -> dict[str, int]:
        """Waits for an interrupt, by default any vector of the kind that the device uses: msix, else msi, else intx.

        wait(irqs.msix[2]), wait(timeout=1.0) in seconds, else for ever. Which came, how often each; {}: none in time.
        """
        vectors = self._vectors(irq)
        poll = select.poll()
        for vector in vectors.values():
            poll.register(vector.fd, select.POLLIN)
        end = None if timeout is None else time.monotonic() + timeout
        while not (came := {name: count for name, vector in vectors.items() if (count := vector.wait(timeout=0))}):
            left = LOOK if end is None else min(LOOK, end - time.monotonic())
            if left < 0:
                break
            poll.poll(1000 * left)
            if not self.dev.connected:
                raise vfu.Disconnected(107, "the server has ended the connection")
        return came

    def _vectors(self, irq: ClientVector | None) -> dict[str, ClientVector]:
        if irq is None:
            with contextlib.suppress(StopIteration):
                irq = next(self._preferred())
        if irq is None:
            raise CommandError("the device has no interrupts")
        if not isinstance(irq, (ClientIrq, ClientVector)):
            raise CommandError(f"wait(irqs.msix[2]) waits for an interrupt, wait(timeout=1.0) so long for any, not wait({irq!r})")
        name = irq_name(irq.index)
        if isinstance(irq, ClientIrq):
            return {f"{name}[{vector.vector}]": vector for vector in irq[:FEW]}
        return {f"{name}[{irq.vector}]": irq}

    def _preferred(self) -> Iterator[ClientIrq]:
        for name in ("msix", "msi", "intx"):
            index = IRQ_NAMES.index(name)
            if index < len(self.dev.irqs) and self.dev.irqs[index].count:
                yield self.dev.irqs[index]

    # ---- what it says of itself ----

    def banner(self) -> str:
        """What is there, and what to try."""
        regions = self._regions()
        config = regions.get("config")
        kind = f"{self.dev.config.vendor_id:04x}:{self.dev.config.device_id:04x}" if config else "a device that is not PCI"
        sizes = ", ".join(f"{region.name} {info.size_text(region.size)}" for region in regions.values())
        irqs = [self.dev.irqs[index] for index in range(len(self.dev.irqs))]
        counts = ", ".join(f"{IRQ_NAMES[irq.index]} {irq.count}" for irq in irqs if irq.count and irq.index < len(IRQ_NAMES))
        first = next(iter(regions), "bar0")
        registers = "\nregs has its registers by name: regs lists them, regs.NAME reads, regs.NAME = 1 writes"
        return (
            f"{kind} at {self.socket}: {sizes}; interrupts: {counts or 'none'}\n"
            f"dev, irqs, dma and the regions have what help(dev) says: {first}.read32(0), {first}.write32(0, 1), dma.alloc(4096)"
            f"{registers if self.names.registers else ''}\n"
            f"info(), hexdump({first}, 0, 64), wait(timeout=1), reconnect(); Ctrl-D ends"
        )
