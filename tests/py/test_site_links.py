# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""tests/lint/links finds what a site lacks, and what it would fetch."""

import subprocess
import sys

import blocks
import pytest

LINKS = blocks.TOP / "tests" / "lint" / "links"
GOOD = """<html><head><link rel="stylesheet" href="a.css"><style>p { background: url(b.svg) }</style></head>
<body><h1 id="top">T</h1><a href="#top"></a><a href="b/c.html#there">c</a><a href="https://example.org/">out</a>
<a href="b.svg#shape">s</a><img src="b.svg"><img src="data:image/png;base64,AA"><script>"<a href='no'>"</script></body></html>"""


def check(directory, *options):
    return subprocess.run([sys.executable, LINKS, *options, directory], capture_output=True, text=True)


def site(directory, extra=""):
    (directory / "b").mkdir()
    (directory / "index.html").write_text(GOOD + extra)
    (directory / "a.css").write_text("/* url(http://none) */ p { background: url('b.svg') }")
    (directory / "b.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><g id="shape"/><a xlink:href="index.html"/></svg>')
    (directory / "b" / "c.html").write_text('<a name="there" href="../index.html">up</a>')


def test_good(tmp_path):
    site(tmp_path)
    found = check(tmp_path, "--external")
    assert (found.returncode, found.stdout, found.stderr) == (0, "https://example.org/\n", "")


@pytest.mark.parametrize("extra, fault", [
    ('<a href="none.html">', "none.html is not there"),
    ('<a href="b/c.html#none">', "b/c.html#none has no such anchor"),
    ('<a href="#none">', "#none has no such anchor"),
    ('<a href="b.svg#none">', "b.svg#none has no such anchor"),
    ('<a href="b">', "b is not there"),
    ('<a href="/etc/passwd">', "/etc/passwd is not there"),
    ('<a href="../../etc/passwd">', "../../etc/passwd is not there"),
    ('<script src="https://example.org/x.js"></script>', "loads https://example.org/x.js"),
    ('<script src="//example.org/x.js"></script>', "loads //example.org/x.js"),
    ('<link rel="preload" href="http://example.org/f">', "loads http://example.org/f"),
    ('<img srcset="b.svg, none.png 2x">', "none.png is not there"),
    ('<style>@import "http://example.org/y.css";</style>', "loads http://example.org/y.css"),
    ('<p style="background: url(http://example.org/z)">', "loads http://example.org/z"),
])
def test_fault(tmp_path, extra, fault):
    site(tmp_path, extra)
    found = check(tmp_path)
    assert found.returncode == 1
    assert found.stderr.startswith(f"index.html: {fault}") and found.stderr.count("\n") == 1


MADE = '<meta name="anchors" content="more below these"><section id="message/reset"><a href="index.html#{}"></a></section>'


def test_anchors_that_a_script_makes(tmp_path):
    """Are below those of the page; where it leads, and what leads to it, is looked at."""
    links = "".join(f'<a href="made.html#{to}"></a>' for to in ("message/reset", "message/reset/request/x", "", "message/none", "message", "message/resets"))
    site(tmp_path, links)
    (tmp_path / "made.html").write_text(MADE.format("none"))
    assert check(tmp_path).stderr.splitlines() == [
        *(f"index.html: made.html#{to} has no such anchor" for to in ("message/none", "message", "message/resets")),
        "made.html: index.html#none has no such anchor"]


def test_style_sheet(tmp_path):
    site(tmp_path)
    (tmp_path / "a.css").write_text("@import url(/javascript/normalize.css);")
    assert check(tmp_path).stderr == "a.css: /javascript/normalize.css is not there\n"


def test_nothing(tmp_path):
    assert check(tmp_path).returncode == 1
