# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Regions of a device, as its class declares them; what lies in them is in vfu.registers."""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Union, overload

import libvfu as c

from . import protocol
from .declared import meant, number
from .memory import Memory, memfd
from .registers import Bits, Handler, Range, Register
from .shown import shown

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike, ReadableBuffer
    from typing_extensions import Self

    from .device import Device
    from .registers import RegisterArray

    Capability = protocol.Part | protocol.UnknownLink
    Access = TypeVar("Access", bound=Callable[..., Any])
    File = str | os.PathLike[str] | FileDescriptorLike
    Area = tuple[int, int] | tuple[int, int, File] | tuple[int, int, File, int]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_PCI_NAMES = (*(f"bar{i}" for i in range(6)), "rom", "config", "vga")


def _descriptor(file: File, stack: contextlib.ExitStack) -> int:
    """Of an open file; of a path one that stack closes."""
    if isinstance(file, (str, os.PathLike)):
        fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        return fd
    return file if isinstance(file, int) else file.fileno()


class MemoryPart:
    """A part of a region that is memory, for the client too: see Bar.memory. On a device it is a Memory.

    offset and size: in bytes, of the region; name: the attribute's; functions: handlers, of which it has none.
    """

    name: str | None = None
    functions: Sequence[Handler] = ()
    _shared: Sequence[Part] = ()

    def __init__(self, region: Region, offset: int, size: int, readonly: bool, writeonly: bool) -> None:
        if readonly and writeonly:
            raise ValueError("memory is readonly or writeonly, not both")
        if number("offset", offset) < 0 or number("size", size) < 1 or offset + size > region.size:
            raise ValueError(f"{offset:#x} + {size:#x} leaves the region of {region.size:#x} bytes")
        self.region, self.offset, self.size = region, offset, size
        self.readonly, self.writeonly = readonly, writeonly

    @shown
    def __repr__(self) -> str:
        return f"{self.name}: {self.size:#x} bytes at {self.offset:#x}"

    @property
    def places(self) -> list[tuple[int, int]]:
        """Offset and size of all that is its."""
        return [(self.offset, self.size)]

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, device: None, owner: type | None = None) -> MemoryPart: ...
    @overload
    def __get__(self, device: Device, owner: type | None = None) -> Memory: ...
    def __get__(self, device: Device | None, owner: type | None = None) -> MemoryPart | Memory:
        if device is None:
            return self
        return Memory(c.device_memory(device._handle, self.region.index), self.offset, self.size)

    def _install(self, handle: c.DeviceHandle) -> None:
        if self.readonly or self.writeonly or not self.region.is_writable:
            masks = c.vfu_register()
            masks.offset, masks.width, masks.stride, masks.count = self.offset, 1, 1, self.size
            masks.write, masks.hidden = (0 if self.readonly else 0xFF), (0xFF if self.writeonly else 0)
            c.device_add_register(handle, self.region.index, masks, 0, None, None)

    def _clear(self, device: Device) -> None:
        pass


Part = Union[Register, Range, MemoryPart]


class MakesRegister(Protocol):
    """Types of reg8() to reg64()."""

    @overload
    def __call__(
        self, offset: int, *, reset: int = 0, readonly: bool = False, writable: int | None = None, w1c: int = 0,
        rc: int = 0, writeonly: bool = False,
    ) -> Register: ...
    @overload
    def __call__(
        self, offset: int, *, reset: int = 0, readonly: bool = False, writable: int | None = None, w1c: int = 0,
        rc: int = 0, writeonly: bool = False, count: int, stride: int | None = None,
    ) -> RegisterArray: ...


