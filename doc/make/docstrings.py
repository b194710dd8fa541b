# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""An extension of Sphinx: our docstrings, which are text for help(), as reST for autodoc; and the pages that show them.

    what is indented, or in columns   stands as it is
    a line with dashes below          a heading
    (E52), vfu.NAME, DeviceDma        links

Pages are gen/python/NAME.rst, written before Sphinx looks for what there is.
"""

from __future__ import annotations

import enum
import inspect
import re
import textwrap
from pathlib import Path

import vfu
import vfu.aio
import vfu.guest
import vfu.pytest_plugin
import vfu.testing
from rest import TOP, erratum_link, heading, linked

# Page: (what it is called, beginnings of the names of the modules in which its things are).
PAGES = {
    "device": ("Python: a device and its server", ("vfu.device", "vfu.regions", "vfu.registers", "vfu.irqs", "vfu.dma", "vfu.server")),
    "client": ("Python: a client", ("vfu.client",)),
    "common": ("Python: what both have", ("",)),
}
MODULES = {
    "pci": (vfu.pci, "capabilities of configuration space"),
    "aio": (vfu.aio, "a client for coroutines"),
    "testing": (vfu.testing, "tests of a device"),
    "pytest_plugin": (vfu.pytest_plugin, "fixtures for pytest"),
    "guest": (vfu.guest, "a Linux guest"),
    "protocol": (vfu.protocol, "messages as objects"),
}
WORD = re.compile(r"`(?P<code>[^`\n]+)`|\bE(?P<erratum>\d+)\b|\b(?P<dotted>vfu(?:\.\w+)+)|\b(?P<camel>[A-Z][a-z]+[A-Z]\w+)\b")


def names(module) -> list[str]:
    """What is public in it, in its own order."""
    found = getattr(module, "__all__", None) or [
        name for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__ and callable(thing)]
    mine = [name for name in found if callable(getattr(module, name))]
    return [name for name in mine if module is vfu or getattr(vfu, name, None) is not getattr(module, name)]


KNOWN = {f"vfu.{name}" for name in names(vfu)} | {
    f"{module.__name__}.{name}" for module, _ in MODULES.values() for name in names(module)}


def link(found: re.Match) -> str:
    if found["code"]:
        return f"``{found['code']}``"
    if found["erratum"]:
        return erratum_link(found[0], found["erratum"])
    name = found["dotted"] or f"vfu.{found['camel']}"
    if name in KNOWN:
        return f":py:obj:`{found[0]} <{name}>`"
    return f"``{found[0]}``" if found["dotted"] else found[0]


def words(text: str) -> str:
    return linked(text, WORD, link)


def literal(text: str) -> list[str]:
    try:
        compile(text, "docstring", "exec")
        kind = ".. code-block:: python"
    except SyntaxError:
        kind = ".. code-block:: pycon" if text.startswith(">>>") else "::"
    return [kind, "", *textwrap.indent(text, "    ").split("\n"), ""]


def paragraph(lines: list[str]) -> list[str]:
    if len(lines) > 1 and re.fullmatch("-{3,}", lines[1]):
        return [f".. rubric:: {words(lines[0])}", "", *(paragraph(lines[2:]) if lines[2:] else [])]
    if lines[0].startswith("- "):
        return [words("\n".join(lines)), ""]
    if any(re.search(r"\S {2,}\S", line) for line in lines):
        return literal("\n".join(lines))
    out = list[str]()
    for number, line in enumerate(lines):
        before = lines[number - 1] if number else "."
        if re.search(r"\.\)?$", before) and len(before) + len(line.split()[0]) < 100:
            out.append("")  # it could have stood on the line before
        out.append(words(line))
    return [*out, ""]


def as_rest(text: str) -> list[str]:
    """Paragraphs; what is indented goes on over empty lines, and a paragraph may have some at its end."""
    out: list[str] = []
    for block in re.findall(r"(?:^ {2,}\S.*\n(?:\n*(?= ))?)+|(?:^\S.*\n)+", text.strip("\n") + "\n", re.M):
        block = block.rstrip("\n")
        out += literal(textwrap.dedent(block)) if block.startswith(" ") else paragraph(block.split("\n"))
    return out


def process(app, what, name, thing, options, lines):
    lines[:] = as_rest(inspect.cleandoc("\n".join(lines)))


def signature(app, what, name, thing, options, arguments, result):
    """How enumerations are made nobody wants to know."""
    return ("", None) if isinstance(thing, type) and issubclass(thing, enum.Enum) else None


def skip(app, what, name, thing, skipped, options):
    """Docstrings that nobody has written."""
    text = inspect.getdoc(thing) or ""
    if text.startswith("Alias for field") or isinstance(thing, enum.Enum):
        return True
    return None


def things(module: str, found: list[str]) -> str:
    out = ""
    for name in found:
        thing = getattr(vfu if module == "vfu" else __import__(module, fromlist=[name]), name)
        kind = "class" if isinstance(thing, type) else "function"
        out += f".. auto{kind}:: {module}.{name}\n" + ("   :members:\n" if kind == "class" else "") + "\n"
    return out


def write(app):
    """The pages. Things of the package are its own, whatever file they are in."""
    directory = Path(app.srcdir, "gen", "python")
    directory.mkdir(exist_ok=True)
    left, pages = list(names(vfu)), {}
    for page, (title, beginnings) in PAGES.items():
        mine = [name for name in left if getattr(vfu, name).__module__.startswith(beginnings)]
        left = [name for name in left if name not in mine]
        pages[page] = heading(title) + things("vfu", mine)
    assert not left, left
    for page, (module, title) in MODULES.items():
        about = f".. automodule:: {module.__name__}\n\n"
        pages[page] = heading(f"{module.__name__}: {title}") + about + things(module.__name__, names(module))
    pages["index"] = heading("Python") + ".. automodule:: vfu\n\n.. toctree::\n   :maxdepth: 1\n\n" + "".join(
        f"   {page}\n" for page in pages)
    for page, text in pages.items():
        (directory / f"{page}.rst").write_text(TOP.format("docstrings.py") + f".. _python-{page}:\n\n" + text)
    for module in [vfu, *(module for module, _ in MODULES.values())]:
        for name in names(module):
            getattr(module, name).__module__ = module.__name__


def setup(app):
    app.connect("builder-inited", write)
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}
