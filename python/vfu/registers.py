# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Registers of a device, as its class declares them: by the methods of vfu.Bar.

                       client writes ones     client reads
    plain              all bits are written   the value
    readonly           nothing                the value
    writable=0xff      bits 0..7 are written  the value
    w1c=0x7            bits 0..2 are cleared  the value
    rc=True            nothing                the value, and all bits are cleared
    writeonly          all bits are written   zeros
    r.set_view(o)      r's bits are set       r's value
    r.clear_view(o)    r's bits are cleared   r's value

What the device sets is cut to the width, as registers are: self.count += 1 wraps. Of a bit field it is refused.
None of these needs Python while it is served: the library has the masks (struct vfu_register of vfu.h). They are about
what the client's messages do. The device itself reads and writes the value, all of it; and a client that may map the
memory (mmap of the Bar) reads and writes it there as it likes, without masks and handlers.

A write of the client to one with a function goes

    message -> libvfu/server/handlers.c region_write -> device/region.c -> device/register.c on_access: masks
            -> bindings/access.c: the number -> the function here -> if that is a coroutine, Device._spawn_writer

and the answer back the same way. c is the module that bindings/ makes: its vfu_* are those of vfu.h, the others stand in
bindings/callbacks.h.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, overload

import libvfu as c

from .declared import element, number, refuse_handler
from .memory import Memory
from .shown import shown

if TYPE_CHECKING:
    from typing_extensions import Self

    from .device import Device
    from .regions import Region

Handler = Callable[..., Any]


class Elements:
    """An array of registers, or of their bits, of a device: numbers by index, lists of them by slice. len() is the array's count."""

    __slots__ = ("_count", "_device", "_of")

    def __init__(self, device: Device, of: Register | Bits, count: int) -> None:
        self._device, self._of, self._count = device, of, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return (self._of._load(self._device, index) for index in range(self._count))

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            return [self._of._load(self._device, one) for one in range(self._count)[index]]
        return self._of._load(self._device, self._at(index))

    def __setitem__(self, index: int | slice, value: Any) -> None:
        places, values = ([self._at(index)], [value]) if not isinstance(index, slice) else (range(self._count)[index], list(value))
        if len(places) != len(values):
            raise ValueError(f"{len(values)} values for {len(places)} elements of {self._of.name}")
        for place, one in zip(places, values):
            self._of._store(self._device, place, one)

    def _at(self, index: int) -> int:
        return element(range(self._count), index, str(self._of.name))

    @shown
    def __repr__(self) -> str:
        return f"{self._of.name}: {list(self)}"


def _handler(of: Handler | Register | Range, side: str, given: str) -> Handler:
    """A function that can be called with what is given, or that of a register or range that another decorator made."""
    function: Handler | None = getattr(of, side, None) if isinstance(of, (Register, Range)) else of
    if function is None or not callable(function):
        raise TypeError(f"on_{'access' if side == 'both' else side} wants a function, not {of!r}")
    refuse_handler(function, given)
    return function


def _sharing(one: Register | Range, of: object) -> tuple[Register | Range, ...]:
    """What has come by its handler with one: of a stack of decorators the class's attribute is the topmost alone."""
    return (*one._shared, of, *of._shared) if isinstance(of, (Register, Range)) else one._shared


def _refuse_second(part: Register | Range, handlers: Iterable[str]) -> None:
    """TypeError for a handler where the same class has one already, which would never be called."""
    for side in handlers:
        first = getattr(part, side)
        if first is not None and not part.name:
            name = getattr(first, "__qualname__", first)
            raise TypeError(f"{name} is the on_{side} of this already: there is one, which may call others")


def _no_decorator(self: Any, *_: Any) -> Any:
    raise TypeError("a register or range by itself is no decorator: its on_read and its on_write are")


