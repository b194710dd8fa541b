# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Regions and registers of a device, as its class declares them."""

import copy
import os
import re

import libvfu as c

from . import protocol
from .memory import memfd

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Register:
    """A register: 1, 2, 4 or 8 bytes of a region, little-endian. On a device it reads and writes like a number.

    reset is its value at first and after a reset. readonly: the client's writes do nothing, the device's do.
    Without handlers it is memory, and the client's accesses never reach Python. A write handler
    replaces the store (store the value yourself if you want it read back), a read handler the load.
    Either may be a coroutine: a write is then answered at once, a read when the coroutine returns.
    For both, name the register:

        value = bar0.reg32(0)

        @value.on_read
        def get(self): ...

        @value.on_write
        def set(self, number): ...
    """

    def __init__(self, region, offset, width, reset=0, readonly=False):
        if offset % width or offset + width > region.size:
            raise ValueError(f"no {width}-byte register at {offset:#x} in a region of {region.size:#x} bytes")
        if not 0 <= reset < 1 << 8 * width:
            raise ValueError(f"a reset value of {reset:#x} does not fit a {width}-byte register")
        self.region, self.offset, self.width = region, offset, width
        self.reset, self.readonly = reset, readonly
        self.size = width
        self.read = self.write = None
        self._declared = False  # the class it belongs to is complete

    def __set_name__(self, owner, name):
        self._declared = True

    def _with(self, **handler):
        # As with properties, a subclass that adds a handler leaves its parent's register alone.
        register = copy.copy(self) if self._declared else self
        register.__dict__.update(handler)
        return register

    def on_write(self, function):
        """Decorator: function(self, value) is called for each write of the client."""
        return self._with(write=function)

    def on_read(self, function):
        """Decorator: function(self) returns what the client reads, cut to the register's width."""
        return self._with(read=function)

    def __get__(self, device, owner=None):
        if device is None:
            return self
        return c.device_load(device._handle, self.region.index, self.offset, self.width)

    def __set__(self, device, value):
        c.device_store(device._handle, self.region.index, self.offset, self.width, value)

    def _install(self, handle):
        c.device_add_register(
            handle, self.region.index, self.offset, self.width, self.readonly, self.read, self.write
        )


class Range:
    """A part of a region whose accesses all go to one function. See Bar.on_access."""

    def __init__(self, region, offset, size, function, raw):
        self.region, self.offset, self.size = region, offset, size
        self.function, self.raw = function, raw

    def __get__(self, device, owner=None):
        return self if device is None else self.function.__get__(device, owner)

    def _install(self, handle):
        c.device_add_range(handle, self.region.index, self.offset, self.size, self.raw, self.function)


class Memory:
    """Memory of a region of a device, for the device itself: no handlers run. Slices are bytes."""

    def __init__(self, buffer):
        self.buffer = buffer

    def __len__(self):
        return len(self.buffer)

    def __getitem__(self, key):
        with memoryview(self.buffer) as view:
            part = view[key]
            return bytes(part) if isinstance(part, memoryview) else part

    def __setitem__(self, key, value):
        with memoryview(self.buffer) as view:
            view[key] = value

    def view(self):
        """A writable memoryview."""
        return memoryview(self.buffer)


