# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Clients: use a device that someone serves."""

from __future__ import annotations

import errno
import functools
import math
import mmap
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as AnyMapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, SupportsIndex, overload

import libvfu as c

from . import commands, pci, protocol
from .capabilities import Agreed, limits_of
from .errors import Disconnected, explain, log_level, logger, make_error
from .memory import Mapping, memfd
from .server import configure, own_fd, read_fields
from .shown import shown

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike, ReadableBuffer, StrPath, WriteableBuffer
    from typing_extensions import Self

REGION_NAMES = ("bar0", "bar1", "bar2", "bar3", "bar4", "bar5", "rom", "config", "vga")


def region_name(index: int) -> str:
    """What a region is called, also one that PCI does not know."""
    return REGION_NAMES[index] if index < len(REGION_NAMES) else f"region{index}"


IRQ_NAMES = ("intx", "msi", "msix", "err", "req")

# Vectors that get their eventfd when the client connects. Those above get it at first use.
_EAGER_VECTORS = 64


class DeviceInfo(NamedTuple):
    """What the device says about itself: how many regions and irqs it has (indices, some of which may be empty), and
    whether it is a PCI device (pci) and can be reset (reset)."""

    regions: int
    irqs: int
    pci: bool
    reset: bool


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
    """Numbers in a region: in C, but for those of configuration space."""

    def get(self, offset: int, width: int, /) -> int: ...
    def put(self, offset: int, width: int, value: int, post: bool, /) -> None: ...


def _close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


