# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The model's expressions: numbers of 64 bits, conditions."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

MASK = 2**64 - 1

_BINARY: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b & MASK,
    "sub": lambda a, b: a - b & MASK,
    "mul": lambda a, b: a * b & MASK,
    "div": lambda a, b: a // b if b else 0,
    "mod": lambda a, b: a % b if b else 0,
    "div_up": lambda a, b: -(-a // b) if b else 0,
    "band": operator.and_,
    "shr": operator.rshift,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "gt": operator.gt,
    "ge": operator.ge,
}


class Unknown(Exception):
    """An expression looks at what was not seen: the request of a reply, or a field that is not there."""


class Scope:
    """What an expression looks at. fields: those of self, request, outer and head, by name."""

    def __init__(self, length: int, nfds: int, limits: dict[str, int], policies: dict[str, str]):
        self.length, self.nfds, self.limits, self.policies = length, nfds, limits, policies
        self.fields: dict[str, dict[str, int]] = {}
        self.variables: dict[str, int] = {}

    def value(self, e: Any) -> int:
        """Its value; true where there is no expression. Raises Unknown."""
        if e is None:
            return True
        if isinstance(e, int):
            return e
        op = e["op"]
        if op in _BINARY:
            return _BINARY[op](self.value(e["a"]), self.value(e["b"]))
        return int(_OTHER[op](self, e))

    def holds(self, e: Any) -> bool:
        """A condition; false where it looks at what was not seen."""
        try:
            return bool(self.value(e))
        except Unknown:
            return False

    def known(self, table: dict[str, int] | None, name: str) -> int:
        if table is None or name not in table:
            raise Unknown(name)
        return table[name]


_OTHER: dict[str, Callable[[Scope, Any], int]] = {
    "field": lambda s, e: s.known(s.fields.get(e["of"]), e["name"]),
    "limit": lambda s, e: s.known(s.limits, e["name"]),
    "name": lambda s, e: s.known(s.variables, e["name"]),
    "policy": lambda s, e: bool(s.policies[e["name"]] == e["choice"]),
    "nfds": lambda s, e: s.nfds,
    "len": lambda s, e: s.length,
    "start": lambda s, e: s.known(s.variables, "start"),
    "andalso": lambda s, e: s.value(e["a"]) and s.value(e["b"]),
    "orelse": lambda s, e: s.value(e["a"]) or s.value(e["b"]),
    "not": lambda s, e: not s.value(e["a"]),
    "one_bit": lambda s, e: s.value(e["a"]).bit_count() == 1,
    "choose": lambda s, e: s.value(e["a"] if s.value(e["if"]) else e["b"]),
}
