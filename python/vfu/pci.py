# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""PCI configuration space: where things are, what they are called; and the capabilities that a device declares.

    class Nic(vfu.Device):
        capabilities = (
            vfu.pci.PowerManagement(no_soft_reset=True),
            vfu.pci.Express(flr=True, speed=3, width=4),
            vfu.pci.Vendor(b"data", offset=0x80),
            vfu.pci.SerialNumber(0x0011223344556677),
        )

Each may be told its offset; without one it goes where there is room. self.find_capability(vfu.pci.Vendor) of the device says
where it is. MSI and MSI-X are those of vfu.Irqs.
"""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import libvfu as c

from . import capability_fields
from .errors import make_error
from .shown import shown

# Fields of a type 0 header: offset, width.
FIELDS = {
    "vendor_id": (0x00, 2),
    "device_id": (0x02, 2),
    "command": (0x04, 2),
    "status": (0x06, 2),
    "revision": (0x08, 1),
    "class_code": (0x09, 3),
    "cache_line_size": (0x0C, 1),
    "latency_timer": (0x0D, 1),
    "header_type": (0x0E, 1),
    "subsystem_vendor_id": (0x2C, 2),
    "subsystem_id": (0x2E, 2),
    "rom_address": (0x30, 4),
    "interrupt_line": (0x3C, 1),
    "interrupt_pin": (0x3D, 1),
}

CONFIG_SIZES = (256, 4096)

COMMAND_IO = 1 << 0
COMMAND_MEMORY = 1 << 1
COMMAND_BUS_MASTER = 1 << 2
COMMAND_INTX_DISABLE = 1 << 10
STATUS_INTERRUPT = 1 << 3
STATUS_CAPABILITIES = 1 << 4

COMMAND_BITS = {0: "I/O", 1: "memory", 2: "bus master", 10: "INTx off"}
STATUS_BITS = {3: "INTx raised", 4: "capabilities"}

CAPABILITIES = {
    0x01: "Power Management",
    0x05: "MSI",
    0x09: "Vendor Specific",
    0x10: "PCI Express",
    0x11: "MSI-X",
    0x12: "SATA",
    0x13: "Advanced Features",
}

EXTENDED_CAPABILITIES = {
    0x01: "Advanced Error Reporting",
    0x02: "Virtual Channel",
    0x03: "Serial Number",
    0x04: "Power Budgeting",
    0x0B: "Vendor Specific",
    0x0D: "Access Control",
    0x0E: "Alternative Routing-ID",
    0x0F: "Address Translation",
    0x10: "Single Root I/O Virtualization",
    0x13: "Page Request",
    0x15: "Resizable BAR",
    0x18: "Latency Tolerance",
    0x19: "Secondary PCI Express",
    0x1B: "Process Address Space",
    0x1E: "L1 Substates",
    0x1F: "Precision Time Measurement",
    0x23: "Designated Vendor Specific",
    0x26: "Physical Layer 16 GT/s",
}

CLASSES = {
    0x00: "Unclassified device",
    0x01: "Mass storage controller",
    0x02: "Network controller",
    0x03: "Display controller",
    0x04: "Multimedia controller",
    0x05: "Memory controller",
    0x06: "Bridge",
    0x07: "Communication controller",
    0x08: "Generic system peripheral",
    0x09: "Input device controller",
    0x0C: "Serial bus controller",
    0x0D: "Wireless controller",
    0x10: "Encryption controller",
    0x11: "Signal processing controller",
    0x12: "Processing accelerator",
    0xFF: "Unassigned class",
}


def _shown(data: bytes) -> str:
    """Its beginning: the last one of a list has all that follows."""
    return data[:64].hex(" ", 4) + (f" and {len(data) - 64} bytes" if len(data) > 64 else "")


def _listed(capability: Capability | ExtendedCapability) -> str:
    return f"{capability.name} at {capability.offset:#x}: {_shown(capability.data)}"


class Capability(NamedTuple):
    """An entry of the list of PCI capabilities in configuration space.

    id: its number, of PCI's; offset: where it is, in bytes; data: from its id to the next capability, or to the end.
    """

    id: int
    offset: int
    data: bytes

    @shown
    def __repr__(self) -> str:
        return _listed(self)

    @property
    def name(self) -> str:
        """What PCI calls it: "MSI-X", "Vendor Specific"..."""
        return CAPABILITIES.get(self.id, f"capability {self.id:#04x}")

    @property
    def fields(self) -> dict[str, int | bool]:
        """{name: value} of what it says, of kinds that are known here: MSI-X, MSI, PCI Express, Power Management..."""
        return capability_fields.fields(capability_fields.PLAIN, self.id, self.data)


class ExtendedCapability(NamedTuple):
    """An entry of the list of extended capabilities, which is in configuration space from 0x100 on.

    id: its number, of PCI's; version; offset: where it is, in bytes; data: from its id to the next capability, or to the end.
    """

    id: int
    version: int
    offset: int
    data: bytes

    @shown
    def __repr__(self) -> str:
        return _listed(self)

    @property
    def name(self) -> str:
        """What PCI calls it: "Serial Number"..."""
        return EXTENDED_CAPABILITIES.get(self.id, f"capability {self.id:#06x}")

    @property
    def fields(self) -> dict[str, int | bool]:
        """{name: value} of what it says, of kinds that are known here: Serial Number, Vendor Specific..."""
        return capability_fields.fields(capability_fields.EXTENDED, self.id, self.data)


class ClientBar(NamedTuple):
    """A base address register of a device, or that of its expansion ROM, as a client finds it: dev.config.bars().

    bar: which one, the first register of two, and the index of its region, 6 of the ROM; size and address: in bytes; io: in
    I/O space, else of memory, which may be is64 (of 64 bits) and prefetch(able). rom_on: it is a ROM that is decoded when
    memory is, as BARs always are.
    """

    bar: int
    size: int
    address: int
    io: bool
    is64: bool
    prefetch: bool
    rom_on: bool = False

    @shown
    def __repr__(self) -> str:
        if self.bar > 5:
            return f"ROM: {self.size:#x} bytes at {self.address:#x}, {'on' if self.rom_on else 'off'}"
        kind = "I/O" if self.io else f"memory, {'64' if self.is64 else '32'}-bit"
        return f"{self.bar}: {self.size:#x} bytes of {kind}{', prefetchable' * self.prefetch} at {self.address:#x}"


class MsixEntry(NamedTuple):
    """An entry of the table of MSI-X, as the device has it: dev.config.msix()[vector].

    address and data: of the message; masked: the vector is; pending: its bit of those is set.
    """

    address: int
    data: int
    masked: bool
    pending: bool


def header(config: bytes) -> dict[str, int]:
    """The header's fields, by name, of configuration space (bytes)."""
    return {name: int.from_bytes(config[at : at + width], "little") for name, (at, width) in FIELDS.items()}


