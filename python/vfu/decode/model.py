# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The model of the protocol, from the generated vfio-user.json; codegen/MODEL.md says what is in it."""

from __future__ import annotations

import functools
import json
import pathlib
import struct
from typing import Any

Entry = dict[str, Any]
FORMATS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}


class Member:
    """Bits of a field. values: the names of their numbers, None where each bit says yes or no."""

    def __init__(self, model: Model, entry: Entry):
        self.name: str = entry["name"]
        self.mask: int = entry["mask"]
        self.shift: int = entry["shift"]
        self.values = model.values_of(entry["enum"]) if "enum" in entry else None


class Field:
    """A field of a part: where it is, and what its number means."""

    def __init__(self, model: Model, entry: Entry, prefix: str):
        self.name: str = entry["name"]
        self.key = prefix + self.name
        self.offset: int = entry["offset"]
        self.format = FORMATS[entry["type"]]
        self.size = struct.calcsize("=" + self.format)
        self.show: str = "hex" if "flags" in entry else entry.get("show", "")
        self.values: dict[int, str] = model.values_of(entry.get("enum"))
        members = model.flags[entry["flags"]]["members"] if "flags" in entry else []
        self.members = [Member(model, member) for member in members]
        self.doc: str = entry["doc"]


class Part:
    """The fields of a structure or of one side of a message, and what follows them."""

    def __init__(self, model: Model, entry: Entry, prefix: str, own: str = "", differ: frozenset[str] = frozenset()):
        def home(name: str) -> str:
            return f"{prefix}.{own}." if name in differ else f"{prefix}." if prefix else ""

        self.entry, self.name, self.size = entry, prefix, entry["size"]
        self.fields = [Field(model, field, home(field["name"])) for field in entry["fields"]]
        self.format = "".join(field.format for field in self.fields)
        self.tail: Entry = entry.get("tail", {})
        self.tail_key = home(self.tail["name"]) + self.tail["name"] if self.tail else ""
        self.alternatives = [
            Part(model, other, f"{prefix}.{other['name']}") for other in entry.get("alternatives", [])
        ]


def _kinds(side: Entry) -> dict[str, tuple[Any, ...]]:
    """What makes fields of both sides the same to a filter."""
    kinds: dict[str, tuple[Any, ...]] = {field["name"]: (field["type"], field.get("flags"), field.get("enum")) for field in side["fields"]}
    tail = side.get("tail")
    if tail:
        kinds[tail["name"]] = (tail.get("of") if tail.get("of") in FORMATS else tail["kind"] == "json",)
    return kinds


def _differ(message: Entry) -> frozenset[str]:
    """The names that mean one thing in the request, another in the reply; those of the reply say so."""
    request, reply = _kinds(message["request"]), _kinds(message["reply"])
    return frozenset(name for name in reply if request.get(name, reply[name]) != reply[name])


class Model:
    """All of it; messages by number and by name."""

    def __init__(self, tree: Entry):
        self.tree = tree
        self.flags = {entry["name"]: entry for entry in tree["flags"]}
        self.enums = {entry["name"]: entry for entry in tree["enums"]}
        self.messages = {entry["id"]: entry for entry in tree["messages"]}
        self.names: dict[str, int] = {entry["name"]: entry["id"] for entry in tree["messages"]}
        self.header = Part(self, tree["header"], "")
        self.structs = {entry["name"]: Part(self, entry, entry["name"]) for entry in tree["structs"]}
        self.sides: dict[tuple[int, bool], Part] = {}
        for number, message in self.messages.items():
            self.sides[number, False] = Part(self, message["request"], message["name"])
            self.sides[number, True] = Part(self, message["reply"], message["name"], "reply", _differ(message))

    def values_of(self, enum: str | None) -> dict[int, str]:
        """The names of its values; command is made from the messages."""
        if enum == "command":
            return {number: message["name"] for number, message in self.messages.items()}
        return {v["value"]: v["name"] for v in self.enums[enum]["values"]} if enum else {}


def _numbers(entry: Entry) -> Entry:
    """Numbers above 2**53 - 1 are strings in the file."""
    return {
        key: int(value, 16) if isinstance(value, str) and value.startswith("0x") and key != "name" else value
        for key, value in entry.items()
    }


def path() -> pathlib.Path:
    """Beside this package where it is installed, else where the build makes it."""
    installed = pathlib.Path(__file__).resolve().parent.parent / "vfio-user.json"
    if installed.exists():
        return installed
    import vfu_protocol  # where the build puts it; who reads the model needs it soon anyway

    return pathlib.Path(vfu_protocol.__file__).resolve().parents[2] / "doc" / "gen" / "vfio-user.json"


@functools.cache
def load() -> Model:
    """The protocol's model, read once."""
    return Model(json.loads(path().read_text(encoding="utf-8"), object_hook=_numbers))
