# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Regions of a device, accessed without waiting in between."""

from __future__ import annotations

import asyncio
import errno
import functools
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import libvfu as c

from .. import client, pci
from ..arguments import as_bytes, check
from ..client.regions import REGION_NAMES, _cpu_accesses, region_name
from ..client.requests import Place, why
from ..client.times import answer_time
from ..errors import Error, explain
from ..fixed import Fixed
from ..shown import shown
from .loop import Loop, in_thread

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from ..client.regions import Config as PlainConfig
    from ..client.regions import Region as PlainRegion


class Region(Fixed):
    """A region of the device, as dev.regions.bar0: vfu.Region with coroutines, which is its manual.

    index and name: which one. Accesses go out when they are awaited, or in asyncio.gather(), where as many as the
    device answers are under way at once, in order. One that is cancelled may have happened at the device; the buffer that it was
    to fill is the caller's again.
    """

    index: int
    name: str

    def __init__(self, loop: Loop, index: int, piece: int) -> None:
        self._loop, self.index, self._piece = loop, index, piece
        self.name = region_name(index)
        self._is_asked = False

    @shown
    def __repr__(self) -> str:
        return self.name

    def _plain(self) -> PlainRegion:
        return self._loop.client.regions[self.index]

    async def info(self) -> PlainRegion:
        """What the device says of it, as a vfu.Region: size, flags, areas, capabilities, map(). Asked for once.

        Its read() and write() wait, and are not for coroutines.
        """
        return await self._loop.run(self._plain)

    @overload
    async def read(self, offset: int, size: int, timeout: float | None = None) -> bytes: ...
    @overload
    async def read(self, offset: int, size: WriteableBuffer, timeout: float | None = None) -> int: ...
    async def read(self, offset: int, size: int | WriteableBuffer, timeout: float | None = None) -> bytes | int:
        """Reads size bytes, or fills a buffer and returns its length, as vfu.Region.read()."""
        check(offset=offset)
        longest = answer_time(timeout)
        if not isinstance(size, SupportsIndex):
            return await self._fill(offset, size, longest)
        if len(self._pieces(offset, size.__index__())) == 1:
            return bytes(await self._read_piece(offset, size.__index__(), longest))
        into = bytearray(size)
        await self._fill(offset, into, longest)
        return bytes(into)

    async def _fill(self, offset: int, into: WriteableBuffer, longest: int) -> int:
        """No part of the buffer is held when it returns, or raises."""
        with memoryview(into) as view, view.cast("B") as whole:
            parts = [(at, whole[at:end]) for at, end in self._pieces(offset, len(whole))]
            try:
                await _together(self._read_piece(offset + at, part, longest) for at, part in parts)
            finally:
                for _, part in parts:
                    part.release()
            return len(whole)

    def _pieces(self, offset: int, size: int) -> list[tuple[int, int]]:
        """What one message moves, (start, end) from the offset on."""
        return [(at, min(at + self._piece, size)) for at in range(0, size, self._piece)]

    async def _read_piece(self, offset: int, into: int | memoryview, longest: int) -> Any:
        try:
            return await self._loop.ask(
                lambda done: c.client_read_async(self._loop.handle, self.index, offset, into, longest, done),
                f"{self.name} at {offset:#x}: ",
                longest,
            )
        except Error as error:
            self._explain(error, Place(self.index, offset, into if isinstance(into, int) else len(into), False))
            raise

    def _explain(self, error: Error, place: Place) -> None:
        """Of an answer there is the number alone."""
        if error.errno not in (errno.EINVAL, errno.ETIMEDOUT) or error.field or self._loop.is_closed:
            return
        said = why(self._loop.handle, place, error.errno, f"{self.name} at {place.offset:#x}")
        error.field, error.offset = said.field, said.offset
        explain(error, str(said.strerror))

    async def write(
        self, offset: int, data: ReadableBuffer, post: bool | None = None, timeout: float | None = None
    ) -> None:
        """Writes bytes, as vfu.Region.write(). post: returns when it is sent, or with a batch; data of others is copied by then.
        None: in a block of Client.posting()."""
        check(offset=offset)
        longest = answer_time(timeout)
        if post is None:
            post = self._loop.is_in("posting")
        view = memoryview(data).cast("B")
        if post and not self._is_asked:
            # The library asks about a region before it is first written, and waits for that.
            await self._loop.run(lambda: self._plain().write(offset, view, post, timeout))
            self._is_asked = True
        elif post and self._loop.may_post:
            await self._post(offset, view)
        else:
            await _together(
                self._write_piece(offset + at, view[at:end], longest) for at, end in self._pieces(offset, len(view))
            )

    async def _write_piece(self, offset: int, data: memoryview, longest: int) -> None:
        try:
            await self._loop.ask(
                lambda done: c.client_write_async(self._loop.handle, self.index, offset, data, longest, done),
                f"{self.name} at {offset:#x}: ",
                longest,
            )
        except Error as error:
            self._explain(error, Place(self.index, offset, len(data), True))
            raise

    async def _post(self, offset: int, data: memoryview) -> None:
        try:
            await self._loop.post(self.index, offset, data)
        except OSError as error:
            explain(error, f"{self.name} at {offset:#x}: {error.strerror}")
            raise

    async def _get(self, offset: int, width: int, timeout: float | None = None) -> int:
        return int.from_bytes(await self.read(offset, width, timeout), "little")

    async def _put(self, offset: int, width: int, value: int, post: bool | None, timeout: float | None) -> None:
        await self.write(offset, as_bytes("value", value, width), post, timeout)

    def read8(self, offset: int, timeout: float | None = None) -> Coroutine[Any, Any, int]:
        """The number in 1 byte. timeout: as of read()."""
        return self._get(offset, 1, timeout)

    def read16(self, offset: int, timeout: float | None = None) -> Coroutine[Any, Any, int]:
        """The little-endian number in 2 bytes. timeout: as of read()."""
        return self._get(offset, 2, timeout)

    def read32(self, offset: int, timeout: float | None = None) -> Coroutine[Any, Any, int]:
        """The little-endian number in 4 bytes. timeout: as of read()."""
        return self._get(offset, 4, timeout)

    def read64(self, offset: int, timeout: float | None = None) -> Coroutine[Any, Any, int]:
        """The little-endian number in 8 bytes. timeout: as of read()."""
        return self._get(offset, 8, timeout)

    def write8(
        self, offset: int, value: int, post: bool | None = None, timeout: float | None = None
    ) -> Coroutine[Any, Any, None]:
        """Writes a number of 1 byte. OverflowError: it does not fit. post, timeout: as of write()."""
        return self._put(offset, 1, value, post, timeout)

    def write16(
        self, offset: int, value: int, post: bool | None = None, timeout: float | None = None
    ) -> Coroutine[Any, Any, None]:
        """Writes a little-endian number of 2 bytes. OverflowError: it does not fit. post, timeout: as of write()."""
        return self._put(offset, 2, value, post, timeout)

    def write32(
        self, offset: int, value: int, post: bool | None = None, timeout: float | None = None
    ) -> Coroutine[Any, Any, None]:
        """Writes a little-endian number of 4 bytes. OverflowError: it does not fit. post, timeout: as of write()."""
        return self._put(offset, 4, value, post, timeout)

    def write64(
        self, offset: int, value: int, post: bool | None = None, timeout: float | None = None
    ) -> Coroutine[Any, Any, None]:
        """Writes a little-endian number of 8 bytes. OverflowError: it does not fit. post, timeout: as of write()."""
        return self._put(offset, 8, value, post, timeout)

    io_fds = in_thread(client.regions.Region.io_fds)