def _walk(config: bytes, at: int, places: range, width: int, shift: int) -> Iterator[tuple[int, int]]:
    """(offset, head) of each of a list, by the rules of vfu_client_capabilities(): a place is visited once, and is one where
    such a capability may be."""
    seen: set[int] = set()
    while at:
        if at not in places or at + width > len(config):
            raise make_error(errno.EPROTO, text=f"the list of capabilities goes on at {at:#x}, where none can be")
        if at in seen:
            raise make_error(errno.EPROTO, text=f"the list of capabilities comes back to {at:#x}")
        seen.add(at)
        head = int.from_bytes(config[at : at + width], "little")
        if width == 4 and head in (0, 0xFFFF_FFFF):  # nobody answers
            break
        yield at, head
        at = head >> shift & ~3


def capabilities(config: bytes) -> list[Capability]:
    """The capability list of configuration space (bytes). vfu.Error with EPROTO: it comes back to where it was, or leaves
    the place of such capabilities."""
    first = config[0x34] & ~3 if config[0x06] & STATUS_CAPABILITIES else 0
    found = list(_walk(config, first, range(0x40, 0x100), 2, 8))
    datas = _datas(config, [offset for offset, _ in found], 256)
    return [Capability(head & 0xFF, offset, data) for (offset, head), data in zip(found, datas)]


def extended_capabilities(config: bytes) -> list[ExtendedCapability]:
    """The list of extended capabilities of configuration space (bytes), with the same rules."""
    found = list(_walk(config, 0x100 if len(config) > 0x100 else 0, range(0x100, 0x1000), 4, 20))
    datas = _datas(config, [offset for offset, _ in found], 4096)
    return [
        ExtendedCapability(head & 0xFFFF, head >> 16 & 0xF, offset, data) for (offset, head), data in zip(found, datas)
    ]


def _datas(config: bytes, offsets: list[int], end: int) -> list[bytes]:
    """What is from each offset to the next one in configuration space, or to the end."""
    ends = sorted(offsets) + [min(len(config), end)]
    return [bytes(config[offset : ends[ends.index(offset) + 1]]) for offset in offsets]


# ---- what a device declares ----