class Register:
    """A register: 1, 2, 4 or 8 bytes of a region, little-endian. On a device it reads and writes like a number.

    reset is its value at first and after a reset. Without handlers it is memory, and the client's accesses never
    reach Python; what they do to its bits the arguments say, by masks, for which True means all bits:

    readonly   the client's writes do nothing, the device's do
    writable   bits that the client writes; the others keep what they are
    w1c        bits that the client clears by writing ones to them, and leaves alone by writing zeros
    rc         bits that are cleared when the client has read them
    writeonly  the client reads zeros
    count      an array of as many, one every stride bytes (the width, if not said): self.table[3]

    With w1c or rc and without writable all other bits are read-only.

    A write handler, function(self, value), is called for each write of the client. Of a plain or readonly register it
    replaces the store: value is what the client wrote, and store it yourself if you want it read back. A register with
    writable, w1c, rc or writeonly, and a view, keeps itself: the handler is called when the write has had
    its effect, and value is what the register then holds, after a 1 to a w1c bit one with that bit cleared. A
    read handler, function(self), replaces the load. Of an array both get the index first: function(self, index, value).
    Either may be a coroutine: a write is then answered at once, a read when the coroutine returns. For both, name
    the register:

        value = bar0.reg32(0)

        @value.on_read
        def get(self): ...

        @value.on_write
        def set(self, number): ...

    Several registers may share a handler, as ranges may: decorate it once for each.

    A client that writes to some of a register's bytes only has its handler called with a whole value all the same:
    the missing bytes are those that the memory holds. So a register of 8 bytes that a driver writes as two halves
    calls it twice, unless it is declared with on_write(whole=True): then once, when every byte was written.

    A read-only and a write-only register may share an offset, as the two sides of one: the second has a write
    handler, and no value of its own.
    """

    def __init__(
        self,
        region: Region,
        offset: int,
        width: int,
        reset: int = 0,
        readonly: bool = False,
        writable: int | None = None,
        w1c: int = 0,
        rc: int = 0,
        writeonly: bool = False,
        count: int | None = None,
        stride: int | None = None,
    ) -> None:
        self.region = region
        self.offset: int = number("offset", offset)
        self.width: int = number("width", width)
        self.count = None if count is None else number("count", count)
        self.stride = width if stride is None else number("stride", stride)
        self.name: str | None = None
        self.read: Handler | None = None
        self.write: Handler | None = None
        self.whole = False
        self._check_place()
        self.reset, self.readonly, self.writeonly = self._bits("reset", reset), readonly, writeonly
        self.w1c, self.rc = self._bits("w1c", w1c), self._bits("rc", rc)
        self.w1s, self.target = 0, offset
        if writable is None:
            writable = not (readonly or self.w1c or self.rc)
        elif readonly:
            raise ValueError("a readonly register has no writable bits")
        else:
            self.keeps = True
        self.writable = self._bits("writable", writable)
        if self.writable & self.w1c:
            raise ValueError(f"bits {self.writable & self.w1c:#x} are either writable or w1c")
        if readonly and (self.w1c or writeonly) or writeonly and self.rc:
            raise ValueError("a register is one of readonly, writeonly, and w1c or rc")
        self.keeps = self.keeps or bool(self.w1c or self.rc or writeonly)

    keeps = False  # its write handler is called after the store
    is_view = False
    _shared: tuple[Register | Range, ...] = ()
    if not TYPE_CHECKING:
        __call__ = _no_decorator

    def _check_place(self) -> None:
        offset, width, count = self.offset, self.width, self.count
        if count is not None and count < 1:
            raise ValueError(f"an array of {count} registers")
        if self.stride < width or self.stride % width:
            raise ValueError(f"a stride of {self.stride} bytes is no multiple of the register's {width}")
        if offset % width:
            raise ValueError(f"{offset:#x} is no multiple of {width}, as the place of a {width}-byte register is")
        if offset < 0 or offset + self.size > self.region.size:
            what = f"no {width}-byte register" if count is None else f"no room for {count} {width}-byte registers"
            raise ValueError(f"{what} at {offset:#x} in a region of {self.region.size:#x} bytes")

    def _bits(self, name: str, value: int) -> int:
        every = (1 << 8 * self.width) - 1
        if value is True and name != "reset":
            return every
        value = number(name, value)
        if not 0 <= value <= every:
            what = "a reset value of" if name == "reset" else name + "="
            raise ValueError(f"{what} {value:#x} does not fit a {self.width}-byte register".replace("= ", "="))
        return value

    @property
    def size(self) -> int:
        """Bytes from its start to its end, in an array to that of the last."""
        return ((self.count or 1) - 1) * self.stride + self.width

    @property
    def places(self) -> list[tuple[int, int]]:
        """Offset and size of all that is its."""
        return [(self.offset + i * self.stride, self.width) for i in range(self.count or 1)]

    @property
    def functions(self) -> list[Handler]:
        """Its handlers, those that there are."""
        return [function for function in (self.read, self.write) if function]

    def __set_name__(self, owner: type, name: str) -> None:
        for one in (self, *self._shared):
            one.name = one.name or name  # of several, which its decorators add, the first

    @shown
    def __repr__(self) -> str:
        array = "" if self.count is None else f"[{self.count}]"
        return f"{self.name or 'without a name'}{array}: {self.width} bytes at {self.offset:#x}"

    def _with(self, of: Handler | Register, **handler: Any) -> Self:
        # As with properties, a subclass that adds a handler leaves its parent's register alone.
        _refuse_second(self, handler.keys() & {"read", "write"})
        register = copy.copy(self) if self.name else self
        register._shared = _sharing(register, of)
        register.__dict__.update(handler)
        register.name = None
        return register

    @overload
    def on_write(self, function: Handler | Register, *, whole: bool = False) -> Self: ...
    @overload
    def on_write(self, *, whole: bool = False) -> Callable[[Handler | Register], Self]: ...
    def on_write(self, function: Handler | Register | None = None, *, whole: bool = False) -> Any:
        """Decorator: function(self, value), of an array function(self, index, value), is called for writes of the client.

        For each, unless whole: then when all bytes of the register were written since the last time, in any number
        of accesses and any order. Parts that were not completed are forgotten at a reset and when the client goes.
        """
        if function is None:
            return lambda function: self.on_write(function, whole=whole)
        return self._with(function, write=_handler(function, "write", self._given("value")), whole=whole)

    def on_read(self, function: Handler | Register) -> Self:
        """Decorator: function(self), of an array function(self, index), returns what the client reads, cut to the width."""
        if self.writeonly or self.rc:
            raise TypeError("what the client reads of a writeonly or rc register is not a function's to say")
        return self._with(function, read=_handler(function, "read", self._given()))

    def _given(self, *more: str) -> str:
        return ", ".join(["self", *["index"] * (self.count is not None), *more])

    def set_view(self, offset: int, bits: int = True) -> View:
        """A register at another offset where a client that writes ones sets bits of this one; it reads this one's value."""
        return View(self, offset, "w1s", bits)

    def clear_view(self, offset: int, bits: int = True) -> View:
        """The same as set_view(), and the ones clear bits."""
        return View(self, offset, "w1c", bits)

    def bit(self, position: int) -> Bits:
        """One bit, by a name of its own: alarm = status.bit(0), then self.alarm = 1."""
        return Bits(self, position, 1)

    def bits(self, position: int, width: int) -> Bits:
        """The same of width bits, from position on: a number."""
        return Bits(self, position, width)

    # ---- its value, for the device ----

    @overload
    def __get__(self, device: None, owner: type | None = None) -> Register: ...
    @overload
    def __get__(self, device: Device, owner: type | None = None) -> int: ...
    def __get__(self, device: Device | None, owner: type | None = None) -> Any:
        if device is None:
            return self
        if self.count is not None:
            return Elements(device, self, self.count)
        if self.writeonly:
            self._check_side(device)
        return c.device_load(device._handle, self.region.index, self.target, self.width)

    def __set__(self, device: Device, value: int) -> None:
        if self.count is not None:
            raise AttributeError(f"{self.name} is an array of registers: set {self.name}[index]")
        if self.writeonly or self.is_view:
            self._check_set(device)
        c.device_store(device._handle, self.region.index, self.target, self.width, value)

    def _load(self, device: Device, index: int = 0) -> int:
        self._check_side(device)
        return c.device_load(device._handle, self.region.index, self.target + index * self.stride, self.width)

    def _store(self, device: Device, index: int, value: int) -> None:
        self._check_set(device)
        c.device_store(device._handle, self.region.index, self.target + index * self.stride, self.width, value)

    def _check_side(self, device: Device) -> None:
        if self.writeonly and (self.region.index, self.offset) in device._write_sides:
            raise AttributeError(f"{self.name} has no value: the memory is that of the register to read at its offset")

    def _check_set(self, device: Device) -> None:
        self._check_side(device)

    def _clear(self, device: Device) -> None:
        for index in range(self.count or 1):
            self._store(device, index, self.reset)

    # ---- for the library ----

    def _install(self, handle: Any) -> None:
        every = (1 << 8 * self.width) - 1
        is_plain = self.writable == every and not (self.keeps and (self.rc or self.writeonly))
        if is_plain and not self.functions and self.region.is_writable:
            return  # plain memory
        masks = c.vfu_register()
        masks.offset, masks.width, masks.stride, masks.count = self.offset, self.width, self.stride, self.count or 1
        masks.flags, masks.target = (c.VFU_REGISTER_VIEW if self.is_view else 0), self.target
        masks.write, masks.w1c, masks.w1s, masks.rc = self.writable, self.w1c, self.w1s, self.rc
        masks.hidden = every if self.writeonly else 0
        how = c.REGISTER_INDEXED if self.count is not None else 0
        how |= (c.REGISTER_KEEPS if self.keeps else 0) | (c.REGISTER_WHOLE if self.whole else 0)
        c.device_add_register(handle, self.region.index, masks, how, self.read, self.write)


