# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The client's view of the device's regions, of configuration space among them."""

from __future__ import annotations

import errno
import functools
import mmap
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, SupportsIndex, overload

import libvfu as c

from .. import commands, pci, protocol
from ..arguments import as_bytes, check
from ..errors import make_error
from ..fixed import Fixed
from ..memory import Mapping
from ..shown import shown
from .requests import Access, Place
from .times import answer_time

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

REGION_NAMES = ("bar0", "bar1", "bar2", "bar3", "bar4", "bar5", "rom", "config", "vga")


def region_name(index: int) -> str:
    """What a region is called, also one that PCI does not know."""
    return REGION_NAMES[index] if index < len(REGION_NAMES) else f"region{index}"


class IoFd(NamedTuple):
    """A descriptor that takes accesses to a part of a region, of Region.io_fds().

    type: of protocol.IoFdType, 0: an eventfd that stands for writes. flags: of protocol.IoFdIoevent. offset, size: in the region; size 0:
    any access at the offset. datamatch: the value that signals, with the flag for that. fd: what takes them. shadow_fd, shadow_offset: where the
    value is stored before the signal, -1: nowhere (E4).
    """

    type: int
    flags: int
    offset: int
    size: int
    datamatch: int
    fd: int
    shadow_fd: int
    shadow_offset: int


class _Port(Protocol):
    """Accesses to a region: in C, but for those of configuration space."""

    def get(self, offset: int, width: int, timeout: int, /) -> int: ...
    def put(self, offset: int, width: int, value: int, post: bool | None, timeout: int, /) -> None: ...
    @overload
    def read(self, offset: int, into: int, timeout: int, /) -> bytes: ...
    @overload
    def read(self, offset: int, into: WriteableBuffer, timeout: int, /) -> int: ...
    def write(self, offset: int, data: ReadableBuffer, post: bool | None, timeout: int, /) -> None: ...


def _close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


