# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Capabilities of VERSION by name: what a side says, and what was agreed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .shown import shown

if TYPE_CHECKING:
    from . import protocol


def known_capabilities() -> dict[str, protocol.Capability]:
    """{name: key} of VERSION. The generated module is large, so it is read only when needed."""
    from .protocol import CAPABILITIES

    return {key.path: key for key in CAPABILITIES if key.type != "object"}


def check_capability(name: str, value: int | bool) -> int:
    """The value as the library takes it, if it is of the right type."""
    known = known_capabilities()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, 1)
        raise ValueError(
            f"unknown capability {name!r}{f', did you mean {near[0]!r}?' if near else ''}; there are {', '.join(known)}"
        )
    type_ = bool if known[name].type == "bool" else int
    if type(value) is not type_:
        raise ValueError(f"capability {name} can not be {value!r}: it is {known[name].type}")
    return int(value)


def limits_of(agreed: Mapping[str, Any]) -> dict[str, Any]:
    """{name: value} of the limits that what was agreed sets."""
    values = [(key, agreed[key.path]) for key in known_capabilities().values()]
    return {key.limit: value & -value if key.lowest_bit else value for key, value in values if key.limit}


class Agreed(Mapping[str, Any]):
    """What was agreed of VERSION's capabilities, {name: value}, in the connection that there is when it is asked.

    Names are paths: "pgsizes", "migration.pgsize". Values are numbers (of bytes, where it is a size) or bools, None where
    nothing was said and nothing is assumed; vfu.protocol.CAPABILITIES says of each what it means. KeyError: there is no
    such capability. Disconnected: there is no connection.
    """

    def __init__(self, ask: Callable[[str], int]) -> None:
        self._ask = ask
        self._known = known_capabilities()

    def __getitem__(self, name: str) -> int | bool | None:
        key = self._known[name]
        value = self._ask(name)
        if key.type == "bool":
            return bool(value)
        return None if key.default == -1 and value == 2**64 - 1 else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    @shown
    def __repr__(self) -> str:
        try:
            return repr(dict(self))
        except OSError:
            return "without a connection"
