# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The manual pages of the C interface: `man_pages.py VFU_H MODEL_JSON RELEASE ARCHIVE`.

    vfu.h --header.py--> sections --> vfu_client_dma.3           a page for each: functions, prose, types, errors
                                  '-> vfu_client_dma_map.3       for each of its functions: .so man3/vfu_client_dma.3
                         all of it --> libvfu.3                  what holds for all, and where each function is

All that the pages say is in the header; what an erratum is about, which is named there, the model says.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tarfile
from pathlib import Path
from typing import Any, Iterator

import header
from header import Declaration, Item, Section
from troff import literal, names, see_also, sentence, text, title

# Sections whose page is not called after them.
CALLED = {
    "memory that can vanish": "watch", "device, its regions": "device_regions", "requests answered later": "request",
    "commands that the device serves itself": "command", "interrupts": "irq", "device hooks": "hooks",
    "client, connecting again": "client_reconnect", "client, event loop and threads": "client_loop",
    "client, configuration space and BARs": "client_config", "client, interrupts": "client_irq",
    "client, any message": "client_messages",
}
WORD = re.compile(r"\b(?:vfu_\w+|VFU_\w+\*?)|(?<![\w-])-E[A-Z0-9]{2,}\b")
ERRNO = re.compile(r"(?<![\w-])-E[A-Z0-9]{2,}\b")
ERRATUM = re.compile(r"\bE(\d+)\b")


def page_name(section: Section) -> str:
    """vfu_client_dma of "client, DMA"."""
    head = section.title.partition(":")[0]
    return "vfu_" + CALLED.get(head, re.sub(r"\W+", "_", head.lower()))


def functions_of(section: Section) -> list[Declaration]:
    return [one for item in section.items for one in item.declarations if one.kind == "function"]


class Words:
    """Where each function and each type is described, and prose with functions' names in bold."""

    def __init__(self, sections: list[Section]):
        self.type_page_of = {one.name: page_name(section) for section in sections for item in section.items
                             for one in item.declarations if one.kind != "function" and one.name}
        self.page_of = {one.name: page_name(section) for section in sections for one in functions_of(section)}

    def word(self, found: re.Match[str]) -> str:
        name = found[0]
        call = "()" if name in self.page_of and found.string[found.end() : found.end() + 1] != "(" else ""
        return f"\\fB{text(name)}\\fR{call}"

    def prose(self, words: str) -> str:
        out, at = "", 0
        for found in WORD.finditer(words):
            out, at = out + text(words[at : found.start()]) + self.word(found), found.end()
        return re.sub(r"^(['.])", r"\\&\1", out + text(words[at:]), flags=re.M)

    def block(self, lines: str, first: str) -> str:
        """A paragraph, a list whose entries begin with a dash, or what stands as it is."""
        if not lines.startswith("    "):
            return f"{first}\n{self.prose(lines)}\n"
        if lines.lstrip().startswith("- "):
            entries = re.split(r"^ +- ", lines, flags=re.M)[1:]
            return "".join(f".IP \\(bu 2\n{self.prose(re.sub(r'^ +', '', one.rstrip(), flags=re.M))}\n" for one in entries)
        return literal(lines.rstrip())

    def comment(self, words: str, first: str = ".PP") -> str:
        """All of it; the first paragraph begins with a request of its own, if one is given."""
        out = ""
        for lines in header.blocks(words):
            out += self.block(lines, first)
            first = ".PP"
        return out


# ---- declarations ----


def prototype(one: Declaration, before: str = "") -> str:
    """Types in bold, names of arguments in italics; a line does not end inside of an argument."""
    head, arguments = one.text.partition("(")[::2]
    cut = re.split(r"(\b\w+)(?=[,)\[]|\)\()", arguments + ";")
    for number, words in enumerate(cut):
        escaped = re.sub(r"(?<!,) ", "\\\\ ", text(words))
        cut[number] = f"\\fI{escaped}\\fB" if number % 2 and words not in ("void", "char", "int") else escaped
    return f".HP\n\\fB{text(before + head)}({''.join(cut)}\\fR\n"


