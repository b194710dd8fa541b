# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The reference of the command vfu: `command_rst.py DIRECTORY`, with our module and python/packaging where Python looks.

    the commands' parsers --command_pages.py--> Page --> vfu-info.rst: the same text as vfu-info(1)
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

from command_pages import Entry, Literal, Page, pages, pieces
from rest import TOP, heading, indented, linked

CODE = re.compile(r"`([^`\n]+)`|(?<![\w-])(--?[a-z][\w-]*(?:=\w+)?)")


def words(text: str) -> str:
    """Options, and what is between backquotes, as code."""
    return linked(text, CODE, lambda found: f"``{found[1] or found[2]}``")


def literal(lines: str) -> str:
    return "::\n\n" + indented(lines) + "\n\n"


def block(text: str) -> str:
    """A paragraph, and what is listed or stands as it is behind it."""
    out = ""
    for piece in pieces(text):
        if isinstance(piece, list):
            out += "".join(f"``{term}``\n{indented(words(meaning))}\n\n" for term, meaning in piece)
        else:
            out += literal(piece) if isinstance(piece, Literal) else words(piece) + "\n\n"
    return out


def option(one: Entry) -> str:
    value = " " + one.value if one.value else ""
    heads = ", ".join(name + value for name in one.names) or one.value
    return f".. option:: {heads}\n\n{indented(words(one.text))}\n\n"


def page(one: Page) -> str:
    """Of a command."""
    name = f"vfu-{one.name}"
    out = TOP.format("command_rst.py") + f".. _{name}:\n\n" + heading(f"vfu {one.name}")
    out += literal(textwrap.fill(one.usage, 80, subsequent_indent="    ", break_on_hyphens=False))
    out += "".join(map(block, one.description)) + heading("Options", "-") + f".. program:: {name}\n\n"
    for group in one.groups:
        out += f".. rubric:: {group.title[:1].upper() + group.title[1:]}\n\n" if group.title else ""
        out += "".join(map(option, group.entries))
    for title, blocks in one.sections.items():
        out += heading(title.capitalize(), "-") + "".join(map(block, blocks))
    out += heading("Exit status", "-")
    out += "".join(f"{code}\n{indented(words(meaning))}\n\n" for code, meaning in one.statuses.items())
    beside = [f":ref:`vfu {found[1]} <vfu-{found[1]}>`" for found in map(re.compile(r"vfu-(\w+)").match, one.see_also) if found]
    also = heading("See also", "-") + ", ".join(beside) + "\n" if beside else ""
    return out + heading("Examples", "-") + literal(one.examples) + also


def index(found: dict[str, Page]) -> str:
    rows = "".join(f":ref:`vfu {name} <vfu-{name}>`\n{indented(words(one.about))}\n\n" for name, one in found.items())
    listing = ".. toctree::\n   :hidden:\n\n" + "".join(f"   vfu-{name}\n" for name in found)
    return TOP.format("command_rst.py") + ".. _command:\n\n" + heading("The command vfu") + rows + listing


def write(directory: Path) -> None:
    """All pages."""
    found = pages()
    directory.mkdir(parents=True, exist_ok=True)
    texts = {"index": index(found)} | {f"vfu-{name}": page(one) for name, one in found.items()}
    for name, text in texts.items():
        (directory / f"{name}.rst").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
