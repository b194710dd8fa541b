# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The manual pages: troff has nothing to say against them, and they say what there is, no less and no more."""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import blocks
import pytest
from places import generated

from vfu.cli import commands_of, main, parser

sys.path += [str(blocks.TOP / "doc" / "make"), str(blocks.TOP / "python" / "packaging")]
import command_pages  # noqa: E402
import header  # noqa: E402

BUILD = Path(os.environ["abs_builddir"])
COMMANDS = commands_of(parser())
# In a tarball what is made of the spec is in the source directory.
PLACES = [blocks.TOP / "doc" / "gen", BUILD / "doc" / "gen", BUILD / "doc" / "gen" / "man3", BUILD / "python" / "packaging"]
FILES = {path.name: path for place in PLACES for path in sorted(place.glob("*.[137]"))}
LINKS = {name: path for name, path in FILES.items() if path.read_text().startswith(".so ")}
PAGES = {name: path for name, path in FILES.items() if name not in LINKS}

HEADER = (blocks.TOP / "libvfu" / "vfu.h").read_text()
FUNCTIONS = re.findall(r"\t\t(vfu_\w+);", (BUILD / "libvfu" / "libvfu.map").read_text())
TYPES = set(re.findall(r"^(?:struct|enum) (vfu_\w+)(?: \{|;)", HEADER, re.M) + re.findall(r"^typedef .*?(vfu_\w+)\(", HEADER, re.M))
FAMILIES = [name for name in PAGES if name.endswith(".3") and name != "libvfu.3"]


def plain(page):
    """Without what troff makes of words."""
    text = re.sub(r"\\f[BIRP]|\\&", "", page.read_text()).replace("\\ ", " ").replace("\\-", "-").replace("\\e", "\\")
    return re.sub(r"\\\((\w\w)", lambda sign: {"aq": "'", "ga": "`", "ti": "~", "ha": "^", "bu": "-"}[sign[1]], text)


def sections(page):
    return dict(re.findall(r"^\.SH (.*)\n((?:(?!\.SH ).*\n)*)", plain(page), re.M))


def names_of(page):
    """What man finds it by."""
    return sections(page)["NAME"].partition(" - ")[0].replace(",", " ").split()


# ---- troff ----


# Of other programs, which run without our sanitizer: theirs have a sandbox that knows nothing of it.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"} | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8"}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env=ENVIRONMENT)


def need(program):
    """Skips without it. The man of a container's image may say only that pages were left out of that."""
    if not shutil.which(program) or program == "man" and "libvfu" not in run("man", "-l", PAGES["libvfu.3"]).stdout:
        pytest.skip(f"there is no {program}")


def complaints(command, pages):
    """What a program says about them."""
    done = run(*command, *pages)
    return done.stderr + (done.stdout if "-z" in command or "-T" in command else "")


CHECKS = [["groff", "-ww", "-man", "-Tutf8", "-z"], ["man", "--warnings=all", "-l"], ["mandoc", "-T", "lint", "-W", "error"]]


@pytest.mark.parametrize("command", CHECKS, ids=lambda command: command[0])
def test_warnings(command):
    need(command[0])
    # man takes its time, and has troff say what groff has said already.
    some = ["vfu.1", "vfu-serve.1", "vfio-user.7", *FAMILIES[:1]] if command[0] == "man" else PAGES
    assert complaints(command, [PAGES[name] for name in some]) == ""


# ---- commands ----


def test_every_command_has_a_page():
    assert {f"vfu-{name}.1" for name in COMMANDS} | {"vfu.1"} == {name for name in PAGES if name.endswith(".1")}
    assert {name for name in COMMANDS if f"vfu-{name} (1)" not in sections(PAGES["vfu.1"])["COMMANDS"]} == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_page_of_a_command(name):
    """It has its options and no others, in whatever section, and stands beside pages that there are."""
    found = sections(PAGES[f"vfu-{name}.1"])
    assert names_of(PAGES[f"vfu-{name}.1"]) == [f"vfu-{name}"]
    options = {option for action in COMMANDS[name]._actions for option in action.option_strings} - {"-h", "--help"}
    heads = "\n".join(re.findall(r"^\.TP\n(.*)", found["OPTIONS"], re.M))
    assert set(re.findall(r"(?<![\w-])--?[a-z][\w-]*(?=,? |$)", heads, re.M)) == options
    assert {"DESCRIPTION", "SYNOPSIS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"} <= set(found)
    beside = re.findall(r"(vfu\S*) \(1\)", found["SEE ALSO"])
    assert beside and {f"{one}.1" for one in beside} <= set(PAGES)


def test_help_names_the_page():
    for name, one in COMMANDS.items():
        assert f"manual page:\n  man vfu-{name}\n" in one.format_help()
    assert "manual page:\n  man vfu\n" in parser().format_help()


def test_help_of_a_command(capsys):
    """vfu help COMMAND is vfu COMMAND --help."""
    shown = []
    for command in (["help", "info"], ["info", "--help"], ["help"], ["--help"]):
        with contextlib.suppress(SystemExit):
            assert main(command) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] and "usage: vfu info" in shown[0]
    assert shown[2] == shown[3] and "usage: vfu " in shown[2]


# ---- libvfu ----


def test_every_function_has_a_page():
    """By its own name, which is a family's page or leads there; and all that a page is found by is one of its functions."""
    assert FAMILIES
    for name in FUNCTIONS:
        path = FILES[f"{name}.3"]
        if path.name in LINKS:
            path = FILES[re.fullmatch(r"\.so man3/(.*)\n", path.read_text())[1]]
        assert name in names_of(path)
    named = sorted(name for family in FAMILIES for name in names_of(PAGES[family]) if f"{name}.3" != family or name in FUNCTIONS)
    assert named == sorted(FUNCTIONS)
    described = {f"{name}.3" for name in {*FUNCTIONS, *TYPES}}
    assert {name for name in FILES if name.endswith(".3")} == {"libvfu.3", *FAMILIES, *described}