async def _together(all: Any) -> list[Any]:
    """Like gather(), but starts them in order, and if one fails has the others given up before it says so."""
    all = list(all)
    if len(all) == 1:
        return [await all[0]]
    tasks = [asyncio.ensure_future(one) for one in all]
    try:
        return [await task for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Config(Region):
    """Configuration space: a Region whose PCI header has attributes, as vfu.Config, to be awaited: await dev.config.command.

    vendor_id, device_id, subsystem_vendor_id, subsystem_id, revision, class_code, command, status, cache_line_size,
    latency_timer, header_type, rom_address, interrupt_line, interrupt_pin are numbers; set() writes them.

    Accesses of any size are made of those that a CPU makes, 1, 2 or 4 aligned bytes.
    """

    vendor_id: Awaitable[int]
    device_id: Awaitable[int]
    command: Awaitable[int]
    status: Awaitable[int]
    revision: Awaitable[int]
    class_code: Awaitable[int]
    cache_line_size: Awaitable[int]
    latency_timer: Awaitable[int]
    header_type: Awaitable[int]
    subsystem_vendor_id: Awaitable[int]
    subsystem_id: Awaitable[int]
    rom_address: Awaitable[int]
    interrupt_line: Awaitable[int]
    interrupt_pin: Awaitable[int]

    if not TYPE_CHECKING:  # checkers know these by their names

        def __getattr__(self, name):
            if name not in pci.FIELDS:
                raise AttributeError(name)
            return self._get(*pci.FIELDS[name])

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *pci.FIELDS]

    def __setattr__(self, name: str, value: object) -> None:
        if name in pci.FIELDS or name == "bus_master":
            raise AttributeError(f"an assignment sends nothing here: await dev.config.set({name}={value!r})")
        super().__setattr__(name, value)

    def _plain(self) -> PlainConfig:
        return self._loop.client.config

    def _pieces(self, offset: int, size: int) -> list[tuple[int, int]]:
        return [(at - offset, at - offset + width) for at, width in _cpu_accesses(offset, size)]

    async def write(
        self, offset: int, data: ReadableBuffer, post: bool | None = None, timeout: float | None = None
    ) -> None:
        """As Region.write(), in accesses of 1, 2 and 4 aligned bytes; posted only if post says so."""
        await super().write(offset, data, bool(post), timeout)

    async def _post(self, offset: int, data: memoryview) -> None:
        for at, end in self._pieces(offset, len(data)):
            await super()._post(offset + at, data[at:end])

    async def set(self, **fields: int) -> None:
        """Writes fields of the header, or bus_master, one after another: await dev.config.set(command=6). TypeError: there is no
        such field."""
        for name in fields:
            if name not in pci.FIELDS and name != "bus_master":
                raise TypeError(f"the header has no {name}; it has bus_master, {', '.join(pci.FIELDS)}")
        for name, value in fields.items():
            if name == "bus_master":
                await self._loop.run(functools.partial(self._set_bus_master, bool(value)))
            else:
                offset, width = pci.FIELDS[name]
                await self.write(offset, as_bytes(name, value, width))

    @property
    def bus_master(self) -> Coroutine[Any, Any, bool]:
        """Whether the device may reach memory and send messages, as vfu.Config.bus_master: await dev.config.bus_master."""
        return self._loop.run(lambda: self._plain().bus_master)

    def _set_bus_master(self, on: bool) -> None:
        self._plain().bus_master = on

    async def capabilities(self) -> list[pci.Capability]:
        """The list of PCI capabilities, read anew each time."""
        return await self._loop.run(lambda: self._plain().capabilities)

    async def extended_capabilities(self) -> list[pci.ExtendedCapability]:
        """The list of PCI's extended capabilities, read anew each time; none if the space has 256 bytes."""
        return await self._loop.run(lambda: self._plain().extended_capabilities)


    bars = in_thread(client.regions.Config.bars)

    async def msix(self) -> Msix:
        """MSI-X, and its table as the device has it: await (await dev.config.msix())[3]. vfu.NotFound: it has none."""
        return Msix(self._loop, await self._loop.run(lambda: self._plain().msix()))