def named(one: Declaration) -> str:
    """What it is called; an enumeration without a name by what its numbers have in common."""
    if one.kind in ("function", "type"):
        return one.name
    if one.name:
        return one.text
    numbers = [member.name for item in one.members for member in item.declarations]
    prefix = os.path.commonprefix(numbers).rpartition("_")[0]
    return f"{prefix}_*" if "_" in prefix else ", ".join(numbers)


def listing(one: Declaration) -> str:
    """A type as C has it, without what is said of its members."""
    if not one.members:
        return literal(one.text + ";")
    end = ";" if one.kind == "struct" else ","
    lines = [f"    {member.text}{end}" for item in one.members for member in item.declarations]
    return literal("\n".join([one.text + " {", *lines, "};"]))


class Page:
    """Of one section."""

    def __init__(self, section: Section, words: Words, model: dict[str, Any]):
        self.section, self.words, self.name = section, words, page_name(section)
        self.errata = {str(one["number"]): one["title"] for one in model["errata"]}
        self.functions = functions_of(section)

    def members(self, one: Declaration) -> Iterator[str]:
        """Those of which something is said, and prose between them."""
        for item in one.members:
            heads = "; ".join(member.text for member in item.declarations)
            if heads and item.comment:
                yield f".TP\n\\fB{text(heads)}\\fR\n{self.words.comment(item.comment, '').lstrip()}"
            elif item.comment:
                yield self.words.comment(item.comment)

    def item(self, item: Item) -> str:
        """What a comment is about, and what it says."""
        if not item.declarations:
            return self.words.comment(item.comment)
        out = ".SS " + text(", ".join(dict.fromkeys(map(named, item.declarations)))) + "\n"
        for one in item.declarations:
            if one.kind == "type":
                out += prototype(one, "typedef ")
            elif one.kind != "function":
                out += listing(one)
        out += self.words.comment(item.comment)
        return out + "".join(text for one in item.declarations for text in self.members(one))

    def returns(self) -> str:
        """By the kinds of results that there are; of ints the header's first comment speaks."""
        kinds = [one.text.partition(one.name)[0].strip() for one in self.functions]
        said = []
        if "int" in kinds:
            said.append("Functions of type int: 0 or a count, or a negative errno, but for what is said above.")
        if any(kind.endswith("*") for kind in kinds):
            said.append("Functions that return a pointer: NULL if there is none.")
        return ".SH RETURN VALUE\n" + "\n.PP\n".join(map(self.words.prose, said)) + "\n" if said else ""

    def errors(self) -> str:
        """Each errno, what the comments say of it, and of which functions it is said otherwise."""
        causes_of: dict[str, list[str]] = {}
        others: dict[str, list[str]] = {}
        for item in self.section.items:
            about = [f"{self.words.prose(one.name)}" for one in item.declarations if one.kind == "function"]
            said = list(causes(item.comment)) if about else []
            for code, meaning in said:
                causes_of.setdefault(code, []).append(f"{', '.join(about)}: {self.words.prose(meaning)}")
            for code in set(ERRNO.findall(item.comment)) - {code for code, _ in said} if about else ():
                others.setdefault(code, []).extend(about)
        for code, about in others.items():
            begin = "See also" if code in causes_of else "See"
            causes_of.setdefault(code, []).append(f"{begin} {', '.join(about)}.")
        entries = (f".TP\n\\fB{text(code)}\\fR\n" + "\n.br\n".join(causes_of[code]) + "\n" for code in sorted(causes_of))
        return ".SH ERRORS\n" + "".join(entries) if causes_of else ""

    def notes(self) -> str:
        """Which places of the protocol's text its numbers stand for."""
        said = " ".join(comments(self.section))
        numbers = sorted({number for number in ERRATUM.findall(said) if number in self.errata}, key=int)
        entries = (f".TP\nE{number}\n{text(self.errata[number])}\n" for number in numbers)
        end = ".PP\n\\fBvfu explain\\fR says more of each.\n"
        return ".SH NOTES\nWhere the text of the protocol leaves a choice, or is wrong:\n" + "".join(entries) + end if numbers else ""

    def beside(self) -> list[str]:
        """Pages of the functions that it names, and those that are about the same."""
        named = {self.words.page_of[name] for text in comments(self.section) for name in WORD.findall(text) if name in self.words.page_of}
        return ["libvfu(3)", *(f"{name}(3)" for name in sorted(named - {self.name})), "vfio-user(7)"]

    def troff(self, release: str) -> str:
        head, _, rest = self.section.title.partition(":")
        all_names = [self.name, *(one.name for one in self.functions if one.name != self.name)]
        return "".join([
            title(self.name, 3, release, "Library Functions Manual"),
            names(all_names, head + (":" + rest if rest else "")),
            ".SH SYNOPSIS\n.nf\n\\fB#include <vfu.h>\\fR\n.fi\n", *map(prototype, self.functions),
            ".SH DESCRIPTION\n", *map(self.item, self.section.items), self.returns(), self.errors(), self.notes(),
            see_also(self.beside()),
        ])


