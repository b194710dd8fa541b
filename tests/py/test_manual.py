# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The manual pages: troff has nothing to say against them, and they say what there is, no less and no more."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vfu.cli import commands_of, parser

BUILD = Path(os.environ["abs_builddir"])
COMMANDS = commands_of(parser())
PAGES = {path.name: path for path in sorted((BUILD / "python" / "packaging").glob("*.1"))}


def plain(page):
    """Without what troff makes of words."""
    text = re.sub(r"\\f[BIRP]|\\&", "", page.read_text())
    return re.sub(r"\\\((\w\w)", lambda sign: {"aq": "'", "ga": "`", "ti": "~", "ha": "^"}[sign[1]], text).replace("\\-", "-")


def sections(page):
    return dict(re.findall(r"^\.SH (.*)\n((?:(?!\.SH ).*\n)*)", plain(page), re.M))


def names_of(page):
    """What man finds it by."""
    return sections(page)["NAME"].partition(" - ")[0].replace(",", " ").split()


# ---- troff ----


def complaints(command, pages):
    """What a program says about them."""
    done = subprocess.run([*command, *map(str, pages)], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, MANWIDTH="80", LC_ALL="C.UTF-8"))  # fmt: skip
    return done.stderr + (done.stdout if "-z" in command or "-T" in command else "")


CHECKS = [["groff", "-ww", "-man", "-Tutf8", "-z"], ["man", "--warnings=all", "-l"], ["mandoc", "-T", "lint", "-W", "error"]]


@pytest.mark.parametrize("command", CHECKS, ids=lambda command: command[0])
def test_warnings(command):
    if not shutil.which(command[0]):
        pytest.skip(f"there is no {command[0]}")
    assert complaints(command, PAGES.values()) == ""


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


def test_help_of_a_command():
    """vfu help COMMAND is vfu COMMAND --help."""
    shown = [subprocess.run([sys.executable, "-m", "vfu", *words], capture_output=True, text=True, timeout=60).stdout
             for words in (("help", "info"), ("info", "--help"), ("help",), ("--help",))]
    assert shown[0] == shown[1] and "usage: vfu info" in shown[0]
    assert shown[2] == shown[3] and "usage: vfu " in shown[2]
