# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Who the client is, and devices that do not take everybody."""

import contextlib
import gc
import os
import socket
import subprocess
import sys
import threading

import pytest

import vfu
import vfu.testing

ME = os.getpid(), os.getuid(), os.getgid()


class Choosy(vfu.Device):
    vendor_id = 0x1234
    bar0 = vfu.Bar(size=16)
    value = bar0.reg32(0)

    def __init__(self, *refusals):
        super().__init__()
        self.refusals, self.seen, self.connected = list(refusals), [], []

    def on_accept(self, peer):
        self.seen.append(peer)
        with pytest.raises(vfu.Disconnected):
            self.peer  # noqa: B018
        if self.refusals:
            raise self.refusals.pop(0)

    def on_connect(self):
        self.connected.append(self.peer)

    def on_disconnect(self):
        self.connected.append(self.peer)  # who has gone


def test_who_the_client_is(tmp_path):
    device = Choosy()
    with vfu.Server(device, tmp_path / "s").start(), vfu.Client(tmp_path / "s"):
        assert device.peer == device.seen[0] == device.connected[0] == ME
        assert device.peer.pid == os.getpid() and device.peer.uid == os.getuid() and device.peer.gid == os.getgid()
    assert device.connected == [ME, ME]
    with pytest.raises(vfu.Disconnected):
        device.peer  # noqa: B018


def test_a_client_in_another_process(tmp_path):
    device = Choosy()
    script = "import sys, vfu\nwith vfu.Client(sys.argv[1]) as dev: print(dev.config.vendor_id)"
    with vfu.Server(device, tmp_path / "s").start():
        client = subprocess.Popen([sys.executable, "-c", script, tmp_path / "s"], stdout=subprocess.PIPE)
        with client:
            assert client.communicate(timeout=60)[0] == b"4660\n"
    assert device.seen == [(client.pid, *ME[1:])]


@pytest.mark.parametrize("refusal, said", [
    (PermissionError("users of the lab only"), "users of the lab only"),
    (PermissionError(13, "not here"), "not here"),
    (OSError(), "OSError"),
])
def test_refused_with_a_reason(tmp_path, caplog, refusal, said):
    device = Choosy(refusal)
    with vfu.Server(device, tmp_path / "s").start():
        with pytest.raises(vfu.Disconnected) as caught:
            vfu.Client(tmp_path / "s")
        assert "one client at a time, and may refuse some" in str(caught.value)
        assert device.connected == []
        assert f"client refused: process {ME[0]} of user {ME[1]}, group {ME[2]}: {said}" in caplog.text
        assert "Traceback" not in caplog.text
        with vfu.Client(tmp_path / "s") as dev:
            dev.regions.bar0.write32(0, 7)
    assert device.value == 7 and len(device.seen) == 2


def test_an_end_and_no_error(tmp_path):
    """What it has sent is not read, and yet it sees the end of the stream."""
    device = Choosy(PermissionError("no"))
    with socket.socket(socket.AF_UNIX) as sock, vfu.Server(device, tmp_path / "s") as server:
        sock.connect(str(tmp_path / "s"))
        sock.sendall(bytes(16))
        with server.start():
            assert sock.recv(1) == b""


def test_what_fails_refuses(tmp_path, caplog):
    device = Choosy(ValueError("of the hook's own"))
    with vfu.Server(device, tmp_path / "s").start():
        with pytest.raises(vfu.Disconnected):
            vfu.Client(tmp_path / "s")
        assert "Choosy.on_accept: ValueError: of the hook's own" in caplog.text
        with vfu.Client(tmp_path / "s"):
            pass


@pytest.mark.parametrize("result", [False, True, 0, "no"])
def test_what_is_no_answer_refuses(tmp_path, caplog, result):
    device = type("Odd", (vfu.Device,), {"on_accept": lambda self, peer: result})()
    with vfu.Server(device, tmp_path / "s").start(), pytest.raises(vfu.Disconnected):
        vfu.Client(tmp_path / "s")
    assert f"refuses by raising an OSError; it returned {result!r}" in caplog.text


def test_no_coroutine(tmp_path, caplog, recwarn):
    async def on_accept(self, peer):
        pass

    device = type("Wrong", (vfu.Device,), {"on_accept": on_accept})()
    with vfu.Server(device, tmp_path / "s").start(), pytest.raises(vfu.Disconnected):
        vfu.Client(tmp_path / "s")
    gc.collect()
    assert "on_accept() can not be a coroutine" in caplog.text and not recwarn.list


def test_a_socket_that_is_passed():
    """The caller is told."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(vfu.Denied, match="the device refuses the client: nobody"):
            vfu.Server(Choosy(PermissionError("nobody")), fd=theirs)
        theirs.close()
        assert ours.recv(1) == b""


def test_tests_of_devices():
    device = Choosy()
    with vfu.testing.plug(device):
        assert device.peer == ME


def test_asked_from_other_threads(tmp_path):
    """While clients come and go: a Peer, or Disconnected."""
    device, ended, odd = Choosy(), threading.Event(), []

    def ask():
        while not ended.is_set():
            with contextlib.suppress(vfu.Disconnected):
                odd.extend({device.peer} - {ME})

    thread = threading.Thread(target=ask)
    with vfu.Server(device, tmp_path / "s").start():
        thread.start()
        for _ in range(50):
            vfu.Client(tmp_path / "s").close()
        ended.set()
        thread.join()
    assert not odd


def test_of_vfu_serve(tmp_path):
    (tmp_path / "closed.py").write_text(
        "import vfu\nclass Closed(vfu.Device):\n"
        "    def on_accept(self, peer):\n        raise PermissionError(f'user {peer.uid} is not known here')\n"
    )
    command = [sys.executable, "-m", "vfu", "serve", tmp_path / "closed.py", f"--socket-path={tmp_path / 's'}"]
    ours, theirs = os.pipe()
    with open(ours) as word, subprocess.Popen(
        [*command, f"--ready-fd={theirs}"], pass_fds=[theirs], stderr=subprocess.PIPE, text=True
    ) as server:
        os.close(theirs)
        assert word.read() == "ready\n"
        with pytest.raises(vfu.Disconnected):
            vfu.Client(tmp_path / "s")
        server.terminate()
        assert f"user {ME[1]} is not known here" in server.communicate(timeout=60)[1]
        assert server.returncode == 0