class Region:
    """A region of the device, as dev.regions.bar0: the client's view of it.

    index and name: which one (bar0 to bar5, rom, config, vga, and region9... of what PCI does not know).
    size: in bytes, 0: there is none. flags: of protocol.RegionInfoFlags. type and subtype: what it is, of one that PCI
    does not know. areas: [(offset, size)] of what may be mapped, if that is not all of it.

    read() and write() move bytes of any length, which the library splits at max_data_xfer_size; readN and writeN move
    little-endian numbers of N bits, in one message. All wait for the device's answer, at most the Client's timeout, and
    serve its DMA meanwhile. Any thread may call them. What goes wrong is a vfu.Error: the device's errno, EINVAL for an
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
        info = c.client_region_info(handle, index)
        self.size, offset, self.flags, fd, self.areas, self.type, self.subtype, self._reply, files = info
        # What map() maps: (descriptor, offset) of each area, or of the whole.
        self._files = files or [(fd, offset + start) for start, _ in self.areas or [(0, self.size)] if fd >= 0]
        self._close = weakref.finalize(self, _close_all, {one for one, _ in self._files}) if self._files else None

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
    def read(self, offset: int, size: int) -> bytes: ...
    @overload
    def read(self, offset: int, size: WriteableBuffer) -> int: ...
    def read(self, offset: int, size: int | WriteableBuffer) -> bytes | int:
        """Reads size bytes, or fills a buffer that is given instead, and then returns its length in bytes.

        offset: in bytes, of the region. vfu.Error: see the class.
        """
        try:
            return c.vfu_client_region_read(self._h, self.index, offset, size)
        except OSError as error:
            explain(error, f"{self.name} at {offset:#x}: {error.strerror}")
            raise

    def write(self, offset: int, data: ReadableBuffer, post: bool = False) -> None:
        """Writes bytes to an offset of the region.

        post: without waiting for an answer; whether the device took it then stays unknown (E27). Order is kept (E52).
        """
        put = c.vfu_client_region_post if post else c.vfu_client_region_write
        try:
            put(self._h, self.index, offset, data)
        except OSError as error:
            explain(error, f"{self.name} at {offset:#x}: {error.strerror}")
            raise

    def read8(self, offset: int) -> int:
        """The number in 1 byte."""
        return self._port.get(offset, 1)

    def read16(self, offset: int) -> int:
        """The little-endian number in 2 bytes."""
        return self._port.get(offset, 2)

    def read32(self, offset: int) -> int:
        """The little-endian number in 4 bytes."""
        return self._port.get(offset, 4)

    def read64(self, offset: int) -> int:
        """The little-endian number in 8 bytes."""
        return self._port.get(offset, 8)

    def write8(self, offset: int, value: int, post: bool = False) -> None:
        """Writes a number of 1 byte. OverflowError: it does not fit. post: as of write()."""
        self._port.put(offset, 1, value, post)

    def write16(self, offset: int, value: int, post: bool = False) -> None:
        """Writes a little-endian number of 2 bytes. OverflowError: it does not fit. post: as of write()."""
        self._port.put(offset, 2, value, post)

    def write32(self, offset: int, value: int, post: bool = False) -> None:
        """Writes a little-endian number of 4 bytes. OverflowError: it does not fit. post: as of write()."""
        self._port.put(offset, 4, value, post)

    def write64(self, offset: int, value: int, post: bool = False) -> None:
        """Writes a little-endian number of 8 bytes. OverflowError: it does not fit. post: as of write()."""
        self._port.put(offset, 8, value, post)

    def io_fds(self) -> tuple[list[IoFd], commands.Descriptors]:
        """What takes accesses in place of messages (GET_REGION_IO_FDS): os.eventfd_write(entries[0].fd, 1) is a write.

        The entries, whose descriptors are those of the second, which closes them when it goes, unless they are taken; several
        entries may have the same. Not ordered with messages (E52). vfu.Error with EPROTO: an entry is outside of the region.
        """
        entries, fds = c.client_io_fds(self._h, self.index)
        return [IoFd(*entry) for entry in entries], commands.Descriptors(fds)

    def map(self, area: int = 0) -> Mapping:
        """Maps the region, or one of its areas, by index. Returns an mmap (a Mapping), which outlives the connection.

        The device does not see accesses to it, and its handlers do not run. ValueError: see mappable.
        """
        if not self.mappable:
            raise ValueError(f"{self.name} cannot be mapped")
        fd, offset = self._files[area]
        size = self.areas[area][1] if self.areas else self.size
        protection = (mmap.PROT_READ if self.readable else 0) | (mmap.PROT_WRITE if self.writable else 0)
        return Mapping(fd, size, prot=protection, offset=offset)


def _cpu_accesses(offset: int, size: int) -> Iterator[tuple[int, int]]:
    """(offset, width) of the accesses of 1, 2 or 4 aligned bytes that a CPU makes instead of one of any size."""
    end = offset + size
    while offset < end:
        width = next((w for w in (4, 2) if offset % w == 0 and offset + w <= end), 1)
        yield offset, width
        offset += width


class _CpuPort:
    """Numbers in the accesses that a CPU makes."""

    def __init__(self, port: _Port) -> None:
        self._port = port

    def get(self, offset: int, width: int, /) -> int:
        pieces = _cpu_accesses(offset, width)
        return sum(self._port.get(at, piece) << 8 * (at - offset) for at, piece in pieces)

    def put(self, offset: int, width: int, value: int, post: bool, /) -> None:
        data = value.to_bytes(width, "little")
        for at, piece in _cpu_accesses(offset, width):
            self._port.put(at, piece, int.from_bytes(data[at - offset :][:piece], "little"), post)


class Config(Region):
    """Configuration space: a Region whose PCI header has attributes, each of which is a message.

    vendor_id, device_id, subsystem_vendor_id, subsystem_id, revision, class_code (24 bits: class, subclass, programming
    interface), command, status, cache_line_size, latency_timer, header_type, rom_address, interrupt_line, interrupt_pin
    are numbers that can be read, and set where the device lets them be: dev.config.command |= 1.

    Accesses of any size are made of those that a CPU makes, 1, 2 or 4 aligned bytes: servers need not know others.
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

    @overload
    def read(self, offset: int, size: int) -> bytes: ...
    @overload
    def read(self, offset: int, size: WriteableBuffer) -> int: ...
    def read(self, offset: int, size: int | WriteableBuffer) -> bytes | int:
        """As Region.read(), in accesses of 1, 2 and 4 aligned bytes."""
        is_size = isinstance(size, SupportsIndex)
        into = memoryview(bytearray(size) if isinstance(size, SupportsIndex) else size).cast("B")
        for at, width in _cpu_accesses(offset, len(into)):
            super().read(at, into[at - offset : at - offset + width])
        return bytes(into) if is_size else len(into)

    def write(self, offset: int, data: ReadableBuffer, post: bool = False) -> None:
        """As Region.write(), in accesses of 1, 2 and 4 aligned bytes."""
        data = memoryview(data).cast("B")
        for at, width in _cpu_accesses(offset, len(data)):
            super().write(at, data[at - offset : at - offset + width], post)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *pci.FIELDS]

    if not TYPE_CHECKING:  # checkers know these by their names

        def __getattr__(self, name):
            if name not in pci.FIELDS:
                raise AttributeError(name)
            offset, width = pci.FIELDS[name]
            return int.from_bytes(self.read(offset, width), "little")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in pci.FIELDS:
            offset, width = pci.FIELDS[name]
            self.write(offset, value.to_bytes(width, "little"))
        else:
            object.__setattr__(self, name, value)

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
        """The list of PCI capabilities, read anew each time; those that GET_REGION_INFO tells of are info.caps."""
        return pci.capabilities(self.read(0, min(self.size, 256)))

    @property
    def extended_capabilities(self) -> list[pci.ExtendedCapability]:
        """The list of PCI's extended capabilities, read anew each time; none if the space has 256 bytes."""
        return pci.extended_capabilities(self.read(0, self.size)) if self.size > 256 else []


