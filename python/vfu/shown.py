# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What repr() shows: the class, and in what state the object is. It never raises, whatever has become of the object."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def shown(describe: Callable[[Any], str]) -> Callable[[Any], str]:
    """Decorator of a __repr__ that returns what stands behind the class's name."""

    @functools.wraps(describe)
    def show(self: Any) -> str:
        kind = type(self)
        name = f"vfu.{kind.__name__}" if kind.__module__.startswith("vfu.") else kind.__name__
        try:
            return f"<{name} {describe(self)}>"
        except Exception:  # what it is made of is not there: not yet, or not any more
            return f"<{name}, incomplete>"

    return show


def connected(agreed: Callable[[str], int]) -> str:
    """Of a server, which agreed() asks, any thread: whether there is a client."""
    try:
        agreed("max_msg_fds")
    except OSError:
        return "no client"
    return "client connected"
