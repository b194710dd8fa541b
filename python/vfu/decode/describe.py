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
    known = [(kind, entry) for kind in KINDS for entry in model.tree[kind] if plain in _names_of(kind, entry)]
    known += [("errata", entry) for entry in model.tree["errata"] if plain == f"e{entry['number']}"]
    yield from known or ((kind, entry) for kind, entry in _inside(model) if plain in entry["called"])


def _names_of(kind: str, entry: Entry) -> list[str]:
    """Its name, the number of a message, and a capability's name with that of the object it lies in."""
    number = [str(entry["id"])] if kind == "messages" else []
    return [entry["name"], *number, *([f"{entry['object']}.{entry['name']}"] if "object" in entry else [])]


def _inside(model: Model) -> Iterator[tuple[str, Entry]]:
    """Fields as errors name them, members of flag sets, values of enumerations, each with what it is called."""
    parts = [(s["name"], [("", s)]) for s in model.tree["structs"]]
    parts += [(m["name"], [("request", m["request"]), ("reply", m["reply"])]) for m in model.tree["messages"]]
    for name, sides in parts:
        for side, part in sides:
            for field in [*part["fields"], *_others(part)]:
                yield "fields", _field(model, name, side, part, field)
    for entry in model.tree["flags"]:
        for m in entry["members"]:
            yield "members", m | {"of": entry["name"], "called": [m["name"], f"{entry['name']}.{m['name']}"]}
    for entry in model.tree["enums"]:
        for v in entry["values"]:
            yield "values", v | {"of": entry["name"], "called": [v["name"], f"{entry['name']}.{v['name']}"]}


def _rules(part: Entry) -> list[Entry]:
    tail = part.get("tail", {})
    said = [{"field": tail["name"], **tail[key]} for key in ("overlap", "syntax") if key in tail]
    lists = [part.get(when, []) for when in ("before", "rules", "after")]
    of_items = [item.get("rules", []) for item in tail.get("items", [])]
    return [rule for rules in (*lists, [tail["each"]] if "each" in tail else [], said, *of_items) for rule in rules]


def _others(part: Entry) -> Iterator[Entry]:
    """What errors name besides: what follows the fields, and the message as a whole."""
    tail = part.get("tail")
    follows = {tail["name"]: tail["doc"]} if tail else {}
    for item in tail.get("items", []) if tail else []:
        follows |= {item["name"]: item["doc"], item["struct"]: item["doc"]}
    docs = {"command": "the message itself", "payload": "all that follows the header"} | follows
    fields = [field["name"] for field in part["fields"]]
    named = [*follows, *(rule["field"].partition(".")[0] for rule in _rules(part))]
    yield from ({"name": name, "doc": docs.get(name, "")} for name in dict.fromkeys(named) if name not in fields)


def _field(model: Model, name: str, side: str, part: Entry, field: Entry) -> Entry:
    """A field with the rules that speak of it: of itself, of one of its flags."""
    own = [rule for rule in _rules(part) if rule["field"].partition(".")[0] == field["name"]]
    members = model.flags[field["flags"]]["members"] if "flags" in field else []
    full = f"{name}.{field['name']}"
    return field | {"name": full, "side": side, "called": [full, *(f"{full}.{m['name']}" for m in members)],
                    "rules": [english.rule(rule, part, model.flags) for rule in own]}


def names(model: Model) -> list[str]:
    """All of them, but for errata, and what lies inside others."""
    return sorted({entry["name"] for kind in KINDS for entry in model.tree[kind]})


def like(model: Model, name: str) -> list[str]:
    """Names that may have been meant."""
    known = [*names(model), *(called for _, entry in _inside(model) for called in entry["called"])]
    return difflib.get_close_matches(name.lower(), dict.fromkeys(known), 3)


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
        yield from _rule_list(model, other)
    if fds:
        yield from _row("  descriptors", fds.get("doc", ""))
    if _rules(part):
        yield "  Rules:"
    yield from _rule_list(model, part)


def _rule_list(model: Model, part: Entry) -> Iterator[str]:
    for rule in _rules(part):
        yield from _wrap("- " + english.rule(rule, part, model.flags), 4)


def _facts(m: Entry) -> Iterator[str]:
    """What a server does with it besides."""
    effect = f", where {m['effect']['text']}" if "effect" in m else ""
    if "fence" in m:
        yield f"A fence: no later request starts before it is answered{effect}."
    if "gate" in m:
        yield f"A gate: the device is asked first, and may refuse with any errno{effect}."
    if "states" in m:
        yield f"Lawful only in the states {', '.join(m['states'])}."


def _message(model: Model, m: Entry) -> Iterator[str]:
    status = f", {m['status']}" if "status" in m else ""
    yield f"{m['name']}: command {m['id']} of the {m['from']}, since {m.get('since', 'the beginning')}{status}"
    yield from _wrap(m["doc"])
    yield from _wrap(" ".join(_facts(m)))
    yield from _part(model, "Request", m["request"])
    yield from _part(model, "Reply", m["reply"])
    if m["errors"]:
        yield "Errors:"
    for name, why in m["errors"].items():
        yield from _row(f"  {name}", why)
    errata = [e for e in model.tree["errata"] if m["name"] in e.get("messages", [])]
    if errata:
        yield "Errata:"
    yield from (f"  E{e['number']:<4} {e['title']}" for e in errata)


def _list(title: str, entry: Entry, rows: list[tuple[str, str]]) -> Iterator[str]:
    yield f"{title} {entry['name']}: {entry['doc']}"
    for columns, doc in rows:
        yield from _row(columns, doc)


def _range(entry: Entry) -> str:
    limits = f", {entry['min']} to {entry['max']}" if "min" in entry and "max" in entry else ""
    return f"{entry['type']}, default {entry.get('default', 'none')}{limits}"


def _inner_page(model: Model, kind: str, entry: Entry) -> Iterator[str]:
    """Of a field, a flag or a value."""
    if kind == "fields":
        place = [f"{entry['type']} at {entry['offset']}"] if "type" in entry else []
        words = [*place, *([f"of the {entry['side']}"] if entry["side"] else [])]
        yield from _wrap(f"{entry['name']}: {' '.join(words)}{': ' if words else ''}{entry['doc']}", 0)
        yield from _members(model, entry)
        for rule in entry["rules"]:
            yield from _wrap("- " + rule, 4)
        return
    number = f"{entry['mask']:#x} of flags {entry['of']}" if kind == "members" else f"{entry['value']} of {entry['of']}"
    yield f"{entry['name']}: {number}"
    yield from _wrap(entry["doc"])


def page(model: Model, kind: str, entry: Entry) -> list[str]:
    """All there is to say, in lines."""
    if kind in ("fields", "members", "values"):
        return list(_inner_page(model, kind, entry))
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
