# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What a device's class declares in its regions, for vfu info: as data, and as lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vfu.client.regions import region_name
from vfu.regions import MemoryPart
from vfu.registers import Bits, Register, View

from .names import Names, Part

Facts = dict[str, Any]
SIZES = {"register": "{bits} bits", "memory": "{size} bytes of memory", "function": "{size} bytes, served by a function"}


def _access(register: Register) -> list[str]:
    """What a client can do with it that is not plain."""
    every = (1 << 8 * register.width) - 1
    if isinstance(register, View):
        return [f"{'sets' if register.w1s else 'clears'} bits of {register.of.name}"]
    words = ["read-only"] * register.readonly + ["write-only"] * register.writeonly
    words += [f"{word} {mask:#x}" for word, mask in (("w1c", register.w1c), ("rc", register.rc)) if mask]
    return words + [f"writable {register.writable:#x}"] * (register.writable not in (0, every))


def _register(name: str, register: Register, fields: list[Facts]) -> Facts:
    facts: Facts = {"kind": "register", "bits": 8 * register.width, "access": _access(register), "fields": fields}
    if register.count is not None:
        facts |= {"count": register.count, "stride": register.stride}
    return facts


def _part(name: str, part: Part, names: Names) -> Facts:
    """One that has a place of its own."""
    assert not isinstance(part, Bits)
    if isinstance(part, Register):
        bits = [(other, one) for other, one in names.parts.items() if isinstance(one, Bits) and one.register.name == part.name]
        facts = _register(name, part, [{"name": other, "position": one.position, "bits": one.width} for other, one in bits])
    elif isinstance(part, MemoryPart):
        access = ["read-only"] * part.readonly + ["write-only"] * part.writeonly
        facts = {"kind": "memory", "size": part.size, "access": access}
    else:
        facts = {"kind": "function", "size": part.size, "access": []}
    return {"name": name, "region": region_name(part.region.index), "offset": part.offset} | facts


def describe(names: Names) -> list[Facts]:
    """All, in the order of their places."""
    return [_part(name, part, names) for name, part in names.parts.items()
            if not isinstance(part, Bits) and part.name in (None, name)]


def lines(part: Facts) -> Iterator[str]:
    """One of those, and its fields."""
    array = f"[{part['count']}]" if "count" in part else ""
    words = [SIZES[part["kind"]].format(**part)]
    if "stride" in part and part["stride"] * 8 != part["bits"]:
        words.append(f"every {part['stride']} bytes")
    yield f"{part['offset']:#06x} {part['name']}{array}: {', '.join(words + part['access'])}"
    for field in part.get("fields", []):
        low = field["position"]
        span = f"[{low + field['bits'] - 1}:{low}]" if field["bits"] > 1 else f"[{low}]"
        yield f"       {span} {field['name']}"
