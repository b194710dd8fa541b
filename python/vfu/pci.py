# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""PCI configuration space: where things are, what they are called."""

from typing import NamedTuple

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


class Capability(NamedTuple):
    """An entry of the list of PCI capabilities in configuration space.

    id: its number, of PCI's; offset: where it is, in bytes; data: from its id to the next capability, or to the end.
    """

    id: int
    offset: int
    data: bytes

    @shown
    def __repr__(self) -> str:
        return f"{self.name} at {self.offset:#x}: {self.data.hex(' ', 4)}"

    @property
    def name(self) -> str:
        """What PCI calls it: "MSI-X", "Vendor Specific"..."""
        return CAPABILITIES.get(self.id, f"capability {self.id:#04x}")


def header(config: bytes) -> dict[str, int]:
    """The header's fields, by name, of configuration space (bytes)."""
    return {name: int.from_bytes(config[at : at + width], "little") for name, (at, width) in FIELDS.items()}


def capabilities(config: bytes) -> list[Capability]:
    """The capability list of configuration space (bytes), tolerant of broken lists."""
    found: list[tuple[int, int]] = []
    seen: set[int] = set()
    at = config[0x34] & ~3 if config[0x06] & STATUS_CAPABILITIES else 0
    while 0x40 <= at <= 0xFC and at not in seen and at + 2 <= len(config):
        seen.add(at)
        found.append((config[at], at))
        at = config[at + 1] & ~3
    ends = sorted(offset for _, offset in found) + [min(len(config), 256)]
    return [
        Capability(identity, offset, bytes(config[offset : ends[ends.index(offset) + 1]]))
        for identity, offset in found
    ]