if TYPE_CHECKING:

    class RegisterArray(Register):
        """What a Register with count is for checkers of types."""

        @overload  # type: ignore[override]
        def __get__(self, device: None, owner: type | None = None) -> Self: ...
        @overload
        def __get__(self, device: Device, owner: type | None = None) -> Elements: ...
        def __get__(self, device: Device | None, owner: type | None = None) -> Any: ...


class View(Register):
    """Where the client sets or clears bits of another register, of. It has no value of its own."""

    keeps = is_view = True

    def __init__(self, of: Register, offset: int, how: str, bits: int) -> None:
        self.of: Any = of.of if isinstance(of, View) else of
        super().__init__(of.region, offset, of.width, writable=0, count=of.count, stride=of.stride)
        setattr(self, how, self._bits("bits", bits))
        self.target = self.of.offset

    def _check_set(self, device: Device) -> None:
        raise AttributeError(f"{self.name} is a view of {self.of.name}: set that")

    def _clear(self, device: Device) -> None:
        pass


class Bits:
    """Bits of a register by a name of their own: a number, of an array of registers a number by index.

    Setting them leaves the others alone, also those that the client or a thread changes at the same time.
    """

    def __init__(self, register: Register, position: int, width: int) -> None:
        position, width, every = number("position", position), number("width", width), register.width * 8
        if position < 0 or width < 1 or position + width > every:
            which = f"bit {position} is" if width == 1 else f"bits {position}..{position + width - 1} are"
            raise ValueError(f"{which} not in a register of {every} bits")
        self.register, self.position, self.width = register, position, width
        self.name: str | None = None

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @shown
    def __repr__(self) -> str:
        return f"{self.name}: {self.position}..{self.position + self.width - 1} of {self.register!r}"

    @overload
    def __get__(self, device: None, owner: type | None = None) -> Bits: ...
    @overload
    def __get__(self, device: Device, owner: type | None = None) -> int: ...
    def __get__(self, device: Device | None, owner: type | None = None) -> Any:
        if device is None:
            return self
        count = self.register.count
        return self._load(device) if count is None else Elements(device, self, count)

    def __set__(self, device: Device, value: int) -> None:
        if self.register.count is not None:
            raise AttributeError(f"{self.name} is an array: set {self.name}[index]")
        self._store(device, 0, value)

    def _load(self, device: Device, index: int = 0) -> int:
        return self.register._load(device, index) >> self.position & (1 << self.width) - 1

    def _store(self, device: Device, index: int, value: int) -> None:
        register, most = self.register, (1 << self.width) - 1
        if not 0 <= value <= most:
            raise ValueError(f"{self.name} has {self.width} bit{'s' * (most > 1)}: 0 to {most}, not {value}")
        register._check_set(device)
        place = register.target + index * register.stride
        c.vfu_device_update_register(
            device._handle, register.region.index, place, register.width, most << self.position, value << self.position
        )


