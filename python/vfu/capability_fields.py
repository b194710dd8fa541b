# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What PCI's capabilities say: where in each is what, as a table, and one function that reads by it.

    PLAIN[0x11]["vectors"] = Field(offset 2, 2 bytes, bits 0 to 10, of which the value is one more)

A field whose bytes are not there is left out, so a short or broken capability has fewer, and no error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Field(NamedTuple):
    """Where a value is: so many bytes at an offset of the capability, of those some bits, from the lowest on; 0: all."""

    offset: int
    width: int
    lowest: int = 0
    bits: int = 0
    means: Callable[[int], int | bool] = int

    def of(self, data: bytes) -> int | bool | None:
        """None: the bytes are not there."""
        if len(data) < self.offset + self.width:
            return None
        value = int.from_bytes(data[self.offset : self.offset + self.width], "little") >> self.lowest
        return self.means(value & ((1 << self.bits) - 1) if self.bits else value)


def _bit(offset: int, width: int, bit: int) -> Field:
    return Field(offset, width, bit, 1, bool)


def _payload(code: int) -> int:
    return 128 << code


def _place(bar: str, at: str, offset: int) -> dict[str, Field]:
    """A register with a BAR in the lowest bits and an offset of it in the others."""
    return {bar: Field(offset, 4, 0, 3), at: Field(offset, 4, 0, 32, lambda value: value & ~7)}


PLAIN: dict[int, dict[str, Field]] = {
    0x01: {
        "version": Field(2, 2, 0, 3), "d1": _bit(2, 2, 9), "d2": _bit(2, 2, 10), "state": Field(4, 2, 0, 2),
        "no_soft_reset": _bit(4, 2, 3),
    },
    0x05: {
        "vectors": Field(2, 2, 1, 3, lambda code: 1 << code), "on": _bit(2, 2, 0),
        "used": Field(2, 2, 4, 3, lambda code: 1 << code), "is_64bit": _bit(2, 2, 7), "maskable": _bit(2, 2, 8),
    },
    0x09: {"length": Field(2, 1)},
    0x10: {
        "version": Field(2, 2, 0, 4), "type": Field(2, 2, 4, 4), "max_payload": Field(4, 4, 0, 3, _payload),
        "flr": _bit(4, 4, 28), "payload": Field(8, 2, 5, 3, _payload), "max_speed": Field(12, 4, 0, 4),
        "max_width": Field(12, 4, 4, 6), "speed": Field(18, 2, 0, 4), "width": Field(18, 2, 4, 6),
    },
    0x11: {
        "vectors": Field(2, 2, 0, 11, lambda last: last + 1), "on": _bit(2, 2, 15), "masked": _bit(2, 2, 14),
        **_place("table_bar", "table_offset", 4), **_place("pending_bar", "pending_offset", 8),
    },
    0x13: {"length": Field(2, 1), "transactions_pending": _bit(3, 1, 0), "flr": _bit(3, 1, 1)},
}

EXTENDED: dict[int, dict[str, Field]] = {
    0x01: {"uncorrectable": Field(4, 4), "uncorrectable_mask": Field(8, 4), "correctable": Field(16, 4)},
    0x03: {"number": Field(4, 8)},
    0x0B: {"vendor_capability": Field(4, 4, 0, 16), "revision": Field(4, 4, 16, 4), "length": Field(4, 4, 20, 12)},
    0x0D: {"can": Field(4, 2), "does": Field(6, 2)},
    0x0E: {"next_function": Field(4, 2, 8, 8)},
    0x0F: {"queue_depth": Field(4, 2, 0, 5), "on": _bit(6, 2, 15)},
    0x10: {"total_vfs": Field(14, 2), "vfs": Field(16, 2), "vf_device_id": Field(26, 2), "on": _bit(8, 2, 0)},
    0x1B: {"max_width": Field(4, 2, 8, 5), "on": _bit(6, 2, 0)},
    0x23: {
        "vendor": Field(4, 4, 0, 16), "revision": Field(4, 4, 16, 4), "length": Field(4, 4, 20, 12),
        "vendor_capability": Field(8, 2),
    },
}


def fields(table: dict[int, dict[str, Field]], id: int, data: bytes) -> dict[str, int | bool]:
    """{name: value} of a capability, as far as its kind is known and its bytes are there."""
    values = {name: field.of(data) for name, field in table.get(id, {}).items()}
    return {name: value for name, value in values.items() if value is not None}
