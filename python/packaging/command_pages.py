# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What the commands say of themselves, in parts: one source for the manual pages and for the site.

    vfu.cli.parser() --> pages() --> {"info": Page(usage, description, groups, sections, ...)} --> manpage.py: vfu-info.1
                                                                                  '--> doc/make/command_rst.py: vfu-info.html

The epilog of a parser is cut at its empty lines. A block that begins with a line of words and a colon is a section
of that name; all before the first of them belongs to the description.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import textwrap
from typing import Iterator, Union

from vfu.cli import commands_of, manual, parser, status

# Sections that are not shown as they stand: there is something better to say.
ELSEWHERE = {"exit status", "examples", "manual page"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """An option, or what has no name but its value."""

    names: tuple[str, ...]
    value: str  # "" if it takes none
    text: str


@dataclasses.dataclass(frozen=True)
class Group:
    """Options that belong together, under a title if they have one of their own."""

    title: str
    entries: tuple[Entry, ...]


@dataclasses.dataclass(frozen=True)
class Page:
    """A command. Sections have blocks: paragraphs, or lines of words and what they mean."""

    name: str
    about: str  # a sentence
    usage: str
    description: tuple[str, ...]
    groups: tuple[Group, ...]
    sections: dict[str, tuple[str, ...]]  # by their headings
    examples: str
    statuses: dict[int, str]
    see_also: tuple[str, ...]  # pages, as "vfu-read(1)"


def entry(one: argparse.ArgumentParser, action: argparse.Action) -> Entry:
    """What is said of an argument."""
    if action.nargs == 0:
        value = ""
    elif action.choices and not action.metavar:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    else:
        metavar = action.metavar or action.dest.upper()
        value = metavar if isinstance(metavar, str) else " ".join(metavar)
    text = one._get_formatter()._expand_help(action) if action.help else ""
    return Entry(tuple(action.option_strings), value, text)


def groups(one: argparse.ArgumentParser) -> Iterator[Group]:
    """What it takes, group by group."""
    for group in one._action_groups:
        own = group.title not in ("positional arguments", "options", "optional arguments")
        entries = tuple(
            entry(one, action) for action in group._group_actions
            if not isinstance(action, (argparse._SubParsersAction, argparse._HelpAction)) and action.help != argparse.SUPPRESS
        )
        if entries:
            yield Group(group.title or "" if own else "", entries)


def blocks(epilog: str) -> Iterator[tuple[str, str]]:
    """(heading or "", lines) of what stands between empty lines."""
    for block in re.split(r"\n\s*\n", epilog.strip("\n")):
        head, _, rest = block.partition("\n")
        yield (head[:-1], textwrap.dedent(rest)) if re.fullmatch(r"[a-z ]+:", head) and rest else ("", block)


COLUMNS = re.compile(r" *(\S+(?: \S+)*)  +(\S.*)")
Piece = Union[str, "list[tuple[str, str]]", "Literal"]


class Literal(str):
    """Lines that stand as they are."""


def listed(lines: list[str]) -> Piece:
    """Words and what they mean, where lines are in two columns; else as they are."""
    if not COLUMNS.match(lines[0]):
        return Literal("\n".join(lines))
    entries: list[tuple[str, str]] = []
    for line in lines:
        new = COLUMNS.fullmatch(line)
        if new:
            entries.append((new[1], new[2]))
        else:
            entries[-1] = (entries[-1][0], f"{entries[-1][1]}\n{line.strip()}")
    return entries


def pieces(block: str) -> Iterator[Piece]:
    """A paragraph, up to where lines are indented or have columns, and what those are."""
    lines = block.split("\n")
    at = next((number for number, line in enumerate(lines) if line.startswith(" ") or COLUMNS.match(line)), len(lines))
    if at:
        yield "\n".join(lines[:at])
    if lines[at:]:
        yield listed(lines[at:])


def page(name: str, one: argparse.ArgumentParser) -> Page:
    """Of one command."""
    description, sections = [one.description or ""], dict[str, list[str]]()
    into = description
    for head, body in blocks(one.epilog or ""):
        into = sections.setdefault(head, []) if head else into
        into.append(body)
    usage = " ".join(one.format_usage().removeprefix("usage: ").split())
    return Page(
        name, one.description or "", usage, tuple(description), tuple(groups(one)),
        {head: tuple(found) for head, found in sections.items() if head not in ELSEWHERE},
        "\n".join(sections.get("examples", ())), status.of(name), tuple(manual.see_also(name)))


def pages() -> dict[str, Page]:
    """{name: of each command}, in the order of its help."""
    os.environ["PYTHON_COLORS"] = "0"  # argparse of Python 3.14 paints on a terminal, and where FORCE_COLOR is set
    return {name: page(name, one) for name, one in commands_of(parser()).items()}
