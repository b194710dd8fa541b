# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Which messages are shown: expressions with the names of fields, much as Wireshark's display filters.

    expression   what is joined by "or"; tighter "and", then "not"; parentheses
    term         NAME          of a message (dma_map), a word of WORDS, or a field that the message has
                 NAME OP VALUE, OP one of == != < <= > >=; any of the fields with that name, with != none of them
    NAME         dma_map.address, or address for that of any message; id, command, size, flags and error are the
                 header's. Wireshark's have "vfio_user." before them
    VALUE        a number, true, false, or the name of a value (region == config, error == EINVAL)
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Callable, Iterator

from ..decode import Message, Model
from ..decode.decoder import SIDES
from ..decode.items import Value

Test = Callable[[Message], bool]

WORDS: dict[str, Test] = {
    "request": lambda m: not m.is_reply,
    "reply": lambda m: m.is_reply,
    "failed": lambda m: m.is_error,
    "broken": lambda m: m.fault is not None,
    "odd": lambda m: bool(m.notes),
    "client": lambda m: SIDES[m.sender] == "client",
    "server": lambda m: SIDES[m.sender] == "server",
    "twin": lambda m: m.twin,
}
# What is no field of the message itself.
NUMBERS: dict[str, Callable[[Message], float | None]] = {
    "connection": lambda m: m.connection,
    "descriptors": lambda m: m.nfds,
    "elapsed": lambda m: m.elapsed,
    "length": lambda m: m.length,
}
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b, ">": lambda a, b: a > b,
}
_ERRORS = {name: number for number, name in errno.errorcode.items()}
_TOKEN = re.compile(r"\s*(==|!=|<=|>=|<|>|\(|\)|[\w.:]+)")


def keys_of(model: Model) -> set[str]:
    """The keys of all fields."""
    out = {key for part in (*model.structs.values(), *model.sides.values(), model.header) for key in _of_part(part)}
    for entry in model.tree["capabilities"]:
        out.add(".".join(filter(None, ("capabilities", entry.get("object"), entry["name"]))))
    return out


def _of_part(part: Model | object) -> Iterator[str]:
    for field in getattr(part, "fields"):
        yield field.key
        yield from (f"{field.key}.{member.name}" for member in field.members)
    if getattr(part, "tail_key"):
        yield getattr(part, "tail_key")
    for other in getattr(part, "alternatives"):
        yield from _of_part(other)


class Filter:
    """A compiled expression; call it with a message. Raises ValueError for what it cannot mean."""

    def __init__(self, text: str, model: Model):
        self.model = model
        self.keys = keys_of(model)
        self.short = {key.rpartition(".")[2] for key in self.keys}
        self.tokens = self._tokens(text)
        self.test = self._either()
        if self.tokens:
            raise ValueError(f"{self.tokens[0]!r} is not expected there")

    def __call__(self, m: Message) -> bool:
        return self.test(m)

    def _tokens(self, text: str) -> list[str]:
        out, at = [], 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise ValueError(f"{text[at:].strip()[:20]!r} is no part of a filter")
            out.append(match[1])
            at = match.end()
        return out

    def _take(self, *words: str) -> str:
        return self.tokens.pop(0) if self.tokens and (not words or self.tokens[0] in words) else ""

    def _either(self) -> Test:
        tests = [self._both()]
        while self._take("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda m: any(test(m) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._take("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda m: all(test(m) for test in tests)

    def _one(self) -> Test:
        if self._take("not"):
            test = self._one()
            return lambda m: not test(m)
        if self._take("("):
            test = self._either()
            if not self._take(")"):
                raise ValueError("a ) is missing")
            return test
        name = self._take().removeprefix("vfio_user.")
        if not re.match(r"\w", name) or name in ("and", "or"):
            raise ValueError(f"a name is missing{' before ' + repr(name) if name else ''}")
        sign = self._take(*OPERATORS)
        return self._comparison(name, sign, self._take()) if sign else self._name(name)

    def _name(self, name: str) -> Test:
        if name in self.model.names:
            return lambda m: m.name == name
        if name in WORDS:
            return WORDS[name]
        values = self._values(name)
        return lambda m: any(value is not None for value in values(m))

    def _values(self, name: str) -> Callable[[Message], list[float | None]]:
        """What a message has under this name."""
        if name in NUMBERS:
            number = NUMBERS[name]
            return lambda m: [number(m)]
        if name in self.keys:
            return lambda m: [_number(item.value) for item in m.walk() if item.key == name]
        if name in self.short:
            return lambda m: [_number(item.value) for item in m.walk() if item.key.rpartition(".")[2] == name]
        known = dict.fromkeys([*self.keys, *self.short, *WORDS, *NUMBERS, *self.model.names])
        near = difflib.get_close_matches(name, known, 3)
        raise ValueError(f"no field is called {name!r}{'; is it ' + ' or '.join(near) + '?' if near else ''}")

    def _comparison(self, name: str, sign: str, word: str) -> Test:
        values, compare, wanted = self._values(name), OPERATORS[sign], self._number(name, word)
        every = all if sign == "!=" else any
        return lambda m: bool(found := [v for v in values(m) if v is not None]) and every(compare(v, wanted) for v in found)

    def _number(self, name: str, word: str) -> int | float:
        """A number, or the name of one."""
        if word in ("true", "false"):
            return word == "true"
        if name == "error" and word in _ERRORS:
            return _ERRORS[word]
        if word in self.model.names:
            return self.model.names[word]
        for enum in map(self.model.values_of, self.model.enums):
            numbers = [number for number, value in enum.items() if value == word]
            if numbers:
                return numbers[0]
        try:
            if re.fullmatch(r"\d*\.\d+", word):
                return float(word)
            return int(word, 0)
        except ValueError:
            raise ValueError(f"{word!r} is no number, and no name of one" if word else "a value is missing") from None


def _number(value: Value) -> float | None:
    """Bytes and text are there, no more."""
    return value if isinstance(value, int) else 0
