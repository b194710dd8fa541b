# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What the commands say of themselves: help, whose examples are run; manual pages; what bash completes."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap

import blocks
import pytest

from vfu.cli import commands_of, connection, parser
from vfu.protocol import DmaMapRequest, Header

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python", "examples")
PAGES = os.path.join("python", "packaging")  # make check runs in the build directory
COMMANDS = commands_of(parser())


def examples(name):
    """The commands of the examples in a command's help."""
    section = COMMANDS[name].epilog.partition("examples:\n")[2].partition("\n\n")[0]
    return blocks.Block("", 0, name, "shell", textwrap.dedent(section)).commands


@pytest.fixture
def reader(tmp_path):
    """Who tries them, in a directory with the devices that they name."""
    with blocks.Session(tmp_path / "reader") as session:
        session.directory = tmp_path
        for file in ("counter.py", "edu.py"):
            shutil.copy(os.path.join(EXAMPLES, file), tmp_path)
        message = Header(id=1, command=2, size=48).pack() + DmaMapRequest(argsz=32, flags=3, size=4096).pack()
        (tmp_path / "dump.bin").write_bytes(message)
        yield session


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_examples_of_the_help(reader, name):
    lines = examples(name)
    assert lines and any(line.startswith(f"vfu {name} ") for line in lines)
    for line in lines:
        if name == "guest":  # tests/qemu boots such
            parser().parse_args(shlex.split(line.partition(" <<<")[0])[1:])
        elif shutil.which("xxd") or not line.startswith("xxd "):
            reader.run(line)


def test_help_fits():
    for name, command in COMMANDS.items():
        assert command.description.endswith("."), name
        assert [line for line in command.epilog.split("\n") if len(line) > 121] == [], name


# ---- manual pages ----


def page(name):
    with open(os.path.join(PAGES, f"{name}.1"), encoding="ascii") as file:
        return file.read()


def test_each_command_has_a_page():
    pages = {name for name in os.listdir(PAGES) if name.endswith(".1")}
    assert pages == {"vfu.1", *(f"vfu-{name}.1" for name in COMMANDS)}
    for name, command in COMMANDS.items():
        text = page(f"vfu-{name}")
        assert f".BR vfu\\-{name} (1)" in page("vfu")
        for line in examples(name):
            assert line.split()[1] in text
        for action in command._actions:
            for option in action.option_strings if action.dest != "help" else ():
                assert "\\fB" + option.replace("-", "\\-") in text, (name, option)
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "SEE ALSO"):
            assert f".SH {section}\n" in text, (name, section)


def test_pages_are_well_formed():
    if not shutil.which("man"):
        pytest.skip("needs man (Debian: man-db)")
    for name in ("vfu", *(f"vfu-{name}" for name in COMMANDS)):
        command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", os.path.join(PAGES, f"{name}.1")]
        env = dict(os.environ, MANROFFSEQ="", MANWIDTH="80", LC_ALL="C.UTF-8")
        end = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, timeout=60)
        assert (end.returncode, end.stderr) == (0, ""), name


# ---- completion ----


def test_completes_names():
    given = argparse.Namespace(device=os.path.join(EXAMPLES, "counter.py"))
    assert {"ticks", "done", "config.command", "bar0+0x"} <= set(connection.complete_places(given))
    assert {"ticks=", "config.command=", "bar0+0x"} <= set(connection.complete_assignments(given))
    assert {"ticks=", "msix", "intx"} <= set(connection.complete_events(given))
    for file in (None, "nowhere.py", __file__):
        names = connection.complete_places(argparse.Namespace(device=file))
        assert "config.command" in names and "ticks" not in names


def test_bash_is_answered():
    pytest.importorskip("argcomplete", reason="needs argcomplete (Debian: python3-argcomplete)")
    line = f"vfu read --device {EXAMPLES}/counter.py /tmp/x.sock ti"
    env = dict(os.environ, _ARGCOMPLETE="1", COMP_LINE=line, COMP_POINT=str(len(line)), _ARGCOMPLETE_IFS="\n")
    end = subprocess.run(["bash", "-c", f"{shlex.quote(sys.executable)} -m vfu 8>&1 9>/dev/null"], env=env,
                         stdout=subprocess.PIPE, text=True, timeout=60)
    assert end.stdout.split() == ["ticks"]