class Regions:
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

    def find(self, type: int, subtype: int = 0) -> Region:
        """The region that PCI does not know with this type and subtype, of the first 100. vfu.NotFound: none has.

        The device is asked about each of those once.
        """
        return self[c.vfu_client_find_region(self._h, type, subtype)]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *REGION_NAMES[: self._count]]

    if not TYPE_CHECKING:  # checkers know these by their names

        def __getattr__(self, name):
            if name not in REGION_NAMES:
                raise AttributeError(name)
            return self[REGION_NAMES.index(name)]

    def _close(self) -> None:
        for region in self._known.values():
            if region._close:
                region._close()


class ClientVector:
    """One interrupt vector of the device, dev.irqs.msix[3]: waited for, or watched by an event loop. Any thread.

    It has an eventfd, which the device gets when the vector is first used, and which is closed with the Client.
    """

    def __init__(self, arming: _Arming, index: int, vector: int) -> None:
        self._arming, self._h, self.index, self.vector = arming, arming.handle, index, vector
        self._fd: int | None = None
        self._close: Callable[[], Any] | None = None
        self._turn: int | None = None
        # A message, which a device sends only while bus mastering is on.
        self._is_message = index in (c.VFU_IRQ_MSI, c.VFU_IRQ_MSIX)
        self._has_complained = False

    @shown
    def __repr__(self) -> str:
        return f"{irq_name(self.index)}[{self.vector}], {self._armed()}"

    def _armed(self) -> str:
        return "armed" if self._fd is not None and self._turn == self._arming.turn(self.index) else "not armed"

    @property
    def fd(self) -> int:
        """The eventfd that the device signals, the same for good: for event loops. Asking for it arms the vector.

        It stays the Client's. Its count is taken by wait(timeout=0): a read of it may block, as the device can change
        its flags.
        """
        if self._turn != self._arming.turn(self.index):
            self._arming.arm([self])
        return self._eventfd()

    def wait(self, timeout: float | None = None) -> int:
        """Waits until the device raises it, for timeout seconds at most (None: for ever), and serves its DMA meanwhile.

        Returns how often it was raised since it was last waited for; 0: the time is up. Disconnected: the device has
        gone, and will not.
        """
        milliseconds = -1 if timeout is None else _milliseconds(max(0, timeout))
        fd = self.fd
        if self._is_message:
            c.vfu_client_use_bus_master(self._h)  # off again after a reset
        count = c.client_wait_eventfd(self._h, fd, milliseconds)
        if not count and timeout and self._is_message and not self._has_complained:
            self._has_complained = _complain(self._h)
        return count

    def trigger(self) -> None:
        """Asks the device to raise it, as a test does (SET_IRQS with DATA_NONE and ACTION_TRIGGER)."""
        c.vfu_client_irq_trigger(self._h, self.index, self.vector, 1)

    def mask(self) -> None:
        """Has the device hold it back until unmask(). vfu.Error: it cannot, as the interrupt's flags say."""
        c.vfu_client_irq_mask(self._h, self.index, self.vector, 1)

    def unmask(self) -> None:
        """Lets it come again; what was raised meanwhile comes now."""
        c.vfu_client_irq_unmask(self._h, self.index, self.vector, 1)

    def mask_on(self, fd: int | None) -> None:
        """Has the device mask it whenever the eventfd fd is signalled (os.eventfd_write(fd, 1)); None: no longer.

        fd stays the caller's, who may close it. vfu.Error: the interrupt cannot be masked, as its flags say.
        """
        c.client_set_mask_eventfds(self._h, self.index, self.vector, [-1 if fd is None else fd])

    def unmask_on(self, fd: int | None) -> None:
        """The same for unmask(), as KVM resamples INTx: while the line is up each signal brings it again.

        disable() and the end of the connection take both away.
        """
        c.client_set_unmask_eventfds(self._h, self.index, self.vector, [-1 if fd is None else fd])

    def _eventfd(self) -> int:
        if self._fd is None:
            self._fd = c.eventfd_new()
            self._close = weakref.finalize(self, os.close, self._fd)
        return self._fd