class Range:
    """A part of a region that is no register: a mailbox, a window into a memory, a FIFO. See Bar.range and Bar.on_access.

        mailbox = bar0.range(0x100, 0x40)

        @mailbox.on_read
        def sent(self, offset, size):
            return self.message[offset - 0x100 :][:size]

        @mailbox.on_write
        def received(self, offset, data): ...

    offset counts from the region's start. What the client writes is bytes, of whatever size: int.from_bytes(data,
    "little") is the number that a driver meant. What it reads is bytes, or anything with a buffer, of exactly that size;
    up to 8 bytes an int does, little-endian and cut to the size. Other sizes are an error of the handler: the client
    gets EIO. Without on_read the client reads, and without on_write it writes, the memory behind the range, which is
    self.mailbox for the device, a vfu.Memory. Either may be a coroutine: a write is then answered at once, a read
    when the coroutine returns. Of 16 KiB and more that it reads nothing is copied: bytes are sent from where they are, and
    kept as long as that takes; of another buffer, which may change, the socket gets what it takes at once.

    With raw=True there are no copies, and both are function(self, offset, view): a memoryview of what was written, or
    one to be filled. It ends with the call, so neither can be a coroutine; slices of it that you keep are
    yours: the client neither sees nor changes them any more.

    offset and size: in bytes, of the region; name: the attribute's; read, write, both: its handlers, those that there are.
    """

    name: str | None = None
    read: Handler | None = None
    write: Handler | None = None
    both: Handler | None = None
    _shared: tuple[Register | Range, ...] = ()

    if not TYPE_CHECKING:
        __call__ = _no_decorator

    def __init__(self, region: Region, offset: int, size: int, raw: bool) -> None:
        if number("offset", offset) < 0 or number("size", size) < 1 or offset + size > region.size:
            raise ValueError(f"{offset:#x} + {size:#x} leaves the region of {region.size:#x} bytes")
        self.region, self.offset, self.size, self.raw = region, offset, size, raw

    @property
    def places(self) -> list[tuple[int, int]]:
        """Offset and size of all that is its."""
        return [(self.offset, self.size)]

    @property
    def functions(self) -> list[Handler]:
        """Its handlers, those that there are."""
        return [function for function in (self.both or self.read, self.both or self.write) if function]

    def __set_name__(self, owner: type, name: str) -> None:
        for one in (self, *self._shared):
            one.name = one.name or name

    @shown
    def __repr__(self) -> str:
        return f"{self.name}: {self.size:#x} bytes at {self.offset:#x}"

    def _with(self, of: Handler | Range, **handler: Handler) -> Range:
        # As with registers, a subclass that adds a handler leaves its parent's range alone.
        _refuse_second(self, handler.keys() & {"read", "write"})
        one = copy.copy(self) if self.name else self
        one._shared = _sharing(one, of)
        one.__dict__.update(handler)
        one.name = None
        return one

    def on_read(self, function: Handler | Range) -> Range:
        """Decorator: function(self, offset, size) returns what the client reads: bytes of that size, or an int."""
        return self._with(function, read=_handler(function, "read", self._given("size")))

    def on_write(self, function: Handler | Range) -> Range:
        """Decorator: function(self, offset, data) is called for each write of the client; data is bytes."""
        return self._with(function, write=_handler(function, "write", self._given("data")))

    def _given(self, last: str) -> str:
        return f"self, offset, {'view' if self.raw else last}"

    def _serve(self, of: Handler | Range) -> Range:
        """One function for both, which gets what it needs to tell them apart."""
        function = _handler(of, "both", "self, offset, size, data")

        @functools.wraps(function)
        def read(device: Device, offset: int, size: Any) -> Any:
            return function(device, offset, size, None)

        @functools.wraps(function)
        def write(device: Device, offset: int, data: Any) -> Any:
            return function(device, offset, len(data), data)

        return self._with(of, both=function, read=write if self.raw else read, write=write)

    def __get__(self, device: Device | None, owner: type | None = None) -> Any:
        if device is None:
            return self
        if self.both:
            return self.both.__get__(device, owner)
        return Memory(c.device_memory(device._handle, self.region.index), self.offset, self.size)

    def _install(self, handle: Any) -> None:
        if self.functions:
            c.device_add_range(handle, self.region.index, self.offset, self.size, self.raw, self.read, self.write)

    def _clear(self, device: Device) -> None:
        pass