def _register_of(width: int) -> MakesRegister:
    """The method regN()."""

    def make(
        self: Region, offset: int, *, reset: int = 0, readonly: bool = False, writable: int | None = None, w1c: int = 0,
        rc: int = 0, writeonly: bool = False, count: int | None = None, stride: int | None = None,
    ) -> Register:
        return Register(self, offset, width, reset, readonly, writable, w1c, rc, writeonly, count, stride)

    make.__name__ = f"reg{8 * width}"
    make.__qualname__ = f"Region.{make.__name__}"
    make.__doc__ = f"""A register of {width} byte{"s" * (width > 1)}, at an offset that is a multiple of that.

        reset: its value after a reset; readonly, writable, w1c, rc, writeonly: what the client does to its bits (True: to
        all); count, stride: an array. It is storage, until its decorators on_read and on_write give it handlers. All of
        it: help(vfu.Register). ValueError: such a register there cannot be.
        """
    method: Any = make
    made: MakesRegister = method
    return made


class Region:
    """A region of memory. The attribute's name says which: bar0 to bar5, or rom.

    size: in bytes. name and index: which it is. flags, bar_flags: of vfu.h, what the client may do, and what BAR it is.
    widths: how many bytes an access of the client may have, any of 1, 2, 4 and 8, and is aligned to; empty: any number.
    capabilities: what the client is told of it besides: objects of vfu.protocol that GetRegionInfoReply.caps takes,
    as CapType(type=1). SparseMmap is mmap's.
    """

    bar_flags: int = 0
    flags: int = c.VFU_REGION_READ | c.VFU_REGION_WRITE

    name: str = ""
    index: int = -1  # which, once it has a name
    is_writable = True  # the client writes what nothing is declared for

    def __init__(
        self,
        size: int,
        mmap: bool | Sequence[Area] = False,
        capabilities: Iterable[Capability] = (),
        widths: Iterable[int] = (),
    ) -> None:
        self.events: list[tuple[list[tuple[int, int, int, int]], Callable[..., Any], tuple[File, int] | None]] = []
        self.ioregions: list[tuple[int, int, int, int, File]] = []
        if not isinstance(widths, Iterable):
            raise TypeError(f"widths are of bytes, ({widths!r},), not {widths!r}")
        self.size, self.mmap, self.capabilities, self.widths = (
            number("size", size), mmap, tuple(capabilities), frozenset(widths))
        self.has_files = isinstance(mmap, (list, tuple)) and any(len(area) > 2 for area in mmap)
        if self.widths - {1, 2, 4, 8}:
            raise ValueError(f"widths are of 1, 2, 4 and 8 bytes, not {sorted(self.widths)}")
        if mmap and (size % _PAGE or any(n % _PAGE for area in self.areas for n in area)):
            raise ValueError(f"what the client may map must be whole pages of {_PAGE} bytes")
        for offset, length in self.areas:
            if offset < 0 or length <= 0 or offset + length > size:
                raise ValueError(f"area {offset:#x} + {length:#x} leaves the region of {size:#x} bytes")

    @shown
    def __repr__(self) -> str:
        return f"{self.name or 'without a name'}: {self.size:#x} bytes"

    @property
    def areas(self) -> list[tuple[int, int]]:
        """What the client may map, if it is not all: [(offset, size)]."""
        return [(offset, size) for offset, size, *_ in self.mmap] if isinstance(self.mmap, (list, tuple)) else []

    def __set_name__(self, owner: type, name: str) -> None:
        match = re.fullmatch(r"bar([0-5])|rom", name)
        if not match:
            near = meant(name, _PCI_NAMES[:7])
            hint = f", did you mean {near}?" if near else ""
            raise TypeError(f"{owner.__name__}.{name}: a region is called bar0 to bar5, or rom{hint}")
        if self.name not in ("", name):
            raise TypeError(f"{owner.__name__}.{name}: this region is called {self.name} already, make one of its own")
        self.name = name
        self.index = int(match[1]) if match[1] else c.VFU_REGION_ROM

    @overload
    def __get__(self, device: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, device: Device, owner: type | None = None) -> Memory: ...
    def __get__(self, device: Device | None, owner: type | None = None) -> Self | Memory:
        return self if device is None else Memory(c.device_memory(device._handle, self.index))

    reg8 = _register_of(1)
    reg16 = _register_of(2)
    reg32 = _register_of(4)
    reg64 = _register_of(8)

    def memory(self, offset: int, size: int, *, readonly: bool = False, writeonly: bool = False) -> MemoryPart:
        """A part that is memory, by a name: history = bar0.memory(0x200, 64), then self.history[0:4] = b"...."

        readonly: the client's writes do nothing; writeonly: it reads zeros. A reset leaves it alone.
        """
        return MemoryPart(self, offset, size, readonly, writeonly)

    def range(self, offset: int = 0, size: int | None = None, *, raw: bool = False) -> Range:
        """A part that functions serve, up to the region's end if size is not said: see vfu.registers.Range.

        mailbox = bar0.range(0x100, 64), then @mailbox.on_read and @mailbox.on_write.
        """
        return Range(self, offset, self.size - offset if size is None else size, raw)

    def event(
        self, *places: tuple[int, int] | tuple[int, int, int], shadow: tuple[File, int] | None = None
    ) -> Callable[[Access], Access]:
        """Decorator: method(self) is called when the client, or KVM for its guest, signals an eventfd instead of writing.

        places: (offset, size), or (offset, size, value) of which only writes of that value signal; size is 1, 2, 4 or 8
        bytes, or 0 for any. They share one eventfd, which the client asks for with GET_REGION_IO_FDS. Several signals are
        one call, not ordered with messages (E52). A write by message goes where it goes without this: to a register's
        on_write or memory. A coroutine runs as one of spawn(until_reset=True).

        shadow: (file, offset), of one place whose values are stored there before the signal: an extension of libvfio-user (E4),
        of which clients are told by a Server with policy={"io_fd_layout": "longer"}, or its profile. file: a path, or an open one.
        """
        if not all(isinstance(place, Sequence) and len(place) in (2, 3) for place in places):
            raise TypeError(f"places are (offset, size) or (offset, size, value) each, not {places!r}")
        if shadow and len(places) != 1:
            raise ValueError("a shadow is that of one place")
        entries = [
            (offset, size, c.VFU_IOEVENT_MATCH if value else 0, value[0] if value else 0)
            for offset, size, *value in places
        ]
        if isinstance(self, Bar) and self.bar_flags & c.VFU_BAR_IO:
            entries = [(offset, size, flags | c.VFU_IOEVENT_PIO, value) for offset, size, flags, value in entries]

        def add(function: Access) -> Access:
            self.events.append((entries, function, shadow))
            return function

        return add

    def ioregion(
        self, offset: int, size: int, file: File, *, user_data: int = 0, posted_writes: bool = False
    ) -> None:
        """Has clients told of an ioregionfd: accesses to that part that come as messages of the kernel's on a file.

        It is listed with its descriptor (GET_REGION_IO_FDS), and no more: Linux has no such thing yet, so accesses go on coming
        by message. file: what clients are given, a path or an open one, which stays open until the device is made.
        user_data: a number that is in the kernel's messages.
        """
        pio = isinstance(self, Bar) and self.bar_flags & c.VFU_BAR_IO
        flags = (c.VFU_IOREGION_PIO if pio else 0) | (c.VFU_IOREGION_POSTED_WRITES if posted_writes else 0)
        self.ioregions.append((offset, size, flags, user_data, file))

    @overload
    def on_access(self, offset: Access) -> Access: ...
    @overload
    def on_access(self, offset: int = 0, size: int | None = None, raw: bool = False) -> Callable[[Access], Access]: ...
    def on_access(self, offset: Any = 0, size: int | None = None, raw: bool = False) -> Any:
        """Decorator: function(self, offset, size, data) serves all accesses to a range, by default to the region.

        The client reads: data is None, and the function returns bytes of that size, or an int, as those of
        range().on_read. The client writes: data is the bytes that it writes, size of them, and what the function returns
        does not count. So it begins with "if data is None:". With raw data is a memoryview always: of what
        is written if data.readonly, else to be filled. range() has a function for each.
        """
        if callable(offset):
            return self.range()._serve(offset)
        return self.range(offset, size, raw=raw)._serve

    def _open_files(self, stack: contextlib.ExitStack) -> list[tuple[int, int]]:
        """Descriptors of the areas' files, and where the areas are in them; stack closes what was opened here."""
        assert isinstance(self.mmap, (list, tuple))
        files: list[tuple[int, int]] = []
        for _, size, *behind in self.mmap:
            if behind:
                file, offset = (*behind, 0)[:2]
                files.append((_descriptor(file, stack), offset))
            else:
                files.append((memfd(f"vfu-region{self.index}", size), 0))
                stack.callback(os.close, files[-1][0])
        return files

    def _install(self, handle: c.DeviceHandle) -> None:
        flags, fd = self.flags, -1
        if self.mmap:
            flags |= c.VFU_REGION_MMAP
        with contextlib.ExitStack() as stack:
            files = self._open_files(stack) if self.has_files else []
            if self.mmap and not files:
                fd = memfd(f"vfu-region{self.index}", self.size)
            c.device_set_region(
                handle, self.index, self.size, flags, self.bar_flags, fd, self.areas, sum(self.widths), files)
        for capability in self.capabilities:
            caps: list[Any] = [capability]  # what fits, the answer knows
            link = protocol.GetRegionInfoReply(caps=caps).build()[protocol.GetRegionInfoReply.SIZE :]
            head = protocol.RegionCapHeader.unpack(link)
            c.device_add_region_capability(handle, self.index, head.id, head.version, link[head.SIZE :])
        with contextlib.ExitStack() as stack:
            for places, function, shadow in self.events:
                file, offset = shadow or (-1, 0)
                c.device_add_ioevent(handle, self.index, places, function, _descriptor(file, stack), offset)
            for offset, size, flags, user_data, file in self.ioregions:
                c.vfu_device_add_ioregion(handle, self.index, offset, size, flags, user_data, _descriptor(file, stack))