def _complain(handle: c.vfu_client) -> bool:
    """A message did not come: says so if it could not."""
    try:
        command = c.vfu_client_region_read(handle, c.VFU_REGION_CONFIG, pci.FIELDS["command"][0], 2)
    except OSError:
        return False
    if command[0] & pci.COMMAND_BUS_MASTER:
        return False
    logger.warning("no interrupt: bus mastering is off, so the device cannot send MSI and MSI-X")
    return True


class _Arming:
    """Which eventfds the device has: those of one interrupt at a time, for there are servers with one table for all."""

    def __init__(self, handle: c.vfu_client, one_at_a_time: bool) -> None:
        self.handle, self._one_at_a_time = handle, one_at_a_time
        self._armed: set[int] = set()  # indices
        self._turns: dict[int, int] = {}  # index: how often its eventfds were taken away
        self._lock = threading.RLock()

    def turn(self, index: int) -> int:
        return self._turns.get(index, 0)

    def arm(self, vectors: Sequence[ClientVector]) -> None:
        """Gives the device the eventfds of neighbouring vectors of one index."""
        index = vectors[0].index
        with self._lock:
            if self._one_at_a_time:
                for other in self._armed - {index}:
                    logger.info("%s takes the place of %s", irq_name(index), irq_name(other))
                    self.take_away(other)
            c.client_set_eventfds(self.handle, index, vectors[0].vector, [vector._eventfd() for vector in vectors])
            self._armed.add(index)
            for vector in vectors:
                vector._turn = self.turn(index)

    def take_away(self, index: int) -> None:
        with self._lock:
            c.vfu_client_irq_disable(self.handle, index)
            self._armed.discard(index)
            self._turns[index] = self.turn(index) + 1


def irq_name(index: int) -> str:
    """As attributes of irqs are called, and those that have none."""
    return IRQ_NAMES[index] if index < len(IRQ_NAMES) else f"irq{index}"


class ClientIrq(ClientVector):
    """An interrupt of the device, dev.irqs.msix, and its vectors: irq[i], irq[a:b]. Itself it stands for vector 0.

    count: how many vectors it has, which is its len() too; 0: the device has no such interrupt (E35).
    flags: of protocol.IrqInfoFlags, whether it can be masked, resized...
    """

    count: int
    flags: int

    def __init__(self, arming: _Arming, index: int) -> None:
        super().__init__(arming, index, 0)
        info = c.vfu_irq_info()
        c.vfu_client_irq_info(self._h, index, info)
        self.count, self.flags = info.count, info.flags
        self._vectors: dict[int, ClientVector] = {}  # those that were used

    @shown
    def __repr__(self) -> str:
        armed = sum(vector._armed() == "armed" for vector in list(self._vectors.values()))
        return f"{irq_name(self.index)}: {self.count} vectors, {armed} armed"

    def __len__(self) -> int:
        return self.count

    @overload
    def __getitem__(self, vector: int) -> ClientVector: ...
    @overload
    def __getitem__(self, vector: slice) -> list[ClientVector]: ...
    def __getitem__(self, vector: int | slice) -> ClientVector | list[ClientVector]:
        if isinstance(vector, slice):
            return [self[i] for i in range(*vector.indices(self.count))]
        if not -self.count <= vector < self.count:
            raise IndexError(f"{irq_name(self.index)} has {self.count} vectors")
        vector %= self.count
        if vector not in self._vectors:
            self._vectors.setdefault(vector, ClientVector(self._arming, self.index, vector))  # another thread may be first
        return self._vectors[vector]

    @property
    def fd(self) -> int:
        """The eventfd of vector 0."""
        return self[0].fd

    def enable(self) -> None:
        """Gives the device the eventfds of the first 64 vectors now; the others follow when they are used.

        Those of another interrupt are taken away first, unless the Client has irqs="all".
        IndexError: it has no vectors.
        """
        if not self.count:
            raise IndexError(f"{irq_name(self.index)} has no vectors")
        self._arming.arm(self[:_EAGER_VECTORS])

    def disable(self) -> None:
        """Takes all eventfds away from the device; a vector that is used again gets its own back."""
        self._arming.take_away(self.index)

    def _close_all(self) -> None:
        for vector in self._vectors.values():
            if vector._close:
                vector._close()
                vector._fd = vector._close = vector._turn = None