class Region(Fixed):
    """A region of the device, as dev.regions.bar0: the client's view of it.

    index and name: which one (bar0 to bar5, rom, config, vga, and region9... of what PCI does not know).
    size: in bytes, 0: there is none. flags: of protocol.RegionInfoFlags. type and subtype: what it is, of one that PCI
    does not know. areas: [(offset, size)] of what may be mapped, if that is not all of it.

    read() and write() move bytes of any length, which the library splits at max_data_xfer_size; readN and writeN move
    little-endian numbers of N bits, in one access. What lies inside of an area that may be mapped is read and written in that
    memory, unless the Client has mapped=False; all else are messages, which wait for the device's answer, at most the
    Client's timeout, and serve its DMA meanwhile. Any thread may call them. What goes wrong is a vfu.Error: the device's errno, EINVAL for an
    access outside of the region (E30), Timeout, Disconnected.
    """

    index: int
    name: str
    size: int
    flags: int
    areas: list[tuple[int, int]]
    type: int
    subtype: int

    def __init__(self, handle: c.vfu_client, index: int) -> None:
        self._h, self.index = handle, index
        self.name = region_name(index)
        self._port: _Port = c.client_port(handle, index, self.name)
        self._close: Callable[[], Any] | None = None
        self._ask()

    def _ask(self) -> None:
        """Once a connection. The files of the last one go."""
        info = c.client_region_info(self._h, self.index)
        self.size, offset, self.flags, fd, self.areas, self.type, self.subtype, self._reply, files = info
        old = self._close
        # What map() maps: (descriptor, offset) of each area, or of the whole.
        self._files = files or [(fd, offset + start) for start, _ in self.areas or [(0, self.size)] if fd >= 0]
        self._close = weakref.finalize(self, _close_all, {one for one, _ in self._files}) if self._files else None
        if old:
            old()
        self.__dict__.pop("info", None)

    @shown
    def __repr__(self) -> str:
        able = {"read": self.readable, "write": self.writable, "map": self.mappable}
        said = ", ".join(word for word, yes in able.items() if yes) or "no access"
        return f"{self.name}: {self.size:#x} bytes, {said}" if self.size else f"{self.name}: none"

    @property
    def readable(self) -> bool:
        """Whether the client may read it."""
        return bool(self.flags & c.VFU_REGION_READ)

    @property
    def writable(self) -> bool:
        """Whether the client may write it."""
        return bool(self.flags & c.VFU_REGION_WRITE)

    @property
    def mappable(self) -> bool:
        """Whether map() works: the device gave a file, and says that all or areas of it may be mapped."""
        return bool(self.flags & c.VFU_REGION_MMAP and self._files)

    @functools.cached_property
    def info(self) -> protocol.GetRegionInfoReply:
        """All the device says of the region, as protocol.GetRegionInfoReply; asked for once."""
        reply = protocol.GetRegionInfoReply.parse(
            self._reply,
            request=protocol.GetRegionInfoRequest(index=self.index),
            nfds=64 if self._files else 0,
            limits=protocol.Limits.widest(),  # the library has checked it
        )
        assert isinstance(reply, protocol.GetRegionInfoReply)  # which has no layouts of its own
        return reply

    @property
    def capabilities(self) -> Sequence[protocol.Part | protocol.UnknownLink]:
        """Those of info: objects of vfu.protocol, UnknownLink where the protocol's table lacks one."""
        return self.info.caps

    @overload
    def read(self, offset: int, size: int, timeout: float | None = None) -> bytes: ...
    @overload
    def read(self, offset: int, size: WriteableBuffer, timeout: float | None = None) -> int: ...
    def read(self, offset: int, size: int | WriteableBuffer, timeout: float | None = None) -> bytes | int:
        """Reads size bytes, or fills a buffer that is given instead, and then returns its length in bytes.

        offset: in bytes, of the region. timeout: seconds for each message's answer, 0: for ever; that of the Client if not given.
        vfu.Error: see the class.
        """
        return self._port.read(offset, size, answer_time(timeout))

    def write(
        self, offset: int, data: ReadableBuffer, post: bool | None = None, timeout: float | None = None
    ) -> None:
        """Writes bytes to an offset of the region. timeout: as of read().

        post: without waiting for an answer; whether the device took it then stays unknown (E27). Order is kept (E52).
        None: in a block of Client.posting().
        """
        self._port.write(offset, data, post, answer_time(timeout))

    def read8(self, offset: int, timeout: float | None = None) -> int:
        """The number in 1 byte. timeout: as of read()."""
        return self._port.get(offset, 1, 0 if timeout is None else answer_time(timeout))

    def read16(self, offset: int, timeout: float | None = None) -> int:
        """The little-endian number in 2 bytes. timeout: as of read()."""
        return self._port.get(offset, 2, 0 if timeout is None else answer_time(timeout))

    def read32(self, offset: int, timeout: float | None = None) -> int:
        """The little-endian number in 4 bytes. timeout: as of read()."""
        return self._port.get(offset, 4, 0 if timeout is None else answer_time(timeout))

    def read64(self, offset: int, timeout: float | None = None) -> int:
        """The little-endian number in 8 bytes. timeout: as of read()."""
        return self._port.get(offset, 8, 0 if timeout is None else answer_time(timeout))

    def write8(self, offset: int, value: int, post: bool | None = None, timeout: float | None = None) -> None:
        """Writes a number of 1 byte. OverflowError: it does not fit. post, timeout: as of write()."""
        self._port.put(offset, 1, value, post, 0 if timeout is None else answer_time(timeout))

    def write16(self, offset: int, value: int, post: bool | None = None, timeout: float | None = None) -> None:
        """Writes a little-endian number of 2 bytes. OverflowError: it does not fit. post, timeout: as of write()."""
        self._port.put(offset, 2, value, post, 0 if timeout is None else answer_time(timeout))

    def write32(self, offset: int, value: int, post: bool | None = None, timeout: float | None = None) -> None:
        """Writes a little-endian number of 4 bytes. OverflowError: it does not fit. post, timeout: as of write()."""
        self._port.put(offset, 4, value, post, 0 if timeout is None else answer_time(timeout))

    def write64(self, offset: int, value: int, post: bool | None = None, timeout: float | None = None) -> None:
        """Writes a little-endian number of 8 bytes. OverflowError: it does not fit. post, timeout: as of write()."""
        self._port.put(offset, 8, value, post, 0 if timeout is None else answer_time(timeout))

    @overload
    def read_async(self, offset: int, size: int, timeout: float | None = None) -> Access[bytes]: ...
    @overload
    def read_async(self, offset: int, size: WriteableBuffer, timeout: float | None = None) -> Access[int]: ...
    def read_async(self, offset: int, size: int | WriteableBuffer, timeout: float | None = None) -> Access[Any]:
        """Begins a read, and returns an Access, a concurrent.futures.Future, whose result() is what read() returns.

        Any number may be under way; they reach the device in order. It is one message, of at most limits["max_data_xfer_size"] bytes. vfu.Error
        with ENOBUFS: so many are under way that the queue is full. timeout: as of read(), for its answer.
        """
        check(offset=offset)
        has_bytes = isinstance(size, SupportsIndex)
        length = size.__index__() if isinstance(size, SupportsIndex) else memoryview(size).nbytes
        place = Place(self.index, offset, length, False)
        where = f"{self.name} at {offset:#x}"
        access: Access[Any] = Access(self._h, place, where, lambda n, data: data if has_bytes else n)
        longest = answer_time(timeout)
        return access._start(lambda done: c.client_read_async(self._h, self.index, offset, size, longest, done))

    def write_async(self, offset: int, data: ReadableBuffer, timeout: float | None = None) -> Access[None]:
        """Begins a write, as read_async(); data is copied. What a device refuses its result() raises, unlike a write with post=True."""
        check(offset=offset)
        place = Place(self.index, offset, memoryview(data).nbytes, True)
        access: Access[None] = Access(self._h, place, f"{self.name} at {offset:#x}", lambda *_: None)
        longest = answer_time(timeout)
        return access._start(lambda done: c.client_write_async(self._h, self.index, offset, data, longest, done))

    def io_fds(self) -> tuple[list[IoFd], commands.Descriptors]:
        """What takes accesses in place of messages (GET_REGION_IO_FDS): os.eventfd_write(entries[0].fd, 1) is a write.

        The entries, whose descriptors are those of the second, which closes them when it goes, unless they are taken; several
        entries may have the same. Not ordered with messages (E52). vfu.Error with EPROTO: an entry is outside of the region.
        """
        entries, fds = c.client_io_fds(self._h, self.index)
        return [IoFd(*entry) for entry in entries], commands.Descriptors(fds)

    def map(self, area: int = 0) -> Mapping:
        """Maps the region, or one of its areas, by index. Returns an mmap (a Mapping), which outlives the connection.

        The device does not see accesses to it, and its handlers do not run. ValueError: see mappable. vfu.Error: it is
        larger than fits here, or begins within a page.
        """
        if not self.mappable:
            raise ValueError(f"{self.name} cannot be mapped")
        fd, offset = self._files[area]
        size = self.areas[area][1] if self.areas else self.size
        protection = (mmap.PROT_READ if self.readable else 0) | (mmap.PROT_WRITE if self.writable else 0)
        try:
            return Mapping(fd, size, prot=protection, offset=offset)
        except (OSError, OverflowError) as error:  # the device's word: more than fits here, or begins within a page
            code = error.errno if isinstance(error, OSError) and error.errno else errno.ENOMEM
            text = f"{self.name}: {size:#x} bytes at {offset:#x} of its file cannot be mapped: {os.strerror(code)}"
            raise make_error(code, text=text) from error