class Bar(Region):
    """A base address register and the memory behind it. size is a power of two.

    Registers: reg8() to reg64(), range() and on_access() for functions that serve a part of it, memory() for a part of it by name.
    What none of them claims is memory: it holds zeros at first, and then what the client or the device wrote; a reset
    leaves it alone. The client may access any number of bytes anywhere, aligned or not: an access to some bytes of a
    register is one to these, one over several registers is served in parts, in ascending order, and answered once.

    mmap: True lets the client map all of it, a list of (offset, size) parts of it. What the client
    does to mapped memory is not seen by handlers. (offset, size, file) or (offset, size, file, offset in it) is a part
    that is a file of its own, a path or an open one: clients map it that agree on sparse_mmap_fds with a Server that says it,
    capabilities={"sparse_mmap_fds": True}; others use messages. The file stays as long as the region.

    widths: with (4, 8) what is not an aligned access of 4 or 8 bytes is refused with EINVAL, and no handler sees it.
    """

    def __init__(
        self,
        size: int,
        io: bool = False,
        prefetch: bool = False,
        is64: bool = False,
        mmap: bool | Sequence[Area] = False,
        capabilities: Iterable[Capability] = (),
        widths: Iterable[int] = (),
    ) -> None:
        super().__init__(size, mmap, capabilities, widths)
        least = 4 if io else 16
        if not least <= size < 1 << 64 or size & (size - 1):
            raise ValueError(f"a BAR's size is a power of two from {least} to 2^63, not {size}")
        self.is64 = is64
        self.bar_flags = (
            (c.VFU_BAR_IO if io else 0) | (c.VFU_BAR_64 if is64 else 0) | (c.VFU_BAR_PREFETCH if prefetch else 0)
        )


