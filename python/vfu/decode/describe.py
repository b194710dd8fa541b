# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What the protocol says of a name: messages, structures, flags, enumerations, limits, policies, capabilities, errata."""

from __future__ import annotations

import difflib
import errno
import os
import textwrap
from collections.abc import Iterator

from . import english
from .model import Entry, Model

WIDTH = 100
KINDS = ("messages", "structs", "flags", "enums", "limits", "capabilities", "objects", "policies")


def _wrap(text: str, indent: int = 2) -> Iterator[str]:
    pad = " " * indent
    yield from textwrap.wrap(" ".join(text.split()), WIDTH, initial_indent=pad, subsequent_indent=pad)


def _row(columns: str, doc: str) -> Iterator[str]:
    """Columns, and prose beside them."""
    room = max(len(columns) + 2, 44)
    lines = textwrap.wrap(" ".join(doc.split()), max(WIDTH - room, 40)) or [""]
    yield f"{columns:{room}}{lines[0]}".rstrip()
    yield from (" " * room + line for line in lines[1:])


def find(model: Model, name: str) -> Iterator[tuple[str, Entry]]:
    """(list of the model, entry) of everything that is called so; errata as E17."""
    plain = name.lower().removeprefix("vfio_user_").replace("-", "_")
    if plain == "header":
        yield "header", model.tree["header"] | {"name": "header"}
    for kind in KINDS:
        yield from ((kind, entry) for entry in model.tree[kind] if entry["name"] == plain)
    yield from (("errata", entry) for entry in model.tree["errata"] if plain == f"e{entry['number']}")


def names(model: Model) -> list[str]:
    """All of them, but for errata."""
    return sorted({entry["name"] for kind in KINDS for entry in model.tree[kind]})


def like(model: Model, name: str) -> list[str]:
    """Names that may have been meant."""
    return difflib.get_close_matches(name.lower(), names(model), 3)


def _members(model: Model, field: Entry) -> Iterator[str]:
    members = model.flags[field["flags"]]["members"] if "flags" in field else []
    for m in members:
        yield from _row(f"                {m['mask']:#x} {m['name']}", m["doc"])
    if "enum" in field and field["enum"] != "command":
        values = model.enums[field["enum"]]["values"]
        yield from _row("", ", ".join(f"{v['value']} {v['name']}" for v in values))


def _part(model: Model, title: str, part: Entry) -> Iterator[str]:
    """The layout and rules of one side of a message, or of a structure."""
    tail, fds = part.get("tail"), part.get("descriptors")
    yield f"{title}: " + ("nothing" if not part["fields"] and not tail else f"{part['size']} bytes{', then ' + tail['name'] if tail else ''}")
    for field in part["fields"]:
        yield from _row(f"  {field['offset']:6} {field['type']:4} {field['name']}", field["doc"])
        yield from _members(model, field)
    if tail:
        yield from _row(f"  {part['size']:6} {tail['kind']:4} {tail['name']}", tail["doc"])
        for item in tail.get("items", []):
            yield from _row(f"                {item['value']} {item['name']}: {item['struct']}", item["doc"])
    for other in part.get("alternatives", []):
        yield from _row(f"  or {other['size']} bytes, {other['name']}", other["doc"])
    if fds:
        yield from _row("  descriptors", fds.get("doc", ""))
    rules = part.get("before", []) + part.get("rules", []) + part.get("after", [])
    if rules:
        yield "  Rules:"
    for rule in rules:
        yield from _wrap("- " + english.rule(rule, part, model.flags), 4)


def _message(model: Model, m: Entry) -> Iterator[str]:
    status = f", {m['status']}" if "status" in m else ""
    yield f"{m['name']}: command {m['id']} of the {m['from']}, since {m.get('since', 'the beginning')}{status}"
    yield from _wrap(m["doc"])
    yield from _part(model, "Request", m["request"])
    yield from _part(model, "Reply", m["reply"])
    if m["errors"]:
        yield "Errors:"
    for name, why in m["errors"].items():
        yield from _row(f"  {name}", why)


def _list(title: str, entry: Entry, rows: list[tuple[str, str]]) -> Iterator[str]:
    yield f"{title} {entry['name']}: {entry['doc']}"
    for columns, doc in rows:
        yield from _row(columns, doc)


def _range(entry: Entry) -> str:
    limits = f", {entry['min']} to {entry['max']}" if "min" in entry and "max" in entry else ""
    return f"{entry['type']}, default {entry.get('default', 'none')}{limits}"


def page(model: Model, kind: str, entry: Entry) -> list[str]:
    """All there is to say, in lines."""
    if kind == "messages":
        return list(_message(model, entry))
    if kind in ("structs", "header"):
        return [*_wrap(f"{entry['name']}: {entry['doc']}", 0), *_part(model, "Layout", entry)]
    if kind == "flags":
        return list(_list("Flags", entry, [(f"  {m['mask']:#10x} {m['name']}", m["doc"]) for m in entry["members"]]))
    if kind == "enums":
        return list(_list("Values of", entry, [(f"  {v['value']:6} {v['name']}", v["doc"]) for v in entry["values"]]))
    if kind in ("limits", "capabilities"):
        inside = f" in {entry['object']}" if "object" in entry else ""
        title = "Limit" if kind == "limits" else "Capability"
        return list(_list(title, entry, [(f"  {_range(entry)}{inside}", entry.get("combine", ""))]))
    if kind == "objects":
        keys = [c for c in model.tree["capabilities"] if c.get("object") == entry["name"]]
        return list(_list("Object of VERSION", entry, [(f"  {c['name']}: {_range(c)}", c["doc"]) for c in keys]))
    if kind == "policies":
        return [f"Policy {entry['name']}: {', '.join(entry['choices'])}; default {entry['default']}", *_erratum(model, entry["erratum"])]
    return list(_erratum(model, entry["number"]))


def _erratum(model: Model, number: int) -> Iterator[str]:
    for e in model.tree["errata"]:
        if e["number"] == number:
            yield f"E{number}. {e['title']}"
            for key in ("text", "peers", "decision"):
                yield from _wrap(f"{key.capitalize()}: {e[key]}") if key in e else ()


def error_page(model: Model, number: int) -> list[str]:
    """What this errno means as an answer, and which messages give it."""
    name = errno.errorcode.get(number, str(number))
    out = [f"{name} ({number}): {os.strerror(number)}"]
    for m in model.tree["messages"]:
        if name in m["errors"]:
            out += _row(f"  {m['name']}", m["errors"][name])
        sides = [(side, rule) for side in ("request", "reply") for rule in m[side].get("rules", []) if rule["errno"] == name != "EINVAL"]
        for side, rule in sides:
            out += _row(f"  {m['name']}, {side}", english.rule(rule, m[side], model.flags))
    return out
