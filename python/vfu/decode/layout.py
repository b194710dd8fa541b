# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Reads a payload by the model: fields, and what follows them.

A payload may be shorter than its layout, or captured in part. What is there is read, field by field; a loop ends
where an entry is not whole. Bytes that no layout describes become one item.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

from .expressions import Scope, Unknown
from .items import Item
from .model import Entry, Field, Model, Part

HEADER_SIZE = 16
ENTRIES_MAX = 65536  # a count is not to be trusted


def _bits(field: Field, at: int, value: int) -> Iterator[Item]:
    for m in field.members:
        bits, key = (value & m.mask) >> m.shift, f"{field.key}.{m.name}"
        if m.values is None:
            yield Item(key, m.name, at, field.size, bool(bits))
        else:
            yield Item(key, m.name, at, field.size, bits, m.values.get(bits, ""))


class Reader:
    """Reads one payload. order: "=" or the byte order of the machine it was captured on."""

    def __init__(self, model: Model, payload: bytes, scope: Scope, order: str = "="):
        self.model, self.payload, self.scope, self.order = model, payload, scope, order
        self.end = 0  # behind what was read last

    def number(self, form: str, at: int) -> int | None:
        size = struct.calcsize("=" + form)
        if at + size > len(self.payload):
            return None
        return int(struct.unpack_from(self.order + form, self.payload, at)[0])

    def fields(self, part: Part, at: int) -> tuple[list[Item], dict[str, int]]:
        """Those that are there."""
        there, form = part.fields, part.format
        if at + part.size > len(self.payload):
            there = [field for field in part.fields if at + field.offset + field.size <= len(self.payload)]
            form = form[: len(there)]
        items, values = [], {}
        for field, value in zip(there, struct.unpack_from(self.order + form, self.payload, at) if there else ()):
            place = HEADER_SIZE + at + field.offset
            values[field.name] = value
            items.append(Item(field.key, field.name, place, field.size, value, field.values.get(value, ""), field.show,
                              list(_bits(field, place, value)) if field.members else []))
            self.end = at + field.offset + field.size
        return items, values

    def data(self, key: str, name: str, at: int, end: int) -> list[Item]:
        """Bytes as they are; none if there are none."""
        end = min(end, len(self.payload))
        self.end = max(self.end, end)
        return [Item(key, name, HEADER_SIZE + at, end - at, self.payload[at:end])] if end > at else []

    def side(self, part: Part) -> list[Item]:
        """A whole payload."""
        for other in part.alternatives:
            if self.scope.holds(other.entry["condition"]):
                part = other
                break
        items, values = self.fields(part, 0)
        self.scope.fields["self"] = self.scope.fields["outer"] = values
        if len(values) == len(part.fields) and part.tail:
            items += self.tail(part, part.size)
        return items + self.data(f"{part.name}.rest", "rest", self.end, len(self.payload))

    def struct(self, name: str, at: int, shown: str = "") -> Item | None:
        """A structure at this offset, or None if its fields are not all there."""
        part, around = self.model.structs[name], self.scope
        if at + part.size > len(self.payload):
            return None
        items, values = self.fields(part, at)
        self.scope = Scope(around.length, around.nfds, around.limits, around.policies)
        self.scope.fields = around.fields | {"self": values}
        if part.tail:
            items += self.tail(part, at + part.size)
        self.scope = around
        return Item(name, shown or name, HEADER_SIZE + at, self.end - at, items=items)

    def tail(self, part: Part, start: int) -> list[Item]:
        tail, scope = part.tail, self.scope
        scope.variables["start"] = start
        try:
            for name, e in tail.get("variables", {}).items():
                scope.variables[name] = scope.value(e)
            return list(getattr(self, tail["kind"] + "_tail")(tail, part.tail_key, start))
        except Unknown:
            return []

    def bytes_tail(self, tail: Entry, key: str, start: int) -> list[Item]:
        size = self.scope.value(tail["size"]) if self.scope.value(tail.get("when")) else 0
        return self.data(key, tail["name"], start, start + size)

    def json_tail(self, tail: Entry, key: str, start: int) -> Iterator[Item]:
        raw = self.payload[start:]
        if not raw:
            return
        self.end = len(self.payload)
        text = raw.split(b"\0")[0].decode(errors="replace")
        keys = list(capabilities(self.model, text, HEADER_SIZE + start, len(raw))) if tail.get("schema") else []
        yield Item(key, tail["name"], HEADER_SIZE + start, len(raw), text, items=keys)

    def array_tail(self, tail: Entry, key: str, start: int) -> Iterator[Item]:
        size = tail["entry_size"]
        for i in range(min(self.scope.variables["n"], ENTRIES_MAX)):
            at = start + i * size
            if tail["of"] in self.model.structs:
                item = self.struct(tail["of"], at)
            else:
                value = self.number({1: "B", 2: "H", 4: "I", 8: "Q"}[size], at)
                item = None if value is None else Item(key, tail["name"], HEADER_SIZE + at, size, value)
                self.end = max(self.end, at + size if item else 0)
            if item is None:
                return
            yield item

    def choose(self, items: list[Entry], at: int) -> Item | None:
        """What lies at this offset, if it is known."""
        for item in items:
            if self.scope.holds(item["condition"]):
                return self.struct(item["struct"], at, item["name"])
        return None

    def union_tail(self, tail: Entry, key: str, start: int) -> list[Item]:
        item = self.choose(tail["items"], start)
        return [item] if item else self.data(key, tail["name"], start, len(self.payload))

    def strided_tail(self, tail: Entry, key: str, start: int) -> Iterator[Item]:
        stride, by = self.scope.variables["stride"], tail["by"]
        order = [item for name in tail["order"] for item in tail["items"] if item["name"] == name]
        if stride < tail["min_stride"]:
            return
        for at in range(start, len(self.payload) - stride + 1, stride):
            value = self.number({"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}[by["type"]], at + by["offset"])
            self.scope.variables["by"] = value or 0
            item = self.choose(order, at)
            if item:
                item.size, self.end = stride, at + stride
                yield item
            else:
                yield from self.data(key, tail["name"], at, at + stride)

    def chain_tail(self, tail: Entry, key: str, start: int) -> Iterator[Item]:
        if not self.scope.value(tail.get("present")):
            return
        head, at, before = self.model.structs[tail["head"]], self.scope.value(tail["at"]), start
        while before <= at and at + head.size <= len(self.payload):
            values = self.fields(head, at)[1]
            self.scope.fields["head"] = values
            following: int = values[tail["next"]]
            item = self.choose(tail["items"], at) or self.unknown_link(head, at, following or len(self.payload))
            yield item
            before, at = at + head.size, following
        self.end = len(self.payload)

    def unknown_link(self, head: Part, at: int, end: int) -> Item:
        items, end = self.fields(head, at)[0], max(at + head.size, min(end, len(self.payload)))
        items += self.data(f"{head.name}.unknown", "unknown", at + head.size, end)
        return Item(head.name, head.name, HEADER_SIZE + at, end - at, items=items)


def capabilities(model: Model, text: str, at: int, size: int) -> Iterator[Item]:
    """The keys of VERSION that are known, each with the place of the whole text."""
    try:
        said = json.loads(text)["capabilities"]
        for entry in model.tree["capabilities"]:
            inside = said.get(entry["object"], {}) if "object" in entry else said
            value = inside.get(entry["name"]) if isinstance(inside, dict) else None
            if isinstance(value, bool) if entry["type"] == "bool" else type(value) is int and 0 <= value < 2**64:
                name = ".".join(filter(None, (entry.get("object"), entry["name"])))
                yield Item(f"capabilities.{name}", name, at, size, value)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