def _cpu_accesses(offset: int, size: int) -> Iterator[tuple[int, int]]:
    """(offset, width) of the accesses of 1, 2 or 4 aligned bytes that a CPU makes instead of one of any size."""
    end = offset + size
    while offset < end:
        width = next((w for w in (4, 2) if offset % w == 0 and offset + w <= end), 1)
        yield offset, width
        offset += width


class _CpuPort:
    """The same in the accesses that a CPU makes, of 1, 2 and 4 aligned bytes; posted only if somebody says so."""

    def __init__(self, port: _Port) -> None:
        self._port = port

    def get(self, offset: int, width: int, timeout: int, /) -> int:
        pieces = _cpu_accesses(offset, width)
        return sum(self._port.get(at, piece, timeout) << 8 * (at - offset) for at, piece in pieces)

    def put(self, offset: int, width: int, value: int, post: bool | None, timeout: int, /) -> None:
        data = as_bytes("value", value, width)
        for at, piece in _cpu_accesses(offset, width):
            self._port.put(at, piece, int.from_bytes(data[at - offset :][:piece], "little"), bool(post), timeout)

    def read(self, offset: int, into: Any, timeout: int, /) -> Any:
        is_size = isinstance(into, SupportsIndex)
        with memoryview(bytearray(into) if is_size else into) as view, view.cast("B") as room:
            for at, width in _cpu_accesses(offset, len(room)):
                with room[at - offset : at - offset + width] as piece:
                    self._port.read(at, piece, timeout)
            return bytes(room) if is_size else len(room)

    def write(self, offset: int, data: ReadableBuffer, post: bool | None, timeout: int, /) -> None:
        with memoryview(data) as view, view.cast("B") as whole:
            for at, width in _cpu_accesses(offset, len(whole)):
                self._port.write(at, whole[at - offset : at - offset + width], bool(post), timeout)


