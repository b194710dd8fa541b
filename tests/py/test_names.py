# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Names of sockets are names of files: any bytes, any length, and may be cut in a message."""

import os
import subprocess
import sys

import pytest

import vfu


class Device(vfu.Device):
    vendor_id = 0x1234
    bar0 = vfu.Bar(size=4096)


NAMES = {
    "plain": "sock",
    "no UTF-8": os.fsdecode(b"\xff.sock"),
    "as bytes": b"\xff\xfe",
    "as long as an address": "n",  # made longer below
    "longer": "n" * 200,
}


@pytest.fixture(params=NAMES)
def path(request, tmp_path):
    name = NAMES[request.param]
    if isinstance(name, bytes):
        return os.path.join(os.fsencode(tmp_path), name)
    if request.param == "as long as an address":
        name = name * (106 - len(str(tmp_path)))
    return tmp_path / name


def test_served_and_found(path):
    with vfu.Server(Device(), path).start(), vfu.Client(path) as dev:
        assert dev.config.vendor_id == 0x1234
    assert not os.path.exists(path)
    assert os.listdir(os.path.dirname(path)) == []


def test_told(path):
    with pytest.raises(vfu.NotFound) as caught:
        vfu.Client(path)
    assert "cannot connect" in str(caught.value)
    with vfu.Server(Device(), path), pytest.raises(vfu.Error, match="cannot listen"):
        vfu.Server(Device(), path)


def test_cut_in_the_middle(tmp_path):
    """Of two bytes one has room."""
    for shift in range(2):
        with pytest.raises(vfu.NotFound, match="cannot connect"):
            vfu.Client(tmp_path / ("x" * shift + "\u00e9" * 100))


def test_no_name():
    with pytest.raises(vfu.Error, match="empty"):
        vfu.Client("")
    with pytest.raises(ValueError):
        vfu.Client("a\0b")
    with pytest.raises(TypeError):
        vfu.Client(7.5)


def test_commands(path, tmp_path):
    """Names of the command line, and in what is printed."""
    with vfu.Server(Device(), path).start():
        command = [sys.executable, "-m", "vfu", "info", path]
        assert b"1234:" in subprocess.run(command, check=True, capture_output=True).stdout
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 1 and b"cannot connect" in done.stderr and b"Traceback" not in done.stderr
