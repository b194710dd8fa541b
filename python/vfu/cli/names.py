# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Words for places in a device: what read, write, wait, dump and the shell take.

    ticks             a register or a bit field, by its name in the device's class (--device FILE.py)
    table[3]          one of an array of them; without [N] all, to be read
    dma_*             all that are called so, to be read, if reading them does nothing
    config.command    a field of configuration space's header
    bar0+0x10:32      a region, an offset, and how many bits: 8, 16, 32 or 64; 32 if not said
    bar0+0x100,64     a region, an offset, and how many bytes: a Span, for dump; also bar0+0x100 and bar0,
                      to the region's end, and whatever has a name in the class

    word --Names.find()--> Places --Place.read(dev), Place.write(dev, value)--> numbers
         --Names.span()--> Span   --Span.of(dev)--> a region and which of its bytes

What a word means is known without a device; whether a device has it is looked at when it is used. What is wrong
with a word is a UsageError, what the device lacks a CommandError.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import vfu
from vfu import pci
from vfu.client.regions import REGION_NAMES, region_name
from vfu.regions import MemoryPart
from vfu.registers import Bits, Range, Register

from .error import CommandError, UsageError

GRAMMAR = "REGION+OFFSET[:BITS], as bar0+0x10:32, or config.FIELD, as config.command"
_REGION = rf"(?P<region>{'|'.join(REGION_NAMES)}|region\d+)"
_NUMBER = r"(?:0[xX][0-9a-fA-F_]+|[0-9_]+)"
_PLACE = re.compile(rf"{_REGION}\+(?P<offset>{_NUMBER})(?::(?P<bits>{_NUMBER}))?")
_NAME = re.compile(r"(?P<name>[^\W\d]\w*)(?:\[(?P<index>\d+)\])?")
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


Part = Register | Bits | MemoryPart | Range  # what has a name in a class


@dataclass(frozen=True)
class Place:
    """A register, a field of one, or as many bytes of a region as a register has."""

    name: str
    region: str
    offset: int
    width: int  # bytes
    lowest: int = 0  # bit of a field
    bits: int = 0  # of a field; 0: all there are
    keep: int = 0  # of a field: the register's other bits, which are written as they were read
    readonly: bool = False  # its class says so

    @property
    def mask(self) -> int:
        """All that it can be."""
        return (1 << (self.bits or 8 * self.width)) - 1

    def text(self, value: int) -> str:
        """As many digits as it has."""
        return f"{value:#0{2 + (self.mask.bit_length() + 3) // 4}x}"

    def check(self, value: int) -> None:
        """UsageError: the value does not fit."""
        if not isinstance(value, int):
            raise UsageError(f"{self.name} is a number, not {value!r}")
        bits = self.mask.bit_length()
        if value & ~self.mask:
            raise UsageError(f"{value:#x} does not fit the {bits} bit{'s' * (bits > 1)} of {self.name}")

    def _load(self, dev: vfu.Client) -> int:
        return int.from_bytes(self.region_of(dev).read(self.offset, self.width), "little")

    def read(self, dev: vfu.Client) -> int:
        """What is there."""
        return self._load(dev) >> self.lowest & self.mask

    def write(self, dev: vfu.Client, value: int) -> None:
        """Sets it, or raises what check() does."""
        self.check(value)
        others = self._load(dev) & self.keep if self.keep else 0
        self.region_of(dev).write(self.offset, (value << self.lowest | others).to_bytes(self.width, "little"))

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
    """What has a name in a device class, if there is one, and in any device."""

    def __init__(self, cls: type[vfu.Device] | None = None):
        self.cls = cls
        found = {name: inspect.getattr_static(cls, name) for name in dir(cls)} if cls else {}
        parts = {name: part for name, part in found.items() if isinstance(part, (Register, Bits, MemoryPart, Range))}
        self.parts: dict[str, Part] = dict(sorted(parts.items(), key=lambda item: place_of(item[1])))

    @classmethod
    def of_file(cls, file: str | None) -> Names:
        """FILE.py or FILE.py:CLASS; None: no registers."""
        from .serve import find_class

        return cls(find_class(file) if file is not None else None)

    @property
    def registers(self) -> dict[str, Register | Bits]:
        """Registers and fields. Each once: what has a handler may have its name too."""
        return {name: part for name, part in self.parts.items()
                if isinstance(part, (Register, Bits)) and part.name in (None, name)}

    def find(self, word: str) -> list[Place]:
        """What a word means. UsageError: nothing."""
        match = _PLACE.fullmatch(word)
        if match:
            return [_raw(word, match)]
        if word.startswith("config.") and word[7:] in pci.FIELDS:
            return [Place(word, "config", *pci.FIELDS[word[7:]])]
        if "*" in word:
            return self._matching(word)
        match = _NAME.fullmatch(word)
        part = self.parts.get(match["name"]) if match else None
        if match is None or not isinstance(part, (Register, Bits)):
            raise UsageError(self._unknown(word))
        return _places(match["name"], part, match["index"])

    def one(self, word: str) -> Place:
        """What a word means that means one place only."""
        places = self.find(word)
        if len(places) != 1:
            raise UsageError(f"{word} has {len(places)} elements: say which, as {places[0].name}")
        return places[0]

    def span(self, word: str) -> Span:
        """What a word means whose bytes are wanted. UsageError: nothing."""
        part = self.parts.get(word)
        if part is None:
            return Span.parse(word)
        part = part.register if isinstance(part, Bits) else part
        return Span(region_name(part.region.index), part.offset, part.size)

    def words(self) -> list[str]:
        """All that can be said without an offset."""
        return [*self.registers, *(f"config.{name}" for name in pci.FIELDS)]

    def left_out(self, word: str) -> list[str]:
        """What a pattern fits and does not stand for."""
        return [name for name, part in self.registers.items() if "*" in word and fnmatchcase(name, word) and _acts_when_read(part)]

    def compare(self, dev: vfu.Client) -> None:
        """Says so if the device is another one than the class's."""
        if self.cls is None or not dev.regions.config.size:
            return
        said = f"{self.cls.vendor_id:04x}:{self.cls.device_id:04x}"
        there = f"{dev.config.vendor_id:04x}:{dev.config.device_id:04x}"
        if said != there:
            print(f"vfu: {self.cls.__name__} is {said}, the device {there}: its registers may be others", file=sys.stderr)

    def _matching(self, pattern: str) -> list[Place]:
        """Those that tell the same again when they were read."""
        left_out = self.left_out(pattern)
        places = [place for name, part in self.registers.items() if fnmatchcase(name, pattern) and name not in left_out
                  for place in _places(name, part, None)]
        if not places:
            raise UsageError(self._unknown(pattern))
        return places

    def _unknown(self, word: str) -> str:
        if word.startswith("config."):
            return f"configuration space's header has no field {word[7:]!r}, it has: {', '.join(pci.FIELDS)}"
        if self.cls:
            known = ", ".join(self.registers) or "none"
            return f"{self.cls.__name__} has no register {word!r}, it has: {known}; else say {GRAMMAR}"
        return f"{word!r} is no place: say {GRAMMAR}; names of registers need --device FILE.py"


