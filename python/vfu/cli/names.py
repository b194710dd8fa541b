# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Words for places in a device: what read, write, wait, dump and the shell take.

    ticks, table[3]   a register, by its name in the device's class (--device FILE.py)
    config.command    a field of configuration space's header
    bar0+0x10:32      a region, an offset, and how many bits: 8, 16, 32 or 64; 32 if not said
    bar0+0x100,64     a region, an offset, and how many bytes: a Span, for dump; also bar0+0x100 and bar0,
                      to the region's end

    word --Names.find()--> Places --Place.read(dev), Place.write(dev, value)--> numbers

What a word means is known without a device; whether a device has it is looked at when it is used. What is wrong
with a word is a UsageError, what the device lacks a CommandError.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import vfu
from vfu import pci
from vfu.client import REGION_NAMES
from vfu.registers import Register

from .error import CommandError, UsageError

GRAMMAR = "REGION+OFFSET[:BITS], as bar0+0x10:32, or config.FIELD, as config.command"
_REGION = rf"(?P<region>{'|'.join(REGION_NAMES)}|region\d+)"
_NUMBER = r"(?:0[xX][0-9a-fA-F_]+|[0-9_]+)"
_PLACE = re.compile(rf"{_REGION}\+(?P<offset>{_NUMBER})(?::(?P<bits>{_NUMBER}))?")
_SPAN = re.compile(rf"{_REGION}(?:\+(?P<offset>{_NUMBER}))?(?:,(?P<length>{_NUMBER}))?")


def number(text: str) -> int:
    """A number from 0 to 2**64 - 1, as Python writes them."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise UsageError(f"{text!r} is no number from 0 to 2**64 - 1")
    return value


def find_region(dev: vfu.Client, name: str) -> Any:
    """A region of the device, by name; one that has a size."""
    index = REGION_NAMES.index(name) if name in REGION_NAMES else int(name.removeprefix("region"))
    if index >= len(dev.regions) or not dev.regions[index].size:
        names = [dev.regions[i].name for i in range(len(dev.regions)) if dev.regions[i].size]
        raise CommandError(f"the device has no region {name}; it has: {', '.join(names) or 'none'}")
    return dev.regions[index]


@dataclass(frozen=True)
class Place:
    """A register, or as many bytes of a region as a register has."""

    name: str
    region: str
    offset: int
    width: int  # bytes

    @property
    def mask(self) -> int:
        """All that it can be."""
        return (1 << 8 * self.width) - 1

    def text(self, value: int) -> str:
        """As many digits as it has."""
        return f"{value:#0{2 + 2 * self.width}x}"

    def check(self, value: int) -> None:
        """UsageError: the value does not fit."""
        if value & ~self.mask:
            raise UsageError(f"{value:#x} does not fit the {8 * self.width} bits of {self.name}")

    def read(self, dev: vfu.Client) -> int:
        """What is there."""
        return int.from_bytes(self.region_of(dev).read(self.offset, self.width), "little")

    def write(self, dev: vfu.Client, value: int) -> None:
        """Sets it, or raises what check() does."""
        self.check(value)
        self.region_of(dev).write(self.offset, value.to_bytes(self.width, "little"))

    def region_of(self, dev: vfu.Client) -> Any:
        """The device's region that it is in. CommandError: it is not."""
        region = find_region(dev, self.region)
        if self.offset + self.width > region.size:
            raise CommandError(f"{self.name} ends at {self.offset + self.width:#x}, {region.name} at {region.size:#x}")
        return region


@dataclass(frozen=True)
class Span:
    """A part of a region. length None: to its end."""

    region: str
    offset: int = 0
    length: int | None = None

    @classmethod
    def parse(cls, word: str) -> "Span":
        """UsageError: it is none."""
        match = _SPAN.fullmatch(word)
        if match is None:
            raise UsageError(f"{word!r} is no part of a region: say it as REGION[+OFFSET][,LENGTH], as bar0+0x100,64")
        length = None if match["length"] is None else number(match["length"])
        return cls(match["region"], number(match["offset"] or "0"), length)

    def of(self, dev: vfu.Client) -> tuple[Any, range]:
        """The region, and which of its bytes."""
        region = find_region(dev, self.region)
        end = region.size if self.length is None else self.offset + self.length
        if self.offset > region.size or end > region.size:
            raise CommandError(f"{region.name} ends at {region.size:#x}, before {max(self.offset, end):#x}")
        return region, range(self.offset, end)


class Names:
    """The registers of a device class, if there is one, and all that has a name in any device."""

    def __init__(self, cls: type[vfu.Device] | None = None):
        self.cls = cls
        self.registers = {place.name: place for place in _registers(cls)} if cls else {}

    @classmethod
    def of_file(cls, file: str | None) -> "Names":
        """FILE.py or FILE.py:CLASS; None: no registers."""
        from .serve import find_class

        return cls(find_class(file) if file is not None else None)

    def find(self, word: str) -> list[Place]:
        """What a word means. UsageError: nothing."""
        match = _PLACE.fullmatch(word)
        if match:
            return [_raw(word, match)]
        if word.startswith("config.") and word[7:] in pci.FIELDS:
            return [Place(word, "config", *pci.FIELDS[word[7:]])]
        if word in self.registers:
            return [self.registers[word]]
        raise UsageError(self._unknown(word))

    def one(self, word: str) -> Place:
        """What a word means that means one place only."""
        places = self.find(word)
        if len(places) != 1:
            raise UsageError(f"{word} means {len(places)} places, as {places[0].name}; say which")
        return places[0]

    def places(self) -> list[Place]:
        """All registers."""
        return [place for name in self.registers for place in self.find(name)]

    def words(self) -> list[str]:
        """All that can be said without an offset."""
        return [*self.registers, *(f"config.{name}" for name in pci.FIELDS)]

    def _unknown(self, word: str) -> str:
        if self.cls:
            known = ", ".join(dict.fromkeys(re.sub(r"\[\d+\]", "[]", name) for name in self.registers)) or "none"
            return f"{self.cls.__name__} has no register {word!r}, it has: {known}; else say {GRAMMAR}"
        return f"{word!r} is no place: say {GRAMMAR}; names of registers need --device FILE.py"


def _registers(cls: type[vfu.Device]) -> list[Place]:
    """In the order in which they lie; of an array each one. Of a register's names the first: the others are its handlers'."""
    found: dict[str, Register] = {}
    for base in reversed(cls.__mro__):
        found |= {name: value for name, value in vars(base).items() if isinstance(value, Register) and value.name == name}
    places = [place for name, register in found.items() for place in _places(name, register)]
    return sorted(places, key=lambda place: (REGION_NAMES.index(place.region), place.offset))


def _places(name: str, register: Register) -> Iterator[Place]:
    for index, (offset, width) in enumerate(register.places):
        of_array = name if register.count is None else f"{name}[{index}]"
        yield Place(of_array, REGION_NAMES[register.region.index], offset, width)


def _raw(word: str, match: re.Match[str]) -> Place:
    bits, offset = number(match["bits"] or "32"), number(match["offset"])
    if bits not in (8, 16, 32, 64):
        raise UsageError(f"{word}: {bits} bits: an access is of 8, 16, 32 or 64")
    if offset % (bits // 8):
        raise UsageError(f"{word}: {offset:#x} is no multiple of {bits // 8}, as an access of {bits} bits needs it")
    return Place(word, match["region"], offset, bits // 8)
