# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""doc/reference/limits.md has all limits of the code, and each has a test that exists."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "doc" / "reference" / "limits.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| ")][1:]
# What a number that bounds something is called.
NAME = r"\w*(?:MAX|LIMIT|KEPT|DEPTH|MARKS|BURST|KINDS)\w*"


def code():
    return [path for path in sorted((ROOT / "libvfu").glob("*/*.[ch]")) if path.parent.name != "gen"]


def constants():
    for path in code():
        text = path.read_text()
        yield from re.findall(rf"^#define[ \t]+({NAME})[ \t]+\S", text, re.M)
        for members in re.findall(r"enum(?:\s+\w+)?\s*\{([^}]*)\}", text):
            yield from re.findall(rf"\b({NAME})\s*=", members)


def options():
    members = re.search(r"enum vfu_option \{(.*?)\n\};", (ROOT / "libvfu" / "vfu.h").read_text(), re.S).group(1)
    return re.findall(r"^\s*(VFU_OPT_\w+)", members, re.M)


def bounds_of_python():
    return re.findall(r"^    (max_\w+): int = ", (ROOT / "python" / "vfu" / "device.py").read_text(), re.M)


def test_no_limit_is_missing():
    """A new one gets a row, with its test; or a word, if it is none of what the other end can do."""
    found = {*constants(), *options(), *bounds_of_python()}
    assert len(found) > 30 and {"VFUI_FDS_MAX", "VECTORS_MAX", "VFU_OPT_QUEUE_BYTES", "max_writers"} <= found
    assert sorted(name for name in found if f"`{name}`" not in TEXT) == []


def test_no_limit_is_gone():
    sources = "".join(path.read_text() for path in [*code(), ROOT / "libvfu" / "vfu.h", ROOT / "python" / "vfu" / "device.py"])
    for name in re.findall(r"`([A-Z]\w*_\w+|max_\w+)`", TEXT):
        assert re.search(rf"\b{name}\b", sources), f"{name} is not in the code any more"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_has_its_test(row):
    assert len(row) == 4
    tests = re.findall(r"`([\w/.-]+)` (\w+)", row[3])
    assert tests
    for file, name in tests:
        path = ROOT / "tests" / (file if file.startswith("py/") else f"unit/{file}")
        text = path.read_text()
        if path.suffix == ".py":
            assert re.search(rf"^def {name}\(", text, re.M)
        else:  # written, and run
            assert f"START_TEST({name})" in text and re.search(rf"(?:ADD|_test)\([^)]*\b{name}\b", text)
