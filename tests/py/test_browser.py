# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""browser.py says what is wrong with a browser, and leaves no process behind when one does not come up."""

import os
from pathlib import Path

import pytest

import browser
from browser import Browser, complaint


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("text, words", [
    ("echo Chromium 1.0", None),
    ("exec /snap/bin/chromium", "is a snap's"),
    ("echo 'no display' >&2; exit 1", "does not run: no display"),
])
def test_complaints(tmp_path, monkeypatch, text, words):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    path = script(tmp_path / "some-browser", text)
    told = complaint("some-browser")
    assert told is None if words is None else told.startswith(str(path)) and words in told
    assert complaint("no-such-browser") == "there is no no-such-browser"


def test_a_link_to_snap(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    script(tmp_path / "snap", "")
    (tmp_path / "chromium").symlink_to("snap")
    assert "is a snap's" in complaint("chromium")


def test_what_is_lacking_skips(monkeypatch):
    monkeypatch.setattr(browser, "CHROMIUM", "no-such-browser")
    with pytest.raises(pytest.skip.Exception, match=r"needs a browser .*there is no no-such-browser.*; no site"):
        browser.need("no site")


needs_driver = pytest.mark.skipif(complaint(browser.DRIVER) is not None, reason=str(complaint(browser.DRIVER)))


def is_running(path):
    """Does a process run that has written its number there?"""
    try:
        return Path("/proc", path.read_text().strip(), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@needs_driver
@pytest.mark.parametrize("text, error, wait", [
    ("echo $$ >'{0}'; exit 1", AssertionError, browser.WAIT),
    ("echo $$ >'{0}'; sleep 1000 & echo $! >'{1}'; wait", TimeoutError, 10),
])
def test_a_browser_that_does_not_come_up(tmp_path, text, error, wait):
    """One that ends, and one that hangs, with a process below it."""
    numbers = tmp_path / "itself", tmp_path / "below"
    with pytest.raises(error):
        Browser(tmp_path, script(tmp_path / "browser", text.format(*numbers)), wait)
    assert numbers[0].exists()
    assert not any(map(is_running, numbers))
