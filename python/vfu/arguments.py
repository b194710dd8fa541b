# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Arguments of a client's methods that mean nothing: each is refused by its name, with the rule that it breaks.

check(size=size, bits=bits) says "size is a number, not '4096'" (TypeError) or "bits is a number from 1 to 64, not 99" (ValueError).
The table says what each name wants, wherever it stands. What an access moves to and fro is looked at in C (bindings/port.c).
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

from .declared import number


def within(first: int, last: int) -> Callable[[str, Any], None]:
    """A number of a range."""

    def rule(name: str, value: Any) -> None:
        if not first <= number(name, value) <= last:
            raise ValueError(f"{name} is a number from {first} to {last if last < 1 << 31 else hex(last)}, not {value!r}")

    return rule


def _alignment(name: str, value: Any) -> None:
    if number(name, value) and (value < mmap.PAGESIZE or value & value - 1):
        raise ValueError(f"{name} is a power of two from {mmap.PAGESIZE} on, or 0, not {value!r}")


def _descriptor(name: str, value: Any) -> None:
    if not isinstance(value, int) and not callable(getattr(value, "fileno", None)):
        raise TypeError(f"{name} is a descriptor, or a file that has one, not {value!r}")


def _function(name: str, value: Any) -> None:
    if not callable(value):
        raise TypeError(f"{name} is a function, not {value!r}")


def _range(name: str, value: Any) -> None:
    if not isinstance(value, range) or value.step != 1:
        raise TypeError(f"{name} is a range(first, end), not {value!r}")


def _interrupts(name: str, value: Any) -> None:
    if value not in (True, False, "all"):
        raise ValueError(f'{name} is True, False or "all", not {value!r}')


_ADDRESS = within(0, (1 << 64) - 1)

_RULES: dict[str, Callable[[str, Any], None]] = {
    "offset": _ADDRESS,
    "iova": _ADDRESS,
    "fd_offset": within(0, (1 << 63) - 1),
    "size": within(1, (1 << 64) - 1),
    "align": _alignment,
    "bits": within(1, 64),
    "flags": within(0, (1 << 32) - 1),
    "room": within(0, (1 << 32) - 1),
    "most": within(0, (1 << 32) - 1),
    "type": within(0, (1 << 32) - 1),
    "subtype": within(0, (1 << 32) - 1),
    "fd": _descriptor,
    "file": _descriptor,
    "on_link": _function,
    "irqs": _interrupts,
    "io": _range,
    "memory": _range,
    "memory64": _range,
}


def check(**said: Any) -> None:
    """TypeError or ValueError: the first of these that is not as its name wants it."""
    for name, value in said.items():
        _RULES[name](name, value)


def check_given(**said: Any) -> None:
    """The same of those that may be None, which says nothing."""
    check(**{name: value for name, value in said.items() if value is not None})


def as_bytes(name: str, value: Any, width: int) -> bytes:
    """A little-endian number of so many bytes. OverflowError: it does not fit."""
    if not 0 <= number(name, value) < 1 << 8 * width:
        raise OverflowError(f"{name} has {8 * width} bits, {value!r} does not fit")
    return number(name, value).to_bytes(width, "little")