def test_every_type_leads_to_where_it_is_described():
    assert {"vfu_region_info", "vfu_option", "vfu_log_fn"} <= TYPES
    for name in TYPES - set(FUNCTIONS):
        page = FILES[f"{name}.3"]
        if page.name in LINKS:
            page = FILES[re.fullmatch(r"\.so man3/(.*)\n", page.read_text())[1]]
        assert re.search(rf"\b{name}\b", page.read_text()), name


def test_man_finds_a_function(tmp_path):
    need("man")
    (tmp_path / "man3").symlink_to(BUILD / "doc" / "gen" / "man3")
    done = run("man", "-M", tmp_path, "vfu_client_dma_map")
    assert "int vfu_client_dma_map(struct vfu_client *cl, uint64_t iova," in done.stdout, done.stderr


def code(text):
    return " ".join(re.sub(r"/\*[\s\S]*?\*/", "", text).split())


@pytest.mark.parametrize("family", FAMILIES)
def test_synopsis(family):
    """It has the functions of its family, as the header declares them."""
    shown = re.findall(r"^\.HP\n(.*)", sections(PAGES[family])["SYNOPSIS"], re.M)
    assert all(f" {one}" in code(HEADER) for one in shown)
    assert [re.match(r".*?(\w+)\(", one)[1] for one in shown] == [name for name in names_of(PAGES[family]) if name in FUNCTIONS]


def words(text):
    """In which markup makes no difference."""
    return " ".join(re.sub(r"^\.\S.*$", "", text, flags=re.M).replace("()", "").replace("- ", "").split())


def test_nothing_of_the_header_is_lost():
    """Each paragraph of a comment stands in a page, whole."""
    said = words("\n".join(plain(PAGES[name]) for name in ("libvfu.3", *FAMILIES)))
    about, parts = header.sections(HEADER)
    comments = [comment for part in parts for item in part.items
                for comment in (item.comment, *(member.comment for one in item.declarations for member in one.members))]
    assert len(comments) > 300
    for comment in (about.partition("\n\n")[2].partition("\n\n")[2], *comments):
        for paragraph in header.blocks(comment):
            assert words(paragraph) in said, paragraph


def test_errors_are_of_the_header():
    """What a page lists as an error the comments of its functions name, and it lists all of them."""
    for part in header.sections(HEADER)[1]:
        items = [(item, [one.name for one in item.declarations if one.kind == "function"]) for item in part.items]
        said = {code for item, about in items if about for code in re.findall(r"(?<![\w-])-E[A-Z0-9]{2,}\b", item.comment)}
        (family,) = {name for name in FAMILIES if items_of(items) & set(names_of(PAGES[name]))}
        assert set(re.findall(r"^(-E\w+)$", sections(PAGES[family]).get("ERRORS", ""), re.M)) == said, family


def items_of(items):
    return {name for _, about in items for name in about}


# ---- vfio-user ----

MODEL = json.loads(Path(generated("doc", "gen", "vfio-user.json")).read_text())


def size_of(field):
    return int(field["type"][1:]) // 8


def test_page_of_the_protocol():
    """Each message with its number, its fields at their places and its errors, and nothing else."""
    shown = sections(PAGES["vfio-user.7"])
    found = re.findall(r"^\.SS (\w+) \((\d+)\)\n((?:(?!\.SS ).*\n)*)", shown["MESSAGES"], re.M)
    assert [(name.lower(), int(number)) for name, number, _ in found] == [(one["name"], one["id"]) for one in MODEL["messages"]]
    for message, (_, _, text) in zip(MODEL["messages"], found):
        wanted = [(field["offset"], size_of(field), field["name"]) for part in (message["request"], message["reply"])
                  for layout in (part, *part.get("alternatives", ())) for field in layout["fields"]]
        assert [(int(at), int(size), name) for at, size, name in re.findall(r"^(\d+):(\d+) (\w+)", text, re.M)] == wanted
        assert set(re.findall(r"^\.TP\n(E[A-Z]+)$", text, re.M)) == set(message["errors"])
        assert re.search(rf"^ *{message['id']}  {message['name'].upper()} +{message['from']} ", shown["COMMANDS"], re.M)


def test_numbers_of_the_protocol():
    text = sections(PAGES["vfio-user.7"])["FLAGS AND VALUES"]
    wanted = {(hex(one["mask"]), one["name"]) for flags in MODEL["flags"] for one in flags["members"]}
    assert set(re.findall(r"^(0x\w+) (\w+)", text, re.M)) == wanted
    keys = re.findall(r"^\.TP\n(?:\w+\.)*(\w+)", sections(PAGES["vfio-user.7"])["CAPABILITIES"], re.M)
    assert sorted(keys) == sorted(key["name"] for key in MODEL["capabilities"])


def test_pages_are_not_painted(monkeypatch):
    """argparse of Python 3.14 paints, unless it is told not to; older ones do so here."""
    as_it_is = argparse.HelpFormatter.format_help

    def paints(formatter):
        said = as_it_is(formatter)
        return said if os.environ.get("PYTHON_COLORS") == "0" else f"\x1b[1;34m{said}\x1b[0m"

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("PYTHON_COLORS", "1")
    if sys.version_info < (3, 14):
        monkeypatch.setattr(argparse.HelpFormatter, "format_help", paints)
    assert "\x1b" in parser().format_usage()
    assert [name for name, page in command_pages.pages().items() if "\x1b" in repr(page) or "\\x1b" in repr(page)] == []
    assert [name for name, page in PAGES.items() if "\x1b" in page.read_text()] == []
