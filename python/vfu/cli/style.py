# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Colours, on a terminal alone, and not where NO_COLOR is set."""

from __future__ import annotations

import os
import sys
from typing import TextIO

BOLD, RED, DIM = "1", "31", "2"


def use_colour(stream: TextIO | None = None) -> bool:
    """Whether stream, or standard output, takes colours."""
    stream = stream or sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, code: str, stream: TextIO | None = None) -> str:
    """The text in this colour, or as it is."""
    return f"\33[{code}m{text}\33[0m" if use_colour(stream) else text