def comments(section: Section) -> Iterator[str]:
    """All of them."""
    for item in section.items:
        yield item.comment
        for one in item.declarations:
            yield from (member.comment for member in one.members)


def causes(comment: str) -> Iterator[tuple[str, str]]:
    """(errno, what it means) where a comment says "-EINVAL: no such thing" or "-EINTR if it is ended"."""
    words = " ".join(comment.split())
    for found in re.finditer(r"(?:^|(?<=[.;:] ))((?:-E[A-Z0-9]+,? )*-E[A-Z0-9]+)(?:: | (?=if ))(.*?)(?=[.;] |[.]$|[;,] -E[A-Z0-9]+:|$)", words):
        for code in ERRNO.findall(found[1]):
            yield code, found[2] + "."


def overview(about: str, pages: list[Page], release: str, words: Words) -> str:
    """libvfu(3)."""
    _, _, rest = about.partition("\n\n")
    head, _, prose = rest.partition("\n\n")
    what = re.sub(r"^vfu\.h - ", "", " ".join(head.split())).rstrip(".")
    entries = "".join(
        f".TP\n\\fB{text(page.name)}\\fR(3)\n{text(sentence(page.section.title))}"
        + (":\n" + text(", ".join(one.name for one in page.functions)) if page.functions else "") + "\n" for page in pages)
    return "".join([
        title("libvfu", 3, release, "Library Functions Manual"), names(["libvfu"], what),
        ".SH SYNOPSIS\n.nf\n\\fB#include <vfu.h>\n\ncc \\fIprogram.c\\fB $(pkg\\-config \\-\\-cflags \\-\\-libs libvfu)\\fR\n.fi\n",
        ".SH DESCRIPTION\n", words.comment(prose), ".SH FUNCTIONS\nEach has a page of its own name, which is that of its family.\n", entries,
        see_also([*(f"{page.name}(3)" for page in pages), "vfu(1)", "vfio-user(7)"]),
    ])


def all_pages(source: Path, model: dict[str, Any], release: str) -> dict[str, str]:
    """{name: page}"""
    about, sections = header.sections(source.read_text(encoding="utf-8"))
    words = Words(sections)
    pages = [Page(section, words, model) for section in sections]
    found = {"libvfu": overview(about, pages, release, words)} | {page.name: page.troff(release) for page in pages}
    links = {name: f".so man3/{page}.3\n" for name, page in (words.type_page_of | words.page_of).items()}
    return links | found


def write(pages: dict[str, str], archive: Path) -> None:
    """The same bytes each time."""
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as file:
        for name, page in sorted(pages.items()):
            data = page.encode()
            entry = tarfile.TarInfo(f"{name}.3")
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    header_h, model_json, release, archive = sys.argv[1:]
    write(all_pages(Path(header_h), json.loads(Path(model_json).read_text(encoding="utf-8")), release), Path(archive))
