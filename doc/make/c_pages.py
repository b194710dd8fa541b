# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The reference of the C interface: a page for each section of vfu.h, `c_pages.py VFU_H MODEL_JSON DIRECTORY`.

    vfu.h --header.py--> sections --> c/SECTION.rst: every declaration, in Sphinx's domain of C, and its whole comment

In comments the names of functions, types, constants, messages and errata become links.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Iterator

import header
from header import Declaration, Item, Section
from rest import TOP, erratum_link, heading, indented, linked, message_link

WORD = re.compile(
    r"`(?P<code>[^`\n]+)`|\bE(?P<erratum>\d+)\b|\bvfu_(?P<manual>\w+)\(3\)|(?P<errno>-E[A-Z0-9]{2,})\b|(?P<name>\b(?:vfu|VFU)_\w+\*?)"
    r"|(?P<message>\b[A-Z]{2,}(?:_[A-Z]+)*\b)|doc/(?P<page>[\w/-]+)\.(?:md|rst)"
)
ROLES = {"function": "func", "type": "type", "struct": "struct", "enum": "enum", "enumerator": "enumerator"}


def slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.partition(":")[0].lower()).strip("-")


def first_sentence(comment: str) -> str:
    """Up to its full stop, or to a colon or semicolon when it has said something by then."""
    text = " ".join(comment.split())
    for end in re.finditer(r"(?<=[a-z)\]0])[.;:] ", text):
        first = text[: end.start()]
        if first.count("(") <= first.count(")") and (end[0] == ". " or len(first.split()) > 4):
            return first + "."
    return text


class Pages:
    """All of them know each other's names."""

    def __init__(self, text: str, model: dict):
        self.about, self.sections = header.sections(text)
        self.roles = {}
        for _, one in self.declarations():
            for declared in [one, *(member for item in one.members for member in item.declarations)]:
                if declared.kind != "member":
                    self.roles.setdefault(declared.name, set()).add(declared.kind)
        self.messages = {message["name"].upper(): message["name"] for message in model["messages"]}
        self.errata = {str(one["number"]) for one in model["errata"]}

    def declarations(self) -> Iterator[tuple[Section, Declaration]]:
        for section in self.sections:
            for item in section.items:
                yield from ((section, one) for one in item.declarations)

    # ---- words ----

    def link(self, found: re.Match) -> str:
        """A link, or the word as code, or as it was."""
        if found["code"]:
            return f"``{found['code']}``"
        if found["manual"]:
            return f":ref:`C, {found['manual']} <c-{found['manual']}>`"
        if found["erratum"]:
            known = found["erratum"] in self.errata
            return erratum_link(found[0], found["erratum"]) if known else found[0]
        if found["page"]:
            return f":doc:`/{found['page']}`"
        if found["message"]:
            name = self.messages.get(found[0])
            return message_link(found[0], name) if name else found[0]
        kinds = self.roles.get(found["name"], set())
        for kind in ("function", "type", "struct", "enum", "enumerator"):
            if kind in kinds:
                return f":c:{ROLES[kind]}:`{found[0]}`"
        return f"``{found[0]}``"

    def words(self, text: str) -> str:
        return linked(text, WORD, self.link)

    def prose(self, comment: str) -> str:
        """Paragraphs; what is indented stands as it is, or is a list if it begins with a dash."""
        return "".join(self.block(block.split("\n")) for block in header.blocks(comment))

    def block(self, lines: list[str]) -> str:
        if not lines[0].startswith("    "):
            return self.words("\n".join(lines)) + "\n\n"
        least = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
        lines = [line[least:] for line in lines]
        if lines[0].startswith("- "):
            return self.words("\n".join(lines)) + "\n\n"
        return "::\n\n" + indented("\n".join(lines).strip("\n")) + "\n\n"

    # ---- declarations ----

    def directive(self, kind: str, signatures: list[str], body: str) -> str:
        name = f".. c:{kind}:: "
        head = name + ("\n" + " " * len(name)).join(signatures)
        return head + "\n\n" + indented(body)

    def inner(self, items: tuple[Item, ...]) -> str:
        """Members, each group with its comment."""
        out = ""
        for item in items:
            if not item.declarations:
                out += self.prose(item.comment)
                continue
            kind = item.declarations[0].kind
            out += self.directive(kind, [one.text for one in item.declarations], self.prose(item.comment))
        return out

    def type(self, one: Declaration, body: str) -> str:
        if one.kind == "enum" and not one.name:
            return body + self.inner(one.members)
        if one.kind == "type":
            return self.directive("type", [one.text], body)
        if "function" in self.roles[one.name]:
            return self.twin(one, body)
        return self.directive(one.kind, [one.name], body + self.inner(one.members))

    def twin(self, one: Declaration, body: str) -> str:
        """A structure that has a function's name: the domain knows one thing of a name alone."""
        fields = "".join(
            f"{'; '.join(f'``{member.text}``' for member in item.declarations)}\n{indented(self.prose(item.comment) or chr(92) + chr(10))}\n"
            for item in one.members)
        return f".. _struct-{one.name.replace('_', '-')}:\n\n``struct {one.name}``\n" + indented(body + fields) + "\n"

    def item(self, item: Item) -> str:
        """The text is about the functions, if there are some; types beside them are theirs."""
        functions = [one for one in item.declarations if one.kind == "function"]
        types = [one for one in item.declarations if one.kind != "function"]
        text = self.prose(item.comment)
        if not item.declarations:
            return text
        of = f"Of {', '.join(f':c:func:`{one.name}`' for one in functions)}.\n\n" if functions else ""
        out = "".join(self.type(one, of or (text if not number else "")) for number, one in enumerate(types))
        if functions:
            out += self.directive("function", [one.text for one in functions], text)
        return out

    # ---- pages ----

    def summary(self, section: Section) -> str:
        """The functions of a page, and how each is described first."""
        rows = ""
        for item in section.items:
            names = [f":c:func:`{one.name}`" for one in item.declarations if one.kind == "function"]
            if names:
                rows += f"   * - {names[0]}\n" + "".join(f"\n       {name}\n" for name in names[1:])
                rows += f"     - {self.words(first_sentence(item.comment))}\n"
        return ".. list-table::\n   :widths: auto\n   :class: summary\n\n" + rows + "\n" if rows else ""

    @staticmethod
    def name(section: Section) -> str:
        return section.title.partition(":")[0]

    def page(self, section: Section) -> str:
        name, _, rest = section.title.partition(":")
        out = TOP.format("c_pages.py") + f".. _c-{slug(section.title)}:\n\n" + heading("C: " + name, "=")
        out += self.words(rest.strip().capitalize()) + ".\n\n" if rest else ""
        return out + self.summary(section) + "".join(map(self.item, section.items))

    def index(self) -> str:
        about = self.about.partition("\n\n")[2]
        out = TOP.format("c_pages.py") + ".. _c-api:\n\n" + heading("C", "=") + self.prose(about)
        return out + ".. toctree::\n   :maxdepth: 1\n\n" + "".join(
            f"   {self.name(one)[:1].upper()}{self.name(one)[1:]} <{slug(one.title)}>\n" for one in self.sections)

    def all(self) -> dict[str, str]:
        return {"index": self.index()} | {slug(one.title): self.page(one) for one in self.sections}


def main(vfu_h: str, model: str, directory: str) -> None:
    pages = Pages(Path(vfu_h).read_text(), json.loads(Path(model).read_text()))
    Path(directory).mkdir(exist_ok=True)
    for name, text in pages.all().items():
        Path(directory, f"{name}.rst").write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