class DeviceRegion(Region):
    """A region of the device's own, one that PCI does not know, under any name: log = vfu.DeviceRegion(4096, type=0x80001234).

    A driver finds it by type (0x80000000 | vendor id, or a kind that VFIO knows) and subtype: dev.regions.find(type,
    subtype). size: in bytes, any number. index: 9 to 99; by default the first from 9 on that no other region of the
    class has. All else is as of a Bar: registers, ranges, memory, mmap, capabilities, widths.
    """

    def __init__(
        self,
        size: int,
        type: int,
        subtype: int = 0,
        mmap: bool | Sequence[Area] = False,
        capabilities: Iterable[Capability] = (),
        widths: Iterable[int] = (),
        index: int | None = None,
    ) -> None:
        kind = protocol.CapType(type=number("type", type), subtype=number("subtype", subtype))
        super().__init__(size, mmap, (kind, *capabilities), widths)
        self.type, self.subtype = type, subtype
        if index is not None:
            self.index = number("index", index)
        if size < 1:
            raise ValueError(f"a region has a size, not {size}")

    def __set_name__(self, owner: type, name: str) -> None:
        if name in _PCI_NAMES:
            raise TypeError(f"{owner.__name__}.{name}: a region of the device's own has another name")
        if self.name not in ("", name):
            raise TypeError(f"{owner.__name__}.{name}: this region is called {self.name} already, make one of its own")
        self.name = name
        if self.index == -1:
            declared = [(key, one) for base in owner.__mro__ for key, one in vars(base).items()]
            others = [(key, one.index) for key, one in declared if isinstance(one, DeviceRegion) and one is not self]
            taken = {index for key, index in others if key != name}
            free = (i for i in itertools.count(c.VFU_REGIONS) if i not in taken)
            again = (index for key, index in others if key == name)  # in place of a parent's
            self.index = next(itertools.chain(again, free))
        if not c.VFU_REGIONS <= self.index < c.VFU_REGIONS_MAX:
            raise ValueError(f"{owner.__name__}.{name}: index {self.index} is not in {c.VFU_REGIONS}..{c.VFU_REGIONS_MAX - 1}")


