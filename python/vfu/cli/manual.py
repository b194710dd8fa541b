# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Where a command is described at length, and vfu help, which shows the short text.

The manual pages are made of the parsers: python/packaging/manpage.py. Here is what a parser has no place for, the
pages that stand beside a command's own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from . import status

# Whoever reads one of these may look for the others.
BESIDE = {
    "serve": ("info", "guest", "trace"), "info": ("read", "dump", "shell"), "read": ("write", "dump", "wait", "info"),
    "write": ("read", "wait", "info"), "dump": ("read", "info"), "wait": ("read", "write"),
    "shell": ("info", "read", "write"), "explain": ("trace",), "guest": ("serve", "trace"), "trace": ("explain", "serve"),
    "help": (),
}
# And these, of other sections.
MORE = {"serve": ("systemd.socket(5)",), "explain": ("vfio-user(7)",), "trace": ("vfio-user(7)",)}


def see_also(command: str) -> Iterator[str]:
    """The pages beside its own."""
    yield "vfu(1)"
    yield from (f"vfu-{name}(1)" for name in BESIDE[command])
    yield from MORE.get(command, ())


def section(command: str) -> str:
    """Where its page is, for its help; "": of vfu itself."""
    return f"manual page:\n  man {f'vfu-{command}' if command else 'vfu'}"


def add_to(commands: Any) -> None:
    """vfu help."""
    names = list(commands.choices)
    parser = commands.add_parser("help", help="say what a command does", epilog="examples:\n  vfu help\n  vfu help info",
                                 description="Shows what vfu --help or vfu COMMAND --help does.")
    parser.add_argument("name", metavar="COMMAND", nargs="?", choices=[*names, "help"], help="which; without, all are named")
    parser.set_defaults(function=run)


def run(options: argparse.Namespace) -> int:
    """Prints it."""
    from . import commands_of, parser  # which has this command, too

    top = parser()
    (commands_of(top)[options.name] if options.name else top).print_help()
    return status.DONE
