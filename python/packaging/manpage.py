# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Prints the manual page vfu(1), made of what the commands' own parsers say: `./run python3 manpage.py`."""

from __future__ import annotations

import argparse
import re
from typing import Iterator

import vfu
from vfu.cli import parser

ENDING = """\
.SH EXIT STATUS
0 if all went well, 1 if it did not, which standard error explains in one line, 2 for wrong arguments,
130 after Ctrl-C.
.SH SEE ALSO
The Python package: \\fBpydoc3 vfu\\fR. The protocol: \\fIprotocol.rst\\fR of the C library's documentation.
"""


def text(words: str) -> str:
    """Words as troff takes them literally."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.M)


def argument(action: argparse.Action) -> str:
    """--name VALUE in bold and italics."""
    if action.choices:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    else:
        metavar = action.metavar or action.dest.upper()
        value = metavar if isinstance(metavar, str) else " ".join(metavar)
    value = "" if action.nargs == 0 else f"\\fI{text(value)}\\fR"
    names = ", ".join(f"\\fB{text(name)}\\fR" for name in action.option_strings)
    return f"{names} {value}".strip()


def arguments(one: argparse.ArgumentParser) -> Iterator[str]:
    for action in one._actions:
        hidden = isinstance(action, (argparse._SubParsersAction, argparse._HelpAction))
        if not hidden and action.help is not argparse.SUPPRESS:
            about = one._get_formatter()._expand_help(action) if action.help else ""
            yield f".TP\n{argument(action)}\n{text(about)}\n"


def commands(one: argparse.ArgumentParser) -> Iterator[str]:
    """A section for each command, and for the commands of a command."""
    for action in one._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield f".SS {text(command.prog)}\n{text(command.description or '')}\n"
                yield from arguments(command)
                if command.epilog:
                    yield f".PP\n.nf\n{text(command.epilog)}\n.fi\n"
                yield from commands(command)


def page() -> str:
    top = parser()
    about = (top.description or "").rstrip(".")
    return "".join([
        '.\\" SPDX-License-Identifier: BSD-3-Clause\n',
        f'.TH VFU 1 "" "libvfu {vfu.__version__}" "User Commands"\n',
        f".SH NAME\nvfu \\- {text(about[0].lower() + about[1:])}\n",
        ".SH SYNOPSIS\n\\fBvfu\\fR \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...\n",
        ".SH DESCRIPTION\nWhat each command does \\fBvfu\\fR \\fICOMMAND\\fR \\fB\\-\\-help\\fR says too.\n",
        ".SH OPTIONS\n", *arguments(top),
        ".SH COMMANDS\n", *commands(top),
        ENDING,
    ])


print(page(), end="")