class ClientIrqs:
    """dev.irqs: the interrupts of the device, by index or as intx, msi, msix, err, req.

    The device is asked about each once, when it is first used. IndexError, AttributeError: the device has fewer.
    """

    _PREFERRED = (c.VFU_IRQ_MSIX, c.VFU_IRQ_MSI, c.VFU_IRQ_INTX)

    intx: ClientIrq
    msi: ClientIrq
    msix: ClientIrq
    err: ClientIrq
    req: ClientIrq

    def __init__(self, handle: c.vfu_client, count: int, arm: bool | Literal["all"]) -> None:
        self._count = count
        self._known: dict[int, ClientIrq] = {}
        self._arming = _Arming(handle, one_at_a_time=arm != "all")
        wanted = range(count) if arm == "all" else self._PREFERRED if arm else ()
        for irq in (self[index] for index in wanted if index < count):
            if irq.count and irq.flags & c.VFU_IRQ_EVENTFD:
                irq.enable()
                if arm != "all":
                    break

    @shown
    def __repr__(self) -> str:
        known = ", ".join(f"{irq_name(irq.index)}[{irq.count}]" for irq in list(self._known.values()))
        return f"{self._count}, asked for: {known or 'none'}"

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> ClientIrq:
        if not 0 <= index < self._count:
            raise IndexError(f"the device has {self._count} interrupts")
        if index not in self._known:
            self._known.setdefault(index, ClientIrq(self._arming, index))  # another thread may be first
        return self._known[index]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *IRQ_NAMES[: self._count]]

    if not TYPE_CHECKING:  # checkers know these by their names

        def __getattr__(self, name):
            if name not in IRQ_NAMES or IRQ_NAMES.index(name) >= len(self):
                raise AttributeError(name)
            return self[IRQ_NAMES.index(name)]

    def _close(self) -> None:
        for irq in self._known.values():
            irq._close_all()


class Buffer(Mapping):
    """Memory for DMA, of dev.dma.alloc(): an mmap, so its slices are bytes, and memoryview() of it is its memory.

    iova: its first address as the device sees it. shared: the device has its file, and may map it; else it reaches
    the memory by messages, which the Client serves. It stays mapped for the device until dev.dma.unmap(buffer) or the
    end of the connection, and usable here after that.
    """

    iova: int = None  # type: ignore[assignment]  # dma.map() says it
    shared: bool = False

    @shown
    def __repr__(self) -> str:
        where = f"at iova {self.iova:#x}" if self.iova is not None else "not mapped"
        return f"{where}: {self._state()}, {'shared' if self.shared else 'by messages'}"