class Config(Region):
    """Configuration space: a Region whose PCI header has attributes, each of which is a message.

    vendor_id, device_id, subsystem_vendor_id, subsystem_id, revision, class_code (24 bits: class, subclass, programming
    interface), command, status, cache_line_size, latency_timer, header_type, rom_address, interrupt_line, interrupt_pin
    are numbers that can be read, and set where the device lets them be: dev.config.command |= 1.

    Accesses of any size are made of those that a CPU makes, 1, 2 or 4 aligned bytes: servers need not know others. They are
    posted only if post says so.
    """

    vendor_id: int
    device_id: int
    command: int
    status: int
    revision: int
    class_code: int
    cache_line_size: int
    latency_timer: int
    header_type: int
    subsystem_vendor_id: int
    subsystem_id: int
    rom_address: int
    interrupt_line: int
    interrupt_pin: int

    def __init__(self, handle: c.vfu_client, index: int) -> None:
        super().__init__(handle, index)
        self._port = _CpuPort(self._port)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *pci.FIELDS]

    if not TYPE_CHECKING:  # checkers know these by their names

        def __getattr__(self, name):
            if name not in pci.FIELDS:
                raise AttributeError(f"configuration space's header has no field {name}; it has: {', '.join(pci.FIELDS)}")
            offset, width = pci.FIELDS[name]
            return int.from_bytes(self.read(offset, width), "little")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in pci.FIELDS:
            offset, width = pci.FIELDS[name]
            self.write(offset, as_bytes(name, value, width))
        else:
            super().__setattr__(name, value)

    @property
    def bus_master(self) -> bool:
        """Whether the device may reach memory and send messages: bit 2 of command (E63). Can be set.

        The Client sets it by itself where that is needed, unless it has bus_master=False.
        """
        return bool(self.command & pci.COMMAND_BUS_MASTER)

    @bus_master.setter
    def bus_master(self, on: bool) -> None:
        command = self.command & ~pci.COMMAND_BUS_MASTER
        self.command = command | (pci.COMMAND_BUS_MASTER if on else 0)

    @property
    def capabilities(self) -> list[pci.Capability]:  # type: ignore[override]  # what PCI calls so
        """The list of PCI capabilities, read anew each time; those that GET_REGION_INFO tells of are info.caps. vfu.Error with
        EPROTO: it comes back to where it was, or leaves the place of such capabilities."""
        return pci.capabilities(self.read(0, min(self.size, 256)))

    @property
    def extended_capabilities(self) -> list[pci.ExtendedCapability]:
        """The list of PCI's extended capabilities, read anew each time; none if the space has 256 bytes. vfu.Error: as of
        capabilities."""
        return pci.extended_capabilities(self.read(0, self.size)) if self.size > 256 else []

    def bars(self) -> list[pci.ClientBar]:
        """The BARs and the expansion ROM, found as firmware finds them: by what their registers keep of ones that are written.

        They hold again what they did afterwards; meanwhile the device decodes no accesses. vfu.Error with EPROTO: what
        the device says cannot be; ENODEV: it is not PCI.
        """
        return _bars(c.client_bars(self._h))

    def msix(self) -> ClientMsix:
        """MSI-X, and its table as the device has it: msix()[3].address. vfu.NotFound: it has none."""
        return ClientMsix(self._h)