class Msix(Fixed):
    """MSI-X of a device, of dev.config.msix(), as vfu.ClientMsix: msix[i] is to be awaited.

    count: vectors, which is its len() too; table_bar, table_offset, pending_bar, pending_offset: where the device has them;
    enabled and masked: all of it, as it was when msix() was called.
    """

    count: int
    table_bar: int
    table_offset: int
    pending_bar: int
    pending_offset: int
    enabled: bool
    masked: bool

    def __init__(self, loop: Loop, plain: client.regions.ClientMsix) -> None:
        self._loop, self._msix = loop, plain
        self.count = plain.count
        self.table_bar, self.table_offset = plain.table_bar, plain.table_offset
        self.pending_bar, self.pending_offset = plain.pending_bar, plain.pending_offset
        self.enabled, self.masked = plain.enabled, plain.masked

    @shown
    def __repr__(self) -> str:
        return self._msix._state()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, vector: int) -> Coroutine[Any, Any, pci.MsixEntry]:
        if not 0 <= vector < self.count:
            raise IndexError(f"MSI-X has {self.count} vectors")
        return self._loop.run(lambda: self._msix[vector])


class Regions(Fixed):
    """dev.regions: the regions of the device, by index or as bar0, bar1, bar2, bar3, bar4, bar5, rom, config, vga.

    IndexError, AttributeError: the device has fewer.
    """

    bar0: Region
    bar1: Region
    bar2: Region
    bar3: Region
    bar4: Region
    bar5: Region
    rom: Region
    config: Config
    vga: Region

    def __init__(self, loop: Loop, count: int, piece: int) -> None:
        self._loop = loop
        self._all = [(Config if i == c.VFU_REGION_CONFIG else Region)(loop, i, piece) for i in range(count)]

    @shown
    def __repr__(self) -> str:
        return f"{len(self._all)}"

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: int) -> Region:
        if not 0 <= index < len(self._all):
            raise IndexError(f"the device has {len(self._all)} regions")
        return self._all[index]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *REGION_NAMES[: len(self._all)]]

    if not TYPE_CHECKING:  # checkers know these by their names

        def __getattr__(self, name):
            if name not in REGION_NAMES or REGION_NAMES.index(name) >= len(self):
                raise AttributeError(name)
            return self[REGION_NAMES.index(name)]

    async def find(self, type: int, subtype: int = 0) -> Region:
        """The device's own region of a type and subtype, as vfu.Regions.find()."""
        plain = await self._loop.run(lambda: self._loop.client.regions.find(type, subtype))
        return self[plain.index]
