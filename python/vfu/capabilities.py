# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Capabilities of VERSION by name: what a side says, and what was agreed."""

import collections.abc
import difflib


def known_capabilities():
    """{name: key} of VERSION. The generated module is large, so it is read only when needed."""
    from .protocol import CAPABILITIES

    return {key.path: key for key in CAPABILITIES if key.type != "object"}


def check_capability(name, value):
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


def limits_of(agreed):
    """{name: value} of the limits that what was agreed sets."""
    keys = [key for key in known_capabilities().values() if key.limit]
    values = [(key, agreed[key.path]) for key in keys]
    return {key.limit: value & -value if key.lowest_bit else value for key, value in values}


class Agreed(collections.abc.Mapping):
    """What was agreed of VERSION's capabilities, by name, in the connection that there is when it is asked."""

    def __init__(self, ask):
        self._ask = ask
        self._known = known_capabilities()

    def __getitem__(self, name):
        key = self._known[name]
        value = self._ask(name)
        if key.type == "bool":
            return bool(value)
        return None if key.default == -1 and value == 2**64 - 1 else value

    def __iter__(self):
        return iter(self._known)

    def __len__(self):
        return len(self._known)

    def __repr__(self):
        return repr(dict(self))
