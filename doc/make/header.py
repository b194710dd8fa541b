# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A C header as its reader sees it: sections, and in these comments with what they are about.

    /* ---- client */                       Section("client", ...)
                                                |
    /* Ends it. Any thread. */              Item("Ends it. Any thread.", [Declaration, Declaration])
    void vfu_client_free(...);
    void vfu_client_close(...);

A comment is about what follows it, up to an empty line or the next comment; with nothing behind it, it is prose. A
comment whose first line begins with ---- opens a section, and what else it says is the section's first prose. Members
of structures and enumerations have comments in the same way, or behind them on their line.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Iterator


@dataclasses.dataclass(frozen=True)
class Declaration:
    """kind: "function", "type" (a typedef of a function), "struct", "enum"; an enum may have no name. Of what has members
    text is the head alone, and members are Items of kind "member" or "enumerator"; a struct may have none."""

    kind: str
    name: str
    text: str
    members: tuple["Item", ...] = ()


@dataclasses.dataclass(frozen=True)
class Item:
    """A comment, whose lines are as they stand without their marks, and what it is about."""

    comment: str
    declarations: tuple[Declaration, ...]


@dataclasses.dataclass(frozen=True)
class Section:
    title: str
    items: tuple[Item, ...]


COMMENT, BEHIND, GAP, CODE = "comment", "behind", "gap", "code"


def bare(comment: str) -> str:
    """A comment without its marks."""
    lines = comment.removeprefix("/*").removesuffix("*/").split("\n")
    lines = [re.sub(r"^\s*\* ?", "", line) if re.match(r"\s*\*( |\t|$)", line) else line.strip() for line in lines]
    return "\n".join(line.rstrip() for line in lines).strip("\n ")


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """(COMMENT, its words), or BEHIND code on its line; (GAP, "") for empty lines, (CODE, a declaration up to its semicolon)."""
    for found in re.finditer(r"(/\*[\s\S]*?\*/)|(\n[ \t]*(?=\n))|#.*|([a-z](?:[^;{]|\{[\s\S]*?\n?\})*);", text):
        comment, gap, code = found.groups()
        if comment:
            line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
            yield (BEHIND if line.strip() else COMMENT), bare(comment)
        elif gap:
            yield GAP, ""
        elif code:
            yield CODE, code


def one_line(code: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"/\*[\s\S]*?\*/", "", code)).strip()


def declaration(code: str) -> Declaration:
    head, brace, body = code.partition("{")
    head = one_line(head)
    if brace:
        kind, _, name = head.partition(" ")
        inside = body.rpartition("}")[0]
        return Declaration(kind, name, head, tuple(members(inside) if kind == "struct" else enumerators(inside)))
    if re.fullmatch(r"struct \w+", head):
        return Declaration("struct", head.split()[1], head)
    name = re.match(r".*?(\w+)\(", head)
    assert name, head
    kind = "type" if head.startswith("typedef ") else "function"
    return Declaration(kind, name[1], head.removeprefix("typedef "))


def declarators(code: str) -> Iterator[Declaration]:
    """Each member of one declaration: `uint64_t a, *b` are two."""
    code = one_line(code)
    if "(" in code:
        name = re.search(r"\(\*(\w+)\)", code)
        assert name, code
        yield Declaration("member", name[1], code)
        return
    first, *others = code.split(",")
    base = re.match(r"(.*?)\s*\**\w+(\[\w+\])?$", first)
    assert base, code
    for text in [first, *(f"{base[1]} {other.strip()}" for other in others)]:
        name = re.search(r"(\w+)(\[\w+\])?$", text)
        assert name, text
        yield Declaration("member", name[1], text)


def members(inside: str) -> Iterator[Item]:
    """A comment behind a member on its line is about the members of that line."""
    line = r"([^\s;/](?:[^;/]|/(?!\*))*);[ \t]*(/\*[\s\S]*?\*/)?|(/\*[\s\S]*?\*/)|(\n[ \t]*(?=\n))"
    found = [(m[1], m[2], m[3], m[4]) for m in re.finditer(line, inside)]
    yield from grouped([
        (CODE, (tuple(declarators(code)), bare(behind or ""))) if code else (COMMENT, bare(comment)) if comment else (GAP, "")
        for code, behind, comment, gap in found
    ])


def enumerators(inside: str) -> Iterator[Item]:
    line = r"(\w+)\s*(=\s*[^,/]+?)?\s*(,|(?=\s*/\*)|\s*$)[ \t]*(/\*[\s\S]*?\*/)?|(/\*[\s\S]*?\*/)"
    yield from grouped([
        (COMMENT, bare(m[5])) if m[5] else
        (CODE, ((Declaration("enumerator", m[1], one_line(m[1] + " " + (m[2] or ""))),), bare(m[4] or "")))
        for m in re.finditer(line, inside)
    ])


def grouped(found: list[tuple]) -> Iterator[Item]:
    """Members, each with what is said behind it. What is said before one alone is its own, before several it is prose."""
    at = 0
    while at < len(found):
        kind, what = found[at]
        at += 1
        if kind == CODE:
            yield Item(what[1], what[0])
        elif kind == COMMENT:
            run = at
            while run < len(found) and found[run][0] == CODE:
                run += 1
            if run == at + 1 and not found[at][1][1]:
                yield Item(what, found[at][1][0])
                at = run
            else:
                yield Item(what, ())


def items(found: list[tuple[str, str]]) -> Iterator[Item]:
    """Comments and what they are about. A type behind functions is for what comes next."""
    comment, about = "", list[Declaration]()
    for number, (kind, what) in enumerate(found):
        behind = "".join(what for kind, what in found[number + 1 : number + 2] if kind == BEHIND)
        new = [declaration(what)] if kind == CODE else []
        turns = behind or any(about[-1].kind == "function" != one.kind for one in new if about)
        if (not new or about and turns) and (comment or about):
            yield Item(comment, tuple(about))
            comment, about = "", []
        about += new
        if new and behind:
            yield Item(f"{comment}\n\n{behind}".strip("\n"), tuple(about))
            comment, about = "", []
        elif kind == COMMENT:
            comment = what
    if comment or about:
        yield Item(comment, tuple(about))


def sections(text: str) -> tuple[str, list[Section]]:
    """What the file says of itself, and its sections."""
    about = bare(re.match(r"/\*[\s\S]*?\*/", text)[0])
    body = re.search(r'extern "C" \{\n#endif\n([\s\S]*)#ifdef __cplusplus\n\}', text)[1]
    found: list[tuple[str, list]] = []
    for kind, what in pieces(body):
        if kind == COMMENT and what.startswith("---- "):
            title, _, rest = what.partition("\n")
            found.append((title[5:], [(COMMENT, rest.strip("\n"))] if rest else []))
        elif found:
            found[-1][1].append((kind, what))
    return about, [Section(title, tuple(items(inside))) for title, inside in found]


def blocks(comment: str) -> Iterator[str]:
    """Its paragraphs, and what is indented, with tabs expanded; empty lines inside of the latter stay."""
    kind, block = "", list[str]()
    for line in [one.expandtabs(8) for one in comment.split("\n")]:
        new = "" if not line.strip() else "inside" if line.startswith("    ") else "prose"
        if new and new != kind or (not new and kind == "prose"):
            if block:
                yield "\n".join(block).strip("\n")
            kind, block = new, []
        if new or block:
            block.append(line)
    if block:
        yield "\n".join(block).strip("\n")