def place_of(part: Part) -> tuple[int, int, int]:
    """Where it is, for an order: region, offset, bit; a register before its fields."""
    register = part.register if isinstance(part, Bits) else part
    return register.region.index or 0, register.offset, part.position if isinstance(part, Bits) else -1


def _acts_when_read(part: Register | Bits) -> bool:
    register = part.register if isinstance(part, Bits) else part
    return bool(register.rc or register.read or register.writeonly)


def _places(name: str, part: Register | Bits, index: str | None) -> list[Place]:
    """Those of an array, or the one that it is."""
    register = part.register if isinstance(part, Bits) else part
    if register.count is None:
        if index is not None:
            raise UsageError(f"{name} is no array, so there is no {name}[{index}]")
        return [_place(name, part, register, 0)]
    if index is None:
        return [_place(f"{name}[{i}]", part, register, i) for i in range(register.count)]
    if int(index) >= register.count:
        raise UsageError(f"there is no {name}[{index}]: it has {register.count} elements, from 0 on")
    return [_place(f"{name}[{int(index)}]", part, register, int(index))]


def _place(name: str, part: Register | Bits, register: Register, index: int) -> Place:
    offset, region = register.offset + index * register.stride, region_name(register.region.index)
    if not isinstance(part, Bits):
        return Place(name, region, offset, register.width, readonly=not _is_written(register, -1))
    field = (1 << part.width) - 1 << part.position
    # What else ones do than to be stored is not done for the field's sake.
    keep = 0 if register.writeonly else register.writable & ~field
    readonly = not _is_written(register, field)
    return Place(name, region, offset, register.width, part.position, part.width, keep, readonly)


def _is_written(register: Register, bits: int) -> bool:
    """Whether a write of these bits does anything."""
    return bool(register.write or (register.writable | register.w1c | register.w1s) & bits)


def _raw(word: str, match: re.Match[str]) -> Place:
    bits, offset = number(match["bits"] or "32"), number(match["offset"])
    if bits not in (8, 16, 32, 64):
        raise UsageError(f"{word}: {bits} bits: an access is of 8, 16, 32 or 64")
    if offset % (bits // 8):
        raise UsageError(f"{word}: {offset:#x} is no multiple of {bits // 8}, as an access of {bits} bits needs it")
    return Place(word, match["region"], offset, bits // 8)