class ConfigSpace(Region):
    """Configuration space, for a device that has registers of its own in it: config = vfu.ConfigSpace().

        class Windowed(vfu.Device):
            capabilities = (vfu.pci.Vendor(bytes(9), offset=0x60),)  # from 0x60 on: id, next, length, data
            config = vfu.ConfigSpace()

            address = config.reg32(0x64)                             # storage, inside that capability
            window = config.range(0x68, 4)                           # what is behind the address

            @window.on_read
            def window_read(self, offset, size):
                return self.memory[self.address :][:size]

    All that a Bar has: reg8() to reg64() with readonly, writable, w1c and handlers, range(), memory(), on_access(), from
    0x40 on; up to there, and where MSI and MSI-X are, all is the library's. Capabilities without an offset keep away
    from what is declared here. Machine monitors read all of it at once: reads should have no effects. on_config_write()
    is not called for what is written there. size: 256 or 4096 bytes, and no less than the device's config_size. Other bytes the client cannot write.
    """

    is_writable = False
    index = c.VFU_REGION_CONFIG

    def __init__(self, size: int = 256) -> None:
        if size not in (256, 4096):
            raise ValueError(f"configuration space has 256 or 4096 bytes, not {size}")
        super().__init__(size)

    def __set_name__(self, owner: type, name: str) -> None:
        if name != "config":
            raise TypeError(f"{owner.__name__}.{name}: configuration space is called config")
        self.name = name

    def _install(self, handle: c.DeviceHandle) -> None:
        if self.size > 256:
            c.vfu_device_set_config_size(handle, self.size)


class Rom(Region):
    """The expansion ROM, with its contents: bytes, or the path of a file, which is read when the class is made. The
    client reads it only. size: a power of two from 2048 on, with zeros behind the contents."""

    flags = c.VFU_REGION_READ

    def __init__(
        self,
        contents: ReadableBuffer | str | os.PathLike[str],
        size: int | None = None,
        capabilities: Iterable[Capability] = (),
    ) -> None:
        if isinstance(contents, (str, os.PathLike)):
            contents = Path(contents).read_bytes()
        contents = bytes(contents)
        least = max(len(contents), 2048)
        super().__init__(size or 1 << (least - 1).bit_length(), capabilities=capabilities)
        self.contents = contents

    def _install(self, handle: c.DeviceHandle) -> None:
        super()._install(handle)
        Memory(c.device_memory(handle, self.index))[: len(self.contents)] = self.contents


