# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Bytes out of what people paste: plain hexadecimal digits, or the output of xxd, hexdump -C, tcpdump and Wireshark.

And bytes as hexdump -C shows them: Dump.
"""

from __future__ import annotations

import re

_OFFSET = re.compile(r"\s*(?:0x)?([0-9a-fA-F]{4,16})(:|\s\s)\s*")
_DIGITS = re.compile(r"(?:[0-9a-fA-F]{2})+")
LINE_MAX = 16  # bytes in a line of a dump


def _dumped(line: str, count: int) -> bytes | None:
    """The bytes of a line that begins with its offset, which is how many were before it; else None."""
    head = _OFFSET.match(line)
    if head is None or int(head[1], 16) != count:
        return None
    rest = line[head.end() :].split("|")[0]
    if head[2] == ":":  # the text stands behind two spaces
        rest = re.split(r"\s\s+", rest.strip())[0]
    digits = ""
    for word in rest.split():
        if not _DIGITS.fullmatch(word) or len(digits) + len(word) > 2 * LINE_MAX:
            break
        digits += word
    return bytes.fromhex(digits)


def _plain(line: str) -> bytes:
    digits = re.sub(r"0x|\\x|[\s:,]", "", line)
    if not re.fullmatch(r"[0-9a-fA-F]*", digits):
        raise ValueError(f"{line.strip()[:40]!r} is not hexadecimal")
    if len(digits) % 2:
        raise ValueError(f"{line.strip()[:40]!r} has an odd number of digits")
    return bytes.fromhex(digits)


def parse(text: str) -> bytes:
    """The bytes; raises ValueError, which says what is not hexadecimal."""
    out = b""
    for line in text.splitlines():
        part = _dumped(line, len(out))
        out += _plain(line) if part is None else part
    return out


class Dump:
    """The other way: lines as hexdump -C has them, of bytes that come piece by piece. start: the first one's offset."""

    def __init__(self, start: int = 0):
        self._at, self._rest, self._last, self._starred = start, b"", b"", False

    def feed(self, data: bytes) -> str:
        """The lines that are whole now."""
        data = self._rest + data
        whole = len(data) - len(data) % LINE_MAX
        self._rest = data[whole:]
        return "".join(self._line(data[i : i + LINE_MAX]) for i in range(0, whole, LINE_MAX))

    def end(self) -> str:
        """What is left, and the offset behind all."""
        last = self._line(self._rest) if self._rest else ""
        return f"{last}{self._at:08x}\n"

    def _line(self, part: bytes) -> str:
        same, self._last = part == self._last, part
        at, self._at = self._at, self._at + len(part)
        if same:
            star, self._starred = ("" if self._starred else "*\n"), True
            return star
        self._starred = False
        digits = f"{part[:8].hex(' '):<23}  {part[8:].hex(' '):<23}"
        return f"{at:08x}  {digits}  |{''.join(chr(b) if 32 <= b < 127 else '.' for b in part)}|\n"
