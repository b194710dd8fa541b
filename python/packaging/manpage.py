# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Writes the manual pages, made of what the commands' own parsers say: `./run python3 manpage.py DIRECTORY`.

    parser() --> vfu.1              all commands, and the table of exit statuses
        of each command --> vfu-COMMAND.1

What there is to say command_pages.py has found; here it becomes troff.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterable, Iterator

import vfu
from command_pages import Entry, Group, Literal, Page, groups, pages, pieces
from troff import literal, names, see_also, sentence, text, title
from vfu.cli import parser, status

# Sections between options and examples, in the order that man-pages(7) gives; others come before them.
LAST = ("environment", "files")


def argument(one: Entry) -> str:
    """--name VALUE in bold and italics."""
    options = ", ".join(f"\\fB{text(name)}\\fR" for name in one.names)
    value = f"\\fI{text(one.value)}\\fR" if one.value else ""
    return f"{options} {value}".strip()


def arguments(found: Iterable[Group]) -> Iterator[str]:
    """What it takes, group by group."""
    for group in found:
        if group.title:
            yield f".SS {text(sentence(group.title))}\n"
        yield from (f".TP\n{argument(one)}\n{text(one.text)}\n" for one in group.entries)


def prose(block: str) -> str:
    """A paragraph, and what is listed or stands as it is behind it."""
    out = ""
    for piece in pieces(block):
        if isinstance(piece, list):
            out += ".PP\n" + "".join(f".TP\n\\fB{text(term)}\\fR\n{text(meaning)}\n" for term, meaning in piece)
        else:
            out += literal(piece) if isinstance(piece, Literal) else f".PP\n{text(piece)}\n"
    return out


def synopsis(usage: str) -> str:
    """In one line, which man breaks where it must."""
    words = usage.split()
    return f".SH SYNOPSIS\n\\fB{text(' '.join(words[:2]))}\\fR {text(' '.join(words[2:]))}\n"


def section(heading: str, found: Iterable[str]) -> str:
    """With its paragraphs."""
    return f".SH {text(heading.upper())}\n" + "".join(map(prose, found))


def head(name: str, about: str) -> str:
    """What a page begins with."""
    return title(name, 1, vfu.__version__, "User Commands") + names([name], about[0].lower() + about[1:])


def statuses(found: dict[int, list[str]]) -> str:
    """The section on them, each meaning in a line of its own."""
    entries = (f".TP\n.B {code}\n" + "\n.br\n".join(meanings) for code, meanings in found.items())
    return ".SH EXIT STATUS\n" + "\n".join(entries) + "\n"


def command_page(one: Page) -> str:
    """vfu-NAME(1)."""
    order = sorted(one.sections, key=lambda head: LAST.index(head) if head in LAST else -1)
    return "".join([
        head(f"vfu-{one.name}", one.about), synopsis(one.usage), section("description", one.description),
        ".SH OPTIONS\n", *arguments(one.groups),
        *(section(head, one.sections[head]) for head in order if head not in LAST),
        statuses({code: [text(sentence(meaning)) + "."] for code, meaning in one.statuses.items()}),
        *(section(head, one.sections[head]) for head in order if head in LAST),
        f".SH EXAMPLES\n{literal(one.examples)}", see_also(one.see_also),
    ])


def all_statuses(commands: list[str]) -> dict[int, list[str]]:
    """What each means, and of which commands it means something else."""
    found: dict[int, list[str]] = {}
    for code in sorted({code for name in commands for code in status.of(name)}):
        common = status.ALL.get(code)
        own = [f"\\fB{name}\\fR: {text(status.of(name)[code])}" for name in commands
               if status.of(name).get(code, common) != common]
        found[code] = ([text(sentence(common))] if common else []) + own
    return found


def main_page(found: dict[str, Page]) -> str:
    """vfu(1)."""
    top = parser()
    return "".join([
        head("vfu", top.description or ""),
        ".SH SYNOPSIS\n\\fBvfu\\fR \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...\n",
        ".SH DESCRIPTION\nWhat each command does, its page says, and \\fBvfu\\fR \\fICOMMAND\\fR \\fB\\-\\-help\\fR.\n",
        ".SH COMMANDS\n", *(f".TP\n.BR vfu\\-{name} (1)\n{text(one.about)}\n" for name, one in found.items()),
        ".SH OPTIONS\n", *arguments(groups(top)),
        statuses(all_statuses(list(found))),
        ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nIf it is set to anything, there are no colours; else there are on a terminal.\n",
        see_also([*(f"vfu-{name}(1)" for name in found), "libvfu(3)", "vfio-user(7)"]),
        ".PP\nThe Python package: \\fBpydoc3 vfu\\fR.\n",
    ])


def write(directory: Path) -> None:
    """All pages."""
    found = pages()
    texts = {"vfu": main_page(found)} | {f"vfu-{name}": command_page(one) for name, one in found.items()}
    for name, page in texts.items():
        (directory / f"{name}.1").write_text(page)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
