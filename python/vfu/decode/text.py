# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Decoded messages as lines for people and as JSON for programs."""

from __future__ import annotations

import errno
import os
from typing import Any

from .decoder import SIDES, Message
from .items import Item

LONGEST = 20_000  # characters of a line: a message may have thousands of entries


def errno_name(number: int) -> str:
    """"EINVAL: Invalid argument"; the number alone if it is none."""
    name = errno.errorcode.get(number)
    return f"{name}: {os.strerror(number)}" if name else str(number)


def brief(item: Item) -> str:
    """name=value; of flags those that are set, of a structure its name and what is in it."""
    if item.value is None:
        return f"{item.name}({' '.join(brief(inner) for inner in item.items)})"
    if isinstance(item.value, int) and item.items:
        names = [i.name if i.value is True else f"{i.name}:{i.text()}" for i in item.items if i.value]
        known = sum(1 for i in item.items if i.value)
        return f"{item.name}={'|'.join(names) if known else item.text()}"
    return f"{item.name}={item.text()}"


def kind(m: Message) -> str:
    """"request", "reply", or what came instead."""
    if m.is_error:
        return f"error {errno_name(m.header.error)}"
    return "reply" if m.is_reply else "request"


def complaints(m: Message) -> list[str]:
    """The rule it breaks, and what else is odd about it."""
    fault = m.fault
    told = [f"{fault.message}: {fault.field} {fault.rule} (is {_shown(fault.value)}, offset {fault.offset})"] if fault else []
    return told + [f"{m.name or 'message'} {note}" for note in m.notes]


def _shown(value: object) -> str:
    return f"{value:#x}" if isinstance(value, int) else repr(value)[:80]


def line(m: Message, start: float = 0.0) -> str:
    """A message in one line; start is the time to count from."""
    name = m.name or f"command {m.command}"
    words = [f"{m.time - start:.6f}", f"{m.connection}{'t' if m.twin else ''}", SIDES[m.sender], name, kind(m), f"#{m.header.id}"]
    if m.elapsed is not None:
        words.append(f"{m.elapsed * 1e6:.0f}us")
    if m.nfds:
        words.append(f"fds={m.nfds}")
    if m.flags & 0x10 and not m.is_reply:
        words.append("no_reply")
    words += [brief(item) for item in m.items if item.at >= 16]
    if not m.is_whole:
        words.append(f"({len(m.data)} of {m.length} bytes)")
    text = " ".join(words)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... and {len(text) - LONGEST} characters"


def lines(m: Message) -> list[str]:
    """All fields, a line each: offset, size, name, value, and the number behind a name."""
    out = []

    def add(item: Item, depth: int) -> None:
        if isinstance(item.value, bool) and depth:
            text = f"{'.' * 4}  {item.name}: {item.text()}"
        else:
            raw = f" ({item.value!r})" if item.meaning else ""
            text = f"{item.name}: {item.text()}{raw}" if item.value is not None else f"{item.name}:"
        out.append(f"  {item.at:5} {item.size:5}  {'  ' * depth}{text}")
        for inner in item.items:
            add(inner, depth + 1)

    for item in m.items:
        add(item, 0)
    return out


def _value(item: Item) -> Any:
    return item.value.hex() if isinstance(item.value, bytes) else item.value


def _item(item: Item) -> dict[str, Any]:
    out: dict[str, Any] = {"name": item.key, "at": item.at, "size": item.size}
    if item.value is not None:
        out["value"] = _value(item)
    if item.meaning:
        out["meaning"] = item.meaning
    if item.items:
        out["fields"] = [_item(inner) for inner in item.items]
    return out


def as_dict(m: Message) -> dict[str, Any]:
    """For JSON. Bytes are hexadecimal; times are seconds."""
    out: dict[str, Any] = {
        "number": m.number, "time": m.time, "connection": m.connection, "socket": "twin" if m.twin else "main",
        "from": SIDES[m.sender], "message": m.name or None, "kind": "error" if m.is_error else kind(m), "id": m.header.id,
        "command": m.command, "descriptors": m.nfds, "length": m.length, "captured": len(m.data),
        "fields": [_item(item) for item in m.items],
    }
    if m.is_error:
        out["errno"] = errno.errorcode.get(m.header.error, m.header.error)
    if m.request:
        out |= {"answers": m.request.number, "elapsed": round(m.elapsed or 0.0, 9)}
    if m.fault:
        fault = m.fault
        out["fault"] = {"message": fault.message, "field": fault.field, "rule": fault.rule, "at": fault.offset, "value": fault.value}
    if m.notes:
        out["notes"] = m.notes
    return out