class ClientDma:
    """dev.dma: the memory that the device may reach. Any thread.

    What is there already, or overlaps with it, is refused with EEXIST (E8); more ranges than the device takes with
    ENOSPC (E9). At first use the Client turns bus mastering on, unless it has bus_master=False (E63).
    """

    _FIRST = 0x1000_0000

    def __init__(self, handle: c.vfu_client) -> None:
        self._h = handle
        # iova: (size, hold, buffer); calls under way in other threads keep the handle
        self._maps: dict[int, tuple[int, object, object]] = {}
        handle.maps = self._maps

    @shown
    def __repr__(self) -> str:
        maps = list(self._maps.items())
        return f"{len(maps)} ranges, {sum(entry[0] for _, entry in maps):#x} bytes"

    def alloc(
        self,
        size: int,
        iova: int | None = None,
        shared: bool = True,
        read: bool = True,
        write: bool = True,
        flags: int = 0,
    ) -> Buffer:
        """New zeroed memory, mapped for the device. shared=False: the device reaches it by messages only.

        size: in bytes, rounded up to whole pages. iova: its address, by default the lowest free one from 0x1000_0000.
        read and write: what the device may do. flags: more of protocol.DmaMapFlags, whose rules are checked first.
        vfu.Error: the device refuses; then nothing is mapped.
        """
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        fd = -1
        try:
            if shared:
                fd = memfd("vfu-dma", size)
            buffer = Buffer(fd, size)
            self.map(buffer, self._free(size) if iova is None else iova, fd=fd, read=read, write=write, flags=flags)
        finally:
            if fd >= 0:
                os.close(fd)
        return buffer

    def map(
        self,
        buffer: ReadableBuffer,
        iova: int,
        fd: int = -1,
        fd_offset: int = 0,
        read: bool = True,
        write: bool = True,
        flags: int = 0,
    ) -> None:
        """Maps any buffer, which stays in place until it is unmapped: bytearray, mmap, an array of numpy...

        iova and the buffer's size are multiples of the page size that was agreed (limits["pgsize"]). fd: the file behind
        it, from fd_offset on, which the device then maps too; it stays yours. All else as in alloc().
        BufferError: the device is to write to what cannot be written, as bytes.
        """
        flags |= (c.VFU_DMA_READ if read else 0) | (c.VFU_DMA_WRITE if write else 0)
        hold = c.hold_buffer(buffer)
        entry = (memoryview(buffer).nbytes, hold, buffer)
        c.client_map_buffer(self._h, iova, flags, hold, fd, fd_offset, self._maps, entry)
        if isinstance(buffer, Buffer):
            buffer.iova, buffer.shared = iova, fd >= 0

    def unmap(self, what: ReadableBuffer | int) -> None:
        """Takes memory away from the device: a buffer that was mapped, or the iova of one. ValueError: it is not.

        Returns when the device has let go of it. vfu.Error: it refuses, and the memory stays mapped.
        """
        found = (at for at, entry in self._maps.items() if at == what or entry[2] is what)
        if (iova := next(found, None)) is None:
            raise ValueError("not mapped")
        c.vfu_client_dma_unmap(self._h, iova, self._maps[iova][0])
        del self._maps[iova]

    def _free(self, size: int) -> int:
        at = self._FIRST
        for iova in sorted(self._maps):
            if iova >= at + size:
                break
            at = max(at, iova + self._maps[iova][0])
        return at


def _serve(handle: c.vfu_client) -> None:
    """The background thread: while the connection is up."""
    while True:
        try:
            c.vfu_client_serve(handle, -1)
        except OSError:
            if not _is_up(handle):
                return


def _is_up(handle: c.vfu_client) -> bool:
    try:
        return c.vfu_client_status(handle) == 0
    except OSError:
        return False


def _milliseconds(seconds: float) -> int:
    """Rounded up: a little is not nothing, which may mean for ever."""
    if not 0 <= seconds <= 1_000_000:
        raise ValueError(f"a timeout of {seconds!r} seconds: 0 to 1,000,000 it may be")
    return math.ceil(seconds * 1000)


