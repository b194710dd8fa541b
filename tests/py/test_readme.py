# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What README.md shows is what works."""

import os
import re
import subprocess
import sys
import time

TOP = os.path.join(os.path.dirname(__file__), "..", "..")


def read(*path):
    with open(os.path.join(TOP, *path)) as file:
        return file.read()


DEVICE, CLIENT, TESTS, MESSAGES = re.findall(r"```python\n(.*?)```", read("README.md"), re.S)


def test_device_is_the_example():
    assert read("python", "examples", "counter.py").endswith('"""\n\n' + DEVICE)


def test_client_drives_the_device(tmp_path):
    path = tmp_path / "counter.sock"
    (tmp_path / "device.py").write_text(DEVICE)
    (tmp_path / "client.py").write_text(CLIENT.replace("/tmp/counter.sock", str(path)))
    server = subprocess.Popen(
        [sys.executable, "-m", "vfu", "serve", tmp_path / "device.py", f"--socket-path={path}"]
    )
    try:
        deadline = time.monotonic() + 10
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        out = subprocess.run(
            [sys.executable, tmp_path / "client.py"], capture_output=True, text=True, timeout=30
        )
    finally:
        server.terminate()
    assert server.wait(10) == 0
    assert out.returncode == 0, out.stderr
    assert "0x1234" in out.stdout and "b'hello'" in out.stdout


def test_messages_of_ones_own(connect, capsys):
    names, (serving, calling) = {}, MESSAGES.split("\nprint")
    exec(DEVICE + serving, names)
    device = names["Answering"]()
    names["dev"] = dev = connect(device, irqs=False)
    dev.dma.alloc(4096, iova=0x8000_0000)[:5] = b"hello"
    exec("print" + calling, names)
    assert capsys.readouterr().out == "4 b'hello'\n"
    assert device.logged == [(0x8000_0000, 4096)]


def test_tests_of_a_device(tmp_path):
    """All but the guest, which tests/qemu boots."""
    (tmp_path / "counter.py").write_text(DEVICE)
    (tmp_path / "test_counter.py").write_text(TESTS)
    out = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not in_linux"], cwd=tmp_path,
        capture_output=True, text=True, timeout=120,
    )
    assert "2 passed, 1 deselected" in out.stdout, out.stdout
