# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""--log-level, which all commands have: what is said on standard error."""

from __future__ import annotations

import argparse
import logging
import sys

# What goes wrong in a command that is over at once is its one line: it logs nothing, unless it is asked.
LEVELS = ("none", "error", "warning", "info", "debug", "trace")


def add_to(parser: argparse.ArgumentParser) -> None:
    """The option; a command may have set_defaults(log_level=...) before."""
    default = parser.get_default("log_level") or "none"
    parser.add_argument("--log-level", choices=LEVELS, default=default,
                        help="say on standard error what happens; debug: each message, by name, number, id and "
                        f"fields; trace: its first 256 bytes, too ({default})")


def begin(options: argparse.Namespace) -> None:
    """From now on what is logged at this level is seen."""
    level = getattr(options, "log_level", "none").upper()
    logging.basicConfig(
        format="vfu: %(levelname)s: %(message)s", stream=sys.stderr, level="CRITICAL" if level == "NONE" else level
    )
