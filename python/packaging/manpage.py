# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Writes the manual pages, made of what the commands' own parsers say: `./run python3 manpage.py DIRECTORY`.

    parser() --> vfu.1              all commands, and the table of exit statuses
        of each command --> vfu-COMMAND.1   NAME, SYNOPSIS, DESCRIPTION, OPTIONS, what follows those, EXAMPLES, EXIT STATUS

What follows the options is the epilog of a parser: paragraphs, and blocks that are indented or begin with a line of
words and a colon, which stay as they are.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Iterator

import vfu
from vfu.cli import commands_of, parser, status


def text(words: str) -> str:
    """Words as troff takes them literally."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha")
    return re.sub(r"^\.", r"\\&.", escaped.replace("~", "\\(ti"), flags=re.M)


def sentence(words: str) -> str:
    """With a large letter, and the others as they are."""
    return words[:1].upper() + words[1:]


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
    """What it takes, group by group."""
    for group in one._action_groups:
        own = group.title not in ("positional arguments", "options", "optional arguments")
        entries = [
            f".TP\n{argument(action)}\n{text(one._get_formatter()._expand_help(action) if action.help else '')}\n"
            for action in group._group_actions
            if not isinstance(action, (argparse._SubParsersAction, argparse._HelpAction)) and action.help != argparse.SUPPRESS
        ]
        if entries and own:
            yield f".SS {text(sentence(group.title or ''))}\n"
        yield from entries


def blocks(epilog: str) -> Iterator[tuple[str, str]]:
    """(heading or "", lines) of what stands between empty lines."""
    for block in re.split(r"\n\s*\n", epilog.strip("\n")):
        head, _, rest = block.partition("\n")
        yield (head[:-1], rest) if re.fullmatch(r"[a-z ]+:", head) and rest else ("", block)


def literal(lines: str) -> str:
    """As it is."""
    return f".PP\n.nf\n{text(lines)}\n.fi\n"


def listed(lines: str) -> str:
    """Words and what they mean, in two columns; else as it is."""
    columns = re.compile(r"  (\S+(?: \S+)*)  +(\S.*)")
    if not columns.match(lines):
        return literal(lines)
    out = ".PP\n"
    for line in lines.split("\n"):
        entry = columns.fullmatch(line)
        out += f".TP\n\\fB{text(entry[1])}\\fR\n{text(entry[2])}\n" if entry else text(line.strip()) + "\n"
    return out


def prose(block: str) -> str:
    """A paragraph, up to where lines are indented."""
    lines = block.split("\n")
    indented = next((number for number, line in enumerate(lines) if line.startswith(" ")), len(lines))
    head, rest = "\n".join(lines[:indented]), "\n".join(lines[indented:])
    return (f".PP\n{text(head)}\n" if head else "") + (listed(rest) if rest else "")


def usage(one: argparse.ArgumentParser) -> str:
    """In one line, which man breaks where it must."""
    words = one.format_usage().removeprefix("usage: ").split()
    return f".SH SYNOPSIS\n\\fB{text(' '.join(words[:2]))}\\fR {text(' '.join(words[2:]))}\n"


def title(name: str, about: str) -> str:
    """What a page begins with."""
    return "".join([
        '.\\" SPDX-License-Identifier: BSD-3-Clause\n',
        f'.TH {text(name.upper())} 1 "" "libvfu {vfu.__version__}" "User Commands"\n.nh\n.ad l\n',
        f".SH NAME\n{text(name)} \\- {text(about[0].lower() + about[1:].rstrip('.'))}\n",
    ])


def statuses(found: dict[int, list[str]]) -> str:
    """The section on them, each meaning in a line of its own."""
    entries = (f".TP\n.B {code}\n" + "\n.br\n".join(meanings) for code, meanings in found.items())
    return ".SH EXIT STATUS\n" + "\n".join(entries) + "\n"


def command_page(name: str, one: argparse.ArgumentParser) -> str:
    """vfu-NAME(1)."""
    parts = [title(f"vfu-{name}", one.description or ""), usage(one)]
    parts += [f".SH DESCRIPTION\n{text(one.description or '')}\n", ".SH OPTIONS\n", *arguments(one)]
    found = [(head, body) for head, body in blocks(one.epilog or "") if head not in ("exit status", "examples")]
    if found:
        parts.append(".SH NOTES\n")
        parts += [f".SS {text(head.capitalize())}\n{literal(body)}" if head else prose(body) for head, body in found]
    parts += [f".SH EXAMPLES\n{literal(body)}" for head, body in blocks(one.epilog or "") if head == "examples"]
    parts.append(statuses({code: [text(sentence(meaning)) + "."] for code, meaning in status.of(name).items()}))
    parts.append(".SH SEE ALSO\n.BR vfu (1)\n")
    return "".join(parts)


def all_statuses(names: list[str]) -> dict[int, list[str]]:
    """What each means, and of which commands it means something else."""
    found: dict[int, list[str]] = {}
    for code in sorted({code for name in names for code in status.of(name)}):
        common = status.ALL.get(code)
        own = [f"\\fB{name}\\fR: {text(status.of(name)[code])}" for name in names
               if status.of(name).get(code, common) != common]
        found[code] = ([text(sentence(common))] if common else []) + own
    return found


def main_page(top: argparse.ArgumentParser) -> str:
    """vfu(1)."""
    found = commands_of(top)
    about = {name: (one.description or "").rstrip(".") for name, one in found.items()}
    return "".join([
        title("vfu", top.description or ""),
        ".SH SYNOPSIS\n\\fBvfu\\fR \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...\n",
        ".SH DESCRIPTION\nWhat each command does, its page says, and \\fBvfu\\fR \\fICOMMAND\\fR \\fB\\-\\-help\\fR.\n",
        ".SH COMMANDS\n", *(f".TP\n.BR vfu\\-{name} (1)\n{text(about[name])}.\n" for name in found),
        ".SH OPTIONS\n", *arguments(top),
        statuses(all_statuses(list(found))),
        ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nIf it is set to anything, there are no colours; else there are on a terminal.\n",
        ".SH SEE ALSO\n", ",\n".join(f".BR vfu\\-{name} (1)" for name in found).replace(" (1),", " (1),"), "\n.PP\n",
        "The Python package: \\fBpydoc3 vfu\\fR. The protocol: \\fIprotocol.rst\\fR of the C library's documentation.\n",
    ])


def write(directory: Path) -> None:
    """All pages."""
    top = parser()
    pages = {f"vfu-{name}": command_page(name, one) for name, one in commands_of(top).items()}
    for name, page in ({"vfu": main_page(top)} | pages).items():
        (directory / f"{name}.1").write_text(page)


write(Path(sys.argv[1]))
