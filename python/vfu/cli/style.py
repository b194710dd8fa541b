# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Colours, on a terminal alone, and not where NO_COLOR is set."""

import os
import sys

BOLD, RED, DIM = "1", "31", "2"


def use_colour(stream=None):
    """Whether stream, or standard output, takes colours."""
    stream = stream or sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text, code, stream=None):
    """The text in this colour, or as it is."""
    return f"\33[{code}m{text}\33[0m" if use_colour(stream) else text