@dataclasses.dataclass(frozen=True)
class Declared:
    """A capability that a device's class declares. offset: in configuration space, 0: where there is room."""

    ID: ClassVar[int] = 0
    EXTENDED: ClassVar[bool] = False

    offset: int = dataclasses.field(default=0, kw_only=True)

    def _install(self, handle: c.DeviceHandle) -> None:
        raise TypeError(f"{type(self).__name__} is not a capability of its own")

    def _number(self, name: str, bits: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or not 0 <= value < 1 << bits:
            raise ValueError(f"{type(self).__name__}: {name} is a number of {bits} bits, not {value!r}")

    def __post_init__(self) -> None:
        self._number("offset", 12)


@dataclasses.dataclass(frozen=True)
class Plain(Declared):
    """Any capability of the first 256 bytes: its id, and the bytes behind id and next pointer. The client can not write
    them, but for what PCI says of those that the library knows; registers of vfu.ConfigSpace may lie over them."""

    id: int
    data: bytes

    def _install(self, handle: c.DeviceHandle) -> None:
        c.vfu_device_add_capability_at(handle, self.id, self.offset, self.data)


@dataclasses.dataclass(frozen=True)
class Vendor(Declared):
    """A vendor-specific capability: data follows id, next pointer and a byte with the length of all."""

    ID = 0x09
    data: bytes = b""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.data) > 189:
            raise ValueError(f"Vendor: at most 189 bytes of data, not {len(self.data)}")

    def _install(self, handle: c.DeviceHandle) -> None:
        c.vfu_device_add_capability_at(
            handle, self.ID, self.offset, bytes([3 + len(self.data)]) + bytes(self.data)
        )


@dataclasses.dataclass(frozen=True)
class PowerManagement(Declared):
    """Power states: D0 and D3hot, and d1 and d2 if said. From D3hot to D0 the device is reset, unless no_soft_reset.
    self.power_state of the device is where it is."""

    ID = 0x01
    d1: bool = False
    d2: bool = False
    no_soft_reset: bool = False

    def _install(self, handle: c.DeviceHandle) -> None:
        bits = (self.d1, c.VFU_PM_D1), (self.d2, c.VFU_PM_D2), (self.no_soft_reset, c.VFU_PM_NO_SOFT_RESET)
        c.vfu_device_add_power_management(handle, sum(bit for said, bit in bits if said), self.offset)


@dataclasses.dataclass(frozen=True)
class Express(Declared):
    """PCI Express, version 2.

    type: "endpoint", "legacy" (one with I/O BARs), "integrated" into the root complex, without a link. flr: the client may
    reset the function. speed: 1 to 6 for 2.5, 5, 8, 16, 32, 64 GT/s. width: lanes. max_payload: bytes, 128 to 4096.
    """

    ID = 0x10
    TYPES: ClassVar[dict[str, int]] = {"endpoint": 0, "legacy": 1, "integrated": 9}
    type: str = "endpoint"
    flr: bool = False
    speed: int = 1
    width: int = 1
    max_payload: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.type not in self.TYPES:
            raise ValueError(f"Express: type is one of {', '.join(self.TYPES)}, not {self.type!r}")
        for name, values in {
            "speed": range(1, 7),
            "width": (1, 2, 4, 8, 12, 16, 32),
            "max_payload": (128, 256, 512, 1024, 2048, 4096),
        }.items():
            if getattr(self, name) not in values:
                raise ValueError(f"Express: {name} is one of {', '.join(map(str, values))}, not {getattr(self, name)!r}")

    def _install(self, handle: c.DeviceHandle) -> None:
        express = c.vfu_express()
        express.type, express.flags = self.TYPES[self.type], c.VFU_EXPRESS_FLR if self.flr else 0
        express.speed, express.width, express.max_payload = self.speed, self.width, self.max_payload
        c.vfu_device_add_express(handle, express, self.offset)


@dataclasses.dataclass(frozen=True)
class Extended(Declared):
    """Any extended capability, from 0x100 on: its id, of 16 bits, its version, and the bytes behind the header. A guest of
    QEMU sees those of a device that has Express, too. Configuration space has 4096 bytes then."""

    EXTENDED = True
    id: int = 0
    data: bytes = b""
    version: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("id", 16)
        self._number("version", 4)

    def _install(self, handle: c.DeviceHandle) -> None:
        c.vfu_device_add_extended_capability(handle, self.id, self.version, self.offset, self.data)


@dataclasses.dataclass(frozen=True)
class SerialNumber(Declared):
    """The device's serial number, 64 bits: an extended capability."""

    ID, EXTENDED = 0x03, True
    number: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("number", 64)

    def _install(self, handle: c.DeviceHandle) -> None:
        data = self.number.to_bytes(8, "little")
        c.vfu_device_add_extended_capability(handle, self.ID, 1, self.offset, data)


@dataclasses.dataclass(frozen=True)
class ExtendedVendor(Declared):
    """A vendor-specific extended capability: the vendor's id and revision of it, and data."""

    ID, EXTENDED = 0x0B, True
    id: int = 0
    data: bytes = b""
    revision: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("id", 16)
        self._number("revision", 4)

    def _install(self, handle: c.DeviceHandle) -> None:
        head = self.id | self.revision << 16 | (8 + len(self.data)) << 20
        data = (head & 0xFFFFFFFF).to_bytes(4, "little") + bytes(self.data)
        c.vfu_device_add_extended_capability(handle, self.ID, 1, self.offset, data)
