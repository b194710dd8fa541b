# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Servers that come late."""

import contextlib
import subprocess
import sys
import threading

import pytest

import vfu


class Device(vfu.Device):
    vendor_id = 0x1234
    bar0 = vfu.Bar(size=4096)
    value = bar0.reg32(0)


@contextlib.contextmanager
def later(path):
    """A server that is there in a moment."""
    servers = []
    timer = threading.Timer(0.05, lambda: servers.append(vfu.Server(Device(), path).start()))
    timer.start()
    yield
    timer.join()
    servers.pop().close()


def test_wait_for_a_server(tmp_path):
    path = tmp_path / "s"
    with later(path), vfu.Client(path, wait=60) as dev:
        assert dev.config.vendor_id == 0x1234


def test_wait_for_a_turn(tmp_path):
    """The server has a client, which goes."""
    path = tmp_path / "s"
    with vfu.Server(Device(), path).start():
        first = vfu.Client(path)
        with pytest.raises(vfu.Disconnected):
            vfu.Client(path)
        going = threading.Timer(0.05, first.close)
        going.start()
        with vfu.Client(path, wait=60) as second:
            assert second.config.vendor_id == 0x1234
        going.join()


def test_wait_in_vain(tmp_path):
    with pytest.raises(vfu.NotFound):
        vfu.Client(tmp_path / "s", wait=0.05)
    with pytest.raises(ValueError, match="timeout"):
        vfu.Client(tmp_path / "s", wait=-1)


@pytest.mark.parametrize("command", [["info"], ["read", "config.vendor_id"], ["wait", "config.vendor_id=0x1234"]])
def test_wait_of_commands(tmp_path, command):
    path = tmp_path / "s"
    argv = [sys.executable, "-m", "vfu", command[0], str(path), "--wait", "60", *command[1:]]
    with later(path):
        assert b"1234" in subprocess.run(argv, check=True, timeout=100, stdout=subprocess.PIPE).stdout
