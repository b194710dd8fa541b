# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Seconds of Python, milliseconds of C."""

from __future__ import annotations

import math


def milliseconds(seconds: float) -> int:
    """Rounded up: a little is not nothing, which may mean for ever."""
    if not isinstance(seconds, (int, float)):
        raise TypeError(f"a timeout is a number of seconds, not {seconds!r}")
    if not 0 <= seconds <= 1_000_000:
        raise ValueError(f"a timeout of {seconds!r} seconds: 0 to 1,000,000 it may be")
    return math.ceil(seconds * 1000)


def wait_time(seconds: float | None) -> int:
    """For a wait, as C has it; None: for ever, what is left of a time that is over: nothing."""
    if isinstance(seconds, (int, float)) and seconds < 0:
        return 0
    return -1 if seconds is None else milliseconds(seconds)


def answer_time(seconds: float | None) -> int:
    """For each answer, as C has it; None: the Client's own time, 0: for ever."""
    return 0 if seconds is None else milliseconds(seconds) or -1