class Region:
    """A region of memory. The attribute's name says which: bar0 to bar5, or rom.

    capabilities: what the client is told of it besides: objects of vfu.protocol that GetRegionInfoReply.caps takes,
    as CapType(type=1). SparseMmap is mmap's.
    """

    bar_flags = 0
    flags = c.VFU_REGION_READ | c.VFU_REGION_WRITE

    def __init__(self, size, mmap=False, capabilities=()):
        self.size, self.mmap, self.capabilities = size, mmap, tuple(capabilities)
        self.index = None
        if mmap and (size % _PAGE or any(n % _PAGE for area in self.areas for n in area)):
            raise ValueError(f"what the client may map must be whole pages of {_PAGE} bytes")
        for offset, length in self.areas:
            if offset < 0 or length <= 0 or offset + length > size:
                raise ValueError(f"area {offset:#x} + {length:#x} leaves the region of {size:#x} bytes")

    @property
    def areas(self):
        return [tuple(area) for area in self.mmap] if isinstance(self.mmap, (list, tuple)) else []

    def __set_name__(self, owner, name):
        match = re.fullmatch(r"bar([0-5])|rom", name)
        if not match:
            raise TypeError(f"{owner.__name__}.{name}: a region is called bar0 to bar5, or rom")
        self.index = int(match[1]) if match[1] else c.VFU_REGION_ROM

    def __get__(self, device, owner=None):
        return self if device is None else Memory(c.device_memory(device._handle, self.index))

    def reg8(self, offset, *, reset=0, readonly=False):
        """A register of 1 bytes. reset: its value after a reset; readonly: the client's writes do nothing.

        It is storage, until its decorators on_read and on_write give it handlers: see vfu.regions.Register.
        """
        return Register(self, offset, 1, reset, readonly)

    def reg16(self, offset, *, reset=0, readonly=False):
        """A register of 2 bytes, as reg8()."""
        return Register(self, offset, 2, reset, readonly)

    def reg32(self, offset, *, reset=0, readonly=False):
        """A register of 4 bytes, as reg8()."""
        return Register(self, offset, 4, reset, readonly)

    def reg64(self, offset, *, reset=0, readonly=False):
        """A register of 8 bytes, as reg8()."""
        return Register(self, offset, 8, reset, readonly)

    def on_access(self, offset=0, size=None, raw=False):
        """Decorator: function(self, offset, size, value) serves all accesses to a range, by default to the region.

        value is None for a read, which returns an int, or bytes of that size (of more than 8, always
        bytes). For a write it is an int (up to 8 bytes) or bytes. With raw it is a memoryview that
        ends with the call: of what was written, or to be filled. Slices of it that you keep are
        yours: the client neither sees nor changes them any more.
        """
        if callable(offset):
            return Range(self, 0, self.size, offset, False)
        whole = self.size - offset if size is None else size
        return lambda function: Range(self, offset, whole, function, raw)

    def _install(self, handle):
        flags, fd = self.flags, -1
        if self.mmap:
            flags |= c.VFU_REGION_MMAP
            fd = memfd(f"vfu-region{self.index}", self.size)
        c.device_set_region(handle, self.index, self.size, flags, self.bar_flags, fd, self.areas)
        for capability in self.capabilities:
            link = protocol.GetRegionInfoReply(caps=[capability]).build()[protocol.GetRegionInfoReply.SIZE :]
            head = protocol.RegionCapHeader.unpack(link)
            c.device_add_region_capability(handle, self.index, head.id, head.version, link[head.SIZE :])


class Bar(Region):
    """A base address register and the memory behind it. size is a power of two.

    mmap: True lets the client map all of it, a list of (offset, size) parts of it. What the client
    does to mapped memory is not seen by handlers.
    """

    def __init__(self, size, io=False, prefetch=False, is64=False, mmap=False, capabilities=()):
        super().__init__(size, mmap, capabilities)
        least = 4 if io else 16
        if not least <= size < 1 << 64 or size & (size - 1):
            raise ValueError(f"a BAR's size is a power of two from {least} to 2^63, not {size}")
        self.is64 = is64
        self.bar_flags = (
            (c.VFU_BAR_IO if io else 0) | (c.VFU_BAR_64 if is64 else 0) | (c.VFU_BAR_PREFETCH if prefetch else 0)
        )


class Rom(Region):
    """The expansion ROM, with its contents. The client reads it only."""

    flags = c.VFU_REGION_READ

    def __init__(self, contents, size=None, capabilities=()):
        least = max(len(contents), 2048)
        super().__init__(size or 1 << (least - 1).bit_length(), capabilities=capabilities)
        self.contents = bytes(contents)

    def _install(self, handle):
        super()._install(handle)
        Memory(c.device_memory(handle, self.index))[: len(self.contents)] = self.contents


def collect(cls, taken):
    """The regions by index, and the registers and ranges by place, of a device class; subclasses win.

    taken: says of a name whether it is the base class's own.
    """
    regions, parts = {}, {}
    for base in reversed(cls.__mro__):
        names = {}
        for name, value in vars(base).items():
            if isinstance(value, Region):
                regions[value.index] = value
            elif isinstance(value, (Register, Range)):
                place = value.region.index, value.offset
                if taken(name):
                    raise ValueError(f"{cls.__name__}.{name}: devices have a {name} of their own, use another name")
                if place in names and parts[place] is not value:
                    raise ValueError(
                        f"{cls.__name__}: {names[place]} and {name} are two declarations for {value.offset:#x} of "
                        "one region; declare one register and use its on_read and on_write for both handlers"
                    )
                names[place], parts[place] = name, value
    for part in parts.values():
        if part.offset + part.size > regions[part.region.index].size:
            raise ValueError(f"{cls.__name__}: its region {part.region.index} ends before what is at {part.offset:#x}")
    return regions, list(parts.values())