def _sides(parts: Sequence[Part]) -> Register | None:
    """What a read-only and a write-only register make that share a place, None: they are no such two."""
    sides = {(one.readonly, one.writeonly): one for one in parts if isinstance(one, Register)}
    read, write = sides.get((True, False)), sides.get((False, True))
    if len(parts) != 2 or not read or not write or read.write or not write.write or read.places != write.places:
        return None
    both = copy.copy(read)
    both.write, both.whole = write.write, write.whole
    return both


def _declared(base: type, taken: Callable[[str], bool]) -> dict[tuple[int, int], list[Part]]:
    """The parts that one class declares, by place."""
    places: dict[tuple[int, int], list[Part]] = {}
    for name, value in vars(base).items():
        if isinstance(value, (Register, Range, MemoryPart, Bits, DeviceRegion)) and taken(name):
            raise ValueError(f"{base.__name__}.{name}: devices have a {name} of their own, use another name")
        for part in (value, *value._shared) if isinstance(value, (Register, Range, MemoryPart)) else ():
            parts = places.setdefault((part.region.index, part.offset), [])
            parts += [part] * (part not in parts)
    return places


def _merge(name: str, old: list[Part], new: list[Part]) -> list[Part]:
    """What a class says of a place instead of what its parents said, or besides: the other side of a register."""
    if len(new) == 1:
        return [*(one for one in old if _sides([one, *new])), *new]
    if _sides(new):
        return new
    raise ValueError(
        f"{name}: {new[0].name} and {new[1].name} are two declarations for {new[0].offset:#x} of one region; declare "
        "one register and use its on_read and on_write for both handlers, or a readonly one and a writeonly one "
        "with on_write, alike otherwise"
    )


def _refuse_overlaps(cls: type[Device], regions: dict[int, Region], parts: Iterable[Part]) -> None:
    spans = [(part.region.index, start, start + size, str(part.name)) for part in parts for start, size in part.places]
    spans += [(*span, "the MSI-X table or its pending bits") for span in cls.irqs.places if span[0] in regions]
    spans.sort(key=lambda span: span[:3])
    for (region, start, end, name), (other, start2, end2, name2) in zip(spans, spans[1:]):
        if region == other and start2 < end:
            raise ValueError(
                f"{cls.__name__}: {name} ({start:#x} to {end - 1:#x}) and {name2} ({start2:#x} to {end2 - 1:#x}) of "
                f"{regions[region].name} overlap: a byte is part of one register or range"
            )


def collect(
    cls: type[Device], taken: Callable[[str], bool]
) -> tuple[dict[int, Region], list[Part], set[tuple[int, int]]]:
    """The regions by index, the registers and ranges, and the places that have two sides, of a device class.

    Subclasses win. taken: says of a name whether it is the base class's own.
    """
    regions: dict[int, Region] = {}
    places: dict[tuple[int, int], list[Part]] = {}
    for base in reversed(cls.__mro__):
        for value in vars(base).values():
            if isinstance(value, Region):
                there = regions.setdefault(value.index, value)
                if there.name != value.name:
                    raise ValueError(f"{cls.__name__}: {there.name} and {value.name} are both region {value.index}, say index=")
                regions[value.index] = value
        for place, parts in _declared(base, taken).items():
            places[place] = _merge(cls.__name__, places.get(place, []), parts)
    parts = [_sides(parts) or parts[0] for parts in places.values()]
    for part in parts:
        if part.region.index not in regions:
            raise ValueError(f"{cls.__name__}.{part.name} lies in a region that the class does not have")
        if part.offset + part.size > regions[part.region.index].size:
            raise ValueError(f"{cls.__name__}: its region {part.region.index} ends before what is at {part.offset:#x}")
    _refuse_overlaps(cls, regions, parts)
    return regions, parts, {place for place, parts in places.items() if len(parts) == 2}