def _bars(found: list[tuple[int, int, int]]) -> list[pci.ClientBar]:
    kinds = c.VFU_BAR_IO, c.VFU_BAR_64, c.VFU_BAR_PREFETCH, c.VFU_BAR_ROM_ON
    return [
        pci.ClientBar(i, size, address, *(bool(flags & kind) for kind in kinds))
        for i, (size, address, flags) in enumerate(found)
        if size
    ]


# Where assign_bars() places what it is not told about otherwise.
IO, MEMORY, MEMORY64 = range(0x1000, 0x10000), range(0xE000_0000, 0xFEC0_0000), range(1 << 39, 1 << 47)


def assign_bars(handle: c.vfu_client | None, *windows: range, rom: bool) -> list[pci.ClientBar]:
    """See Client.assign_bars()."""
    ends = [number for window in windows for number in (window.start, max(0, window.stop - window.start))]
    return _bars(c.client_assign_bars(handle, rom, *ends))


class ClientMsix(Fixed):
    """MSI-X of a device, of dev.config.msix(): the table by index, each entry read from the device when it is asked for.

    count: vectors, which is its len() too; table_bar, table_offset, pending_bar, pending_offset: where the device has them;
    enabled and masked: all of it, as it was when msix() was called. Some devices want their BARs placed first, see
    Client.assign_bars().
    """

    count: int
    table_bar: int
    table_offset: int
    pending_bar: int
    pending_offset: int
    enabled: bool
    masked: bool

    def __init__(self, handle: c.vfu_client) -> None:
        self._h, self._raw = handle, c.vfu_msix()
        c.vfu_client_msix(handle, self._raw)
        raw = self._raw
        self.count = raw.count
        self.table_bar, self.table_offset = raw.table_bar, raw.table_offset
        self.pending_bar, self.pending_offset = raw.pending_bar, raw.pending_offset
        self.enabled, self.masked = raw.is_enabled, raw.is_masked

    @shown
    def __repr__(self) -> str:
        return self._state()

    def _state(self) -> str:
        where = f"table in BAR {self.table_bar} at {self.table_offset:#x}"
        return f"{self.count} vectors, {'on' if self.enabled else 'off'}{', masked' * self.masked}, {where}"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, vector: int) -> pci.MsixEntry:
        if not 0 <= vector < self.count:
            raise IndexError(f"MSI-X has {self.count} vectors")
        entry = c.vfu_msix_entry()
        c.vfu_client_msix_entry(self._h, self._raw, vector, entry)
        return pci.MsixEntry(entry.address, entry.data, entry.is_masked, entry.is_pending)


class Regions(Fixed):
    """dev.regions: the regions of the device, by index or as bar0, bar1, bar2, bar3, bar4, bar5, rom, config, vga.

    Those of the device's own, which PCI does not know, have indices from 9 on; find() finds them by what they are for.
    The device is asked about each once, when it is first used: vfu.Error if it does not answer. What it does not have
    has size 0. IndexError, AttributeError: the device has fewer.
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

    def __init__(self, handle: c.vfu_client, count: int) -> None:
        self._h, self._count = handle, count
        self._known: dict[int, Region] = {}

    @shown
    def __repr__(self) -> str:
        known = ", ".join(region.name for region in list(self._known.values()))
        return f"{self._count}, asked for: {known or 'none'}"

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Region:
        if not 0 <= index < self._count:
            raise IndexError(f"the device has {self._count} regions")
        if index not in self._known:
            kind = Config if index == c.VFU_REGION_CONFIG else Region
            self._known[index] = kind(self._h, index)
        return self._known[index]

    def _refresh(self) -> None:
        """There is another connection, to the same device."""
        for region in list(self._known.values()):
            region._ask()

    def find(self, type: int, subtype: int = 0) -> Region:
        """The region that PCI does not know with this type and subtype, of the first 100. vfu.NotFound: none has.

        The device is asked about each of those once.
        """
        check(type=type, subtype=subtype)
        return self[c.vfu_client_find_region(self._h, type, subtype)]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *REGION_NAMES[: self._count]]

    if not TYPE_CHECKING:  # checkers know these by their names

        def __getattr__(self, name):
            if name not in REGION_NAMES:
                raise AttributeError(f"no region is called {name}; names: {', '.join(REGION_NAMES)}; others by index")
            return self[REGION_NAMES.index(name)]

    def _close(self) -> None:
        for region in self._known.values():
            if region._close:
                region._close()
