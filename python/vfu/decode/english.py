# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The model's expressions and rules as sentences."""

from __future__ import annotations

from typing import Any

from .model import Entry

_BETWEEN = {
    "add": " + ", "sub": " - ", "mul": " * ", "div": " / ", "mod": " modulo ", "band": " & ", "shr": " >> ", "eq": " is ",
    "ne": " is not ", "lt": " is below ", "gt": " is above ", "ge": " is at least ", "andalso": " and ", "orelse": " or ",
}
_WHOSE = {"self": "", "request": "the request's ", "outer": "the message's field ", "head": "its "}
_LEAVES = {"nfds": "the number of descriptors", "len": "the payload's length", "start": "what the fields take"}


def _flag(e: Any, part: Entry, flags: dict[str, Entry]) -> str:
    """"mmap is set" for a test of bits."""
    bits = e["a"]
    if e["op"] not in ("eq", "ne") or e["b"] != 0 or not isinstance(bits, dict) or bits["op"] != "band":
        return ""
    whole = [f for f in part.get("fields", []) if bits["a"] == {"op": "field", "of": "self", "name": f["name"]}]
    field = whole[0] if whole else {}
    names = [m["name"] for m in flags[field["flags"]]["members"] if m["mask"] == bits["b"]] if "flags" in field else []
    return f"{names[0]} is {'set' if e['op'] == 'ne' else 'clear'}" if names else ""


def words(e: Any, part: Entry, flags: dict[str, Entry]) -> str:
    """An expression of this part."""
    if isinstance(e, int):
        return f"{e:#x}" if e > 0xFFFF else str(e)
    op = e["op"]
    if op in _BETWEEN:
        return _flag(e, part, flags) or words(e["a"], part, flags) + _BETWEEN[op] + words(e["b"], part, flags)
    if op == "field":
        return f"{_WHOSE[e['of']]}{e['name']}"
    if op == "policy":
        return f"the policy {e['name']} is {e['choice']}"
    if op == "not":
        return f"not ({words(e['a'], part, flags)})"
    if op == "one_bit":
        return f"{words(e['a'], part, flags)} is one bit"
    return _LEAVES.get(op) or f"the limit {e.get('name', op)}"


def rule(r: Entry, part: Entry, flags: dict[str, Entry]) -> str:
    """A sentence that begins with the field, if it is about one. Its text says when the rule holds, but not under which policy."""
    link = " and " if ", where " in r["text"] else ", where "
    field = "" if r["field"] == "fds" else f"{r['field']} "
    return f"{field}{r['text']}" + (link + words(r["under"], part, flags) if "under" in r else "")
