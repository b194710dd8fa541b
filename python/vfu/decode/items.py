# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What a message is decoded to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

Value = int | bool | bytes | str | None

LONGEST = 2000  # characters of a text that are shown


def printable(text: str) -> str:
    """A peer's text for people: what would move a terminal's cursor, or be taken for something else, is escaped."""
    cut = f"... {len(text)} characters" if len(text) > LONGEST else ""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:LONGEST]) + cut


@dataclasses.dataclass
class Item:
    """A field, a bit of one, what follows the fields, or a structure that holds others.

    key is its name in filters, here and in Wireshark (there after "vfio_user."): "dma_map.flags.readable".
    It takes size bytes from the offset at, counted from the begin of the message's header. value is None for
    structures; bits are bool. meaning is the name of the value, if it has one.
    """

    key: str
    name: str
    at: int
    size: int
    value: Value = None
    meaning: str = ""
    show: str = ""
    items: list[Item] = dataclasses.field(default_factory=list)

    def walk(self) -> Iterator[Item]:
        """This one and all inside it, in order."""
        yield self
        for item in self.items:
            yield from item.walk()

    def text(self) -> str:
        """The value for people."""
        if isinstance(self.value, bool):
            return "yes" if self.value else "no"
        if isinstance(self.value, bytes):
            return self.value.hex(" ") if len(self.value) <= 32 else f"{self.value[:32].hex(' ')} ... {self.size} bytes"
        if isinstance(self.value, int):
            return self.meaning or (f"{self.value:#x}" if self.show == "hex" else str(self.value))
        return printable(self.value or "")