class Client:
    """A connection to a device: at a path, or over a connected socket (fd: a number, which is taken, or a socket,
    which is not). Any thread may use it.

    info: a DeviceInfo; regions, config, irqs, dma: what the device has, see Regions, Config, ClientIrqs, ClientDma.

    background: a thread serves the device's DMA all the time; else it is served in every call that waits.
    timeout: seconds to wait for each answer; 0 or None: for ever.
    irqs: give the device eventfds now: those of MSI-X if it has that, else of MSI, else of INTx. The first use of
    another interrupt takes them away again, as servers may have room for one interrupt's only. "all": those of all
    interrupts, and none is ever taken away. False: when they are used.
    bus_master: turn bus mastering on at the first use of DMA, MSI or MSI-X, as drivers do; a reset turns it
    off, the next use on again. False: it is yours (config.bus_master), and without it nothing comes.
    profile, policy, options, capabilities: as a Server's.
    It ends with close(), a with statement, or the last reference to the Client: regions do not keep it.

    Handlers of signals run while a call waits in the main thread, at the latest after 250 ms. What they raise, as
    KeyboardInterrupt, ends the call, whatever has become of it at the device; the Client can be used on, or closed. If
    they return the call goes on. What waits in another thread ends with close().

    NotFound, Refused, Denied: there is no server at the path. Timeout: it does not answer. Disconnected: it has a
    client already. Error with EPROTO: what it says breaks a rule of the protocol, which field and text name. After close()
    methods raise ValueError or Disconnected, and in the child of a fork an Error with EOWNERDEAD.
    """

    info: DeviceInfo
    regions: Regions
    irqs: ClientIrqs
    dma: ClientDma

    def __init__(
        self,
        path: StrPath | None = None,
        *,
        fd: FileDescriptorLike | None = None,
        background: bool = False,
        timeout: float | None = 5.0,
        irqs: bool | Literal["all"] = True,
        bus_master: bool = True,
        profile: str | None = None,
        policy: AnyMapping[str, str] | None = None,
        options: AnyMapping[str, int] | None = None,
        capabilities: AnyMapping[str, int | bool] | None = None,
    ) -> None:
        if (path is None) == (fd is None):
            raise ValueError("give either path or fd")
        self._where = os.fspath(path) if path is not None else "of a socket"
        self._h: c.vfu_client | None = None
        self._ending: c.vfu_client | None = None
        self._thread: threading.Thread | None = None
        c.vfu_sigbus_guard()
        handle = c.vfu_client_new()
        c.client_set_hooks(handle, log_level())
        settings = {"timeout_ms": _milliseconds(timeout or 0), "bus_master": int(bus_master), **(options or {})}
        configure("client", handle, profile, policy, settings, capabilities)
        if path is not None:
            try:
                c.vfu_client_connect(handle, os.fspath(path))
            except Disconnected as error:
                # Not of one that sends what is no message.
                if error.errno != errno.ENOTCONN or error.strerror == "the peer closed the connection":
                    error.strerror += " (a server has one client at a time, and may refuse some)"
                raise
        elif fd is not None:
            c.vfu_client_attach(handle, own_fd(fd))
        self._h = handle
        try:
            self._set_up(handle, background, irqs)
        except BaseException:
            self.close()
            raise

    @shown
    def __repr__(self) -> str:
        if self._h is None:
            return f"{self._where} closed"
        if not _is_up(self._h):
            return f"{self._where} disconnected"
        return f"{self._where} connected: {self.info.regions} regions, {self.info.irqs} irqs"

    def _set_up(self, handle: c.vfu_client, background: bool, irqs: bool | Literal["all"]) -> None:
        raw = c.vfu_device_info()
        c.vfu_client_device_info(handle, raw)
        self.info = DeviceInfo(raw.num_regions, raw.num_irqs, raw.pci, raw.reset)
        self.regions = Regions(handle, self.info.regions)
        self.irqs = ClientIrqs(handle, self.info.irqs, irqs)
        self.dma = ClientDma(handle)
        if background:
            self._thread = threading.Thread(target=_serve, args=(handle,), name="vfu-client", daemon=True)
            self._thread.start()

    @property
    def config(self) -> Config:
        """Configuration space, dev.regions.config. Error with EPROTO: the device has none of a size that PCI knows."""
        if len(self.regions) <= c.VFU_REGION_CONFIG:
            raise make_error(errno.EPROTO, text=f"the device has {len(self.regions)} regions, no configuration space")
        config = self.regions.config
        if config.size not in pci.CONFIG_SIZES:
            raise make_error(errno.EPROTO, text=f"configuration space of {config.size} bytes: PCI knows 256 and 4096")
        return config

    @property
    def limits(self) -> dict[str, Any]:
        """What was agreed when connecting, {name: value}: major and minor of the version; max_data_xfer_size and pgsize
        in bytes, max_msg_fds, max_dma_maps... as in protocol.Limits."""
        out = read_fields(c.vfu_limits, c.vfu_client_limits, self._h)
        return out | limits_of(self.agreed)

    @property
    def agreed(self) -> Agreed:
        """What was agreed of the capabilities of VERSION: agreed["pgsizes"], agreed["migration.pgsize"]..."""
        return Agreed(functools.partial(c.vfu_client_agreed, self._h))

    @property
    def stats(self) -> dict[str, int]:
        """Counters since it was made, {name: number}: requests_out, bytes_in, late_replies... of vfu.h."""
        return read_fields(c.vfu_stats, c.vfu_client_stats, self._h)

    @property
    def connected(self) -> bool:
        """Whether the connection is up. That it has ended is noticed when it is used."""
        return self._h is not None and _is_up(self._h)

    def reset(self) -> None:
        """Resets the device. Memory stays mapped, but bus mastering is off until the next map() or wait().

        vfu.Error: the device refuses; info.reset says whether it can be reset at all.
        """
        c.vfu_client_reset(self._h)

    def call(
        self,
        command: str | int | protocol.Payload,
        /,
        *,
        fds: Iterable[FileDescriptorLike] = (),
        timeout: float | None = None,
        post: bool = False,
        **fields: Any,
    ) -> Any:
        """Sends a message and returns its answer, an object of vfu.protocol.

        command: its name, as "get_irq_info", with its fields; an object of vfu.protocol; or a number, and then, if
        the protocol does not know it, data=bytes; the answer to that is a vfu.Raw. Messages that are about what the
        library keeps, as dma_map, have methods of their own and are refused here. What lies in a list may be dicts of
        its fields, where the list holds one kind; counts and offsets are set from what follows, and so need not be given.

        fds: descriptors to send, numbers or files, which stay yours. Those of the answer are in its attribute fds,
        which closes those that are not taken. timeout: seconds, 0: for ever; that of the Client if not given.
        post: without an answer. argsz, where it is room for the answer, is 64 KiB if not given.

        Error: field and text say which rule the request breaks, which then is not sent; or the device's errno.
        """
        milliseconds = 0 if timeout is None else _milliseconds(timeout) or -1
        return commands.call(self._h, command, fds, milliseconds, post, fields)

    def feature_get(
        self, feature: str | int, data: protocol.Part | ReadableBuffer = b"", room: int = commands.ROOM
    ) -> Any:
        """What a feature says, by name ("migration") or number: an object of vfu.protocol if that knows it, else bytes.

        data: what goes with the question, an object likewise or bytes. room: most bytes of the answer.
        """
        return commands.get_feature(self._h, feature, data, room)

    def feature_set(self, feature: str | int, data: protocol.Part | ReadableBuffer) -> Any:
        """Sets a feature, by name or number: data is an object of vfu.protocol, or bytes.

        Returns what the device says to that: what was set, if it does not differ. ENOTTY or EINVAL: it has no such
        feature (E45).
        """
        return commands.set_feature(self._h, feature, data)

    def feature_probe(self, feature: str | int, *, get: bool = False, set: bool = False) -> bool:
        """Whether the device has a feature, by name or number, and with get and set those methods of it (E45, E46)."""
        return commands.probe_feature(self._h, feature, get, set)

    def feature(self, flags: int, data: ReadableBuffer = b"") -> bytes:
        """DEVICE_FEATURE as it is: flags as in linux/vfio.h (bits 0 to 15 the feature, 16 get, 17 set, 18 probe), and the
        data behind them. Returns the data of the reply."""
        return c.vfu_client_feature(self._h, flags, data)

    def serve(self, timeout: float | None = None) -> int:
        """Serves the device's DMA for so many seconds (None: until the connection ends); how many requests there were.

        For a device that uses memory while its client has nothing to ask, where there is no background thread.
        """
        return c.vfu_client_serve(self._h, -1 if timeout is None else _milliseconds(timeout))

    def close(self) -> None:
        """Ends the connection. Can be called again; should a signal handler raise meanwhile, do so for the rest.

        Eventfds of interrupts and files of regions are closed; memory that was mapped stays usable.
        """
        if self._h is not None:
            self._ending, self._h = self._h, None
        if self._ending is None:
            return
        c.vfu_client_disconnect(self._ending)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._ending = None
        if hasattr(self, "dma"):
            self.dma._maps.clear()
            self.regions._close()
            self.irqs._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_h", None) is not None or getattr(self, "_ending", None) is not None:
            self.close()
