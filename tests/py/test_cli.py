# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The command vfu, and the examples."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

import vfu
from vfu.cli import commands_of, parser

EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "..", "python", "examples")
COUNTER = os.path.join(EXAMPLES, "counter.py")
VFU = [sys.executable, "-m", "vfu"]


def run(*args, **kwargs):
    return subprocess.run([*VFU, *map(str, args)], capture_output=True, text=True, timeout=60, **kwargs)


@pytest.fixture
def backend(tmp_path):
    """backend(file, ...) -> (process, path): a served example."""
    started = []

    def start(file, *args):
        path = tmp_path / "dev.sock"
        process = subprocess.Popen([*VFU, "serve", file, f"--socket-path={path}", *args])
        started.append(process)
        deadline = time.monotonic() + 30
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return process, path

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("example", ["counter.py", "gpio.py", "serial.py"])
@pytest.mark.parametrize("connected", [False, True])
def test_serve_ends_with_a_signal(backend, example, number, connected):
    process, path = backend(os.path.join(EXAMPLES, example))
    dev = vfu.Client(path) if connected else None
    process.send_signal(number)
    assert process.wait(30) == 0
    assert not path.exists()
    if dev:
        dev.close()


def test_serve_inherited_descriptor():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen([*VFU, "serve", COUNTER, f"--fd={theirs.fileno()}"], pass_fds=[theirs.fileno()])
        theirs.close()
        with vfu.Client(fd=ours) as dev:
            assert dev.config.vendor_id == 0x1234
        ours.close()
        assert process.wait(30) == 0


def shown_by(use, path, *words):
    """What a server that is told these words says on standard error, while use(path) runs."""
    with open(f"{path}.log", "w+") as log:
        process = subprocess.Popen([*VFU, "serve", COUNTER, f"--socket-path={path}", *words], stderr=log)
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        use(path)
        process.terminate()
        assert process.wait(30) == 0
        log.seek(0)
        return log.read()


def read_and_fail(path):
    with vfu.Client(path, irqs=False) as dev:
        assert dev.regions.bar0.read32(0) == 0
        with pytest.raises(vfu.Error):
            dev.regions.bar0.read32(0x1000)


def test_serve_shows_messages(tmp_path):
    text = shown_by(read_and_fail, tmp_path / "dev.sock", "--log-level=debug")
    for line in (
        r"got region_read\(9\) command id=\d+, 32 bytes: offset=0x?0 region=bar0 count=4",
        r"sent region_read\(9\) reply id=\d+, 36 bytes: offset=0x?0 region=bar0 count=4",
        r"sent region_read\(9\) reply id=\d+, 16 bytes, error 22",
        r"region_read\(9\) id=\d+ failed",
        r"got get_info\(4\) command .*argsz=16",
    ):
        assert re.search(line, text), f"{line} not in {text}"
    assert "TRACE" not in text


def test_serve_shows_bytes(tmp_path):
    text = shown_by(read_and_fail, tmp_path / "dev.sock", "--log-level=trace")
    assert re.search(r"TRACE: region_read\(9\) id=\d+ 0000: .. .. 09 00 20 00 00 00 00 00 00 00 00 00 00 00 \|", text), text
    assert re.search(r"DEBUG: got region_read\(9\)", text)
    assert "got" not in shown_by(read_and_fail, tmp_path / "dev.sock", "--log-level=debug", "--option=trace=0")


def test_all_commands_have_a_log_level(backend):
    for name, command in commands_of(parser()).items():
        (option,) = [action for action in command._actions if "--log-level" in action.option_strings]
        assert {"none", "debug", "trace"} <= set(option.choices), name
    _, path = backend(COUNTER)
    said = {level: run("info", path, f"--log-level={level}") for level in ("none", "debug", "trace")}
    assert said["none"].stderr == "" and said["debug"].stdout == said["none"].stdout
    assert "DEBUG: sent get_info(4) command id=" in said["debug"].stderr and "TRACE" not in said["debug"].stderr
    assert "TRACE: get_info(4) id=" in said["trace"].stderr


def test_serve_enforces_bus_mastering(backend):
    _, path = backend(COUNTER)
    with vfu.Client(path, bus_master=False) as dev:
        ram = dev.dma.alloc(4096)
        dev.regions.bar0.write32(4, ram.iova)
        assert dev.irqs.msix[0].wait(timeout=0.1) == 0
        assert ram[:5] == bytes(5)


def test_serve_says_capabilities(backend):
    _, path = backend(COUNTER, "--capability=max_msg_fds=8", "--capability=write_multiple=false")
    with vfu.Client(path, irqs=False) as dev:
        assert dev.agreed["max_msg_fds"] == 8 and not dev.agreed["write_multiple"]


def test_serve_complains(tmp_path):
    sock = f"--socket-path={tmp_path / 's'}"

    def complaint(*args):
        result = run("serve", *args)
        assert result.returncode != 0 and "Traceback" not in result.stderr
        return result.stderr

    def file(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    assert "there is no file" in complaint("nowhere.py", sock)
    assert "is a directory" in complaint(tmp_path, sock)
    assert "cannot be loaded: SyntaxError" in complaint(file("bad.py", "x ="), sock)
    assert "it has: none" in complaint(file("empty.py", "import vfu"), sock)
    two = file("two.py", "import vfu\nclass A(vfu.Device): pass\nclass B(vfu.Device): pass\n")
    assert "it has: A, B" in complaint(two, sock)
    assert "no device class C; it has: A, B" in complaint(f"{two}:C", sock)
    assert "it has: none" in complaint(file("a:b.py", "import vfu"), sock)  # a name with a colon
    wrong = file("wrong.py", "import vfu\nclass A(vfu.Device):\n  def __init__(self): raise KeyError('x')\n")
    assert "A cannot be made: KeyError: 'x' (wrong.py, line 3)" in complaint(wrong, sock)
    late = file("late.py", "import vfu\nclass A(vfu.Device):\n  def __init__(self): pass\n")
    assert "must call super().__init__()" in complaint(late, sock)
    late = file("late.py", "import vfu\nclass A(vfu.Device):\n  bar0 = vfu.Bar(64)\n  r = bar0.reg32(0)\n  def __init__(self): self.r = 1\n")
    assert "A.__init__() must call super().__init__() first (late.py, line 5)" in complaint(late, sock)
    name = file("name.py", "import vfu\n\nclass A(vfu.Device):\n  bar6 = vfu.Bar(4096)\n")
    assert "TypeError: A.bar6: a region is called bar0 to bar5, or rom (name.py, line 3)" in complaint(name, sock)
    assert "unknown profile 'x'; there are default, libvfio-user, one-at-a-time, strict" in complaint(COUNTER, sock, "--profile=x")
    assert "too long" in complaint(COUNTER, "--socket-path=" + "x" * 300)
    assert "is not NAME=VALUE" in complaint(COUNTER, sock, "--policy=x")
    assert "unknown policy 'x'; there are bitmap_range, bus_master," in complaint(COUNTER, sock, "--policy=x=y")
    assert "bus_master is ignore or enforce, not 'y'" in complaint(COUNTER, sock, "--policy=bus_master=y")
    assert "unknown option" in complaint(COUNTER, sock, "--option=x=1")
    assert "option queue_bytes is a number, not 'x'" in complaint(COUNTER, sock, "--option=queue_bytes=x")
    assert "capability pgsizes is a number, not 'x'" in complaint(COUNTER, sock, "--capability=pgsizes=x")
    assert "usage: vfu info" in run("info", "nowhere", "--jsn").stderr
    assert "unknown capability 'x'" in complaint(COUNTER, sock, "--capability=x=1")
    assert "max_msg_fds can not be True" in complaint(COUNTER, sock, "--capability=max_msg_fds=true")
    assert "max_msg_fds can not be 65: from 1 to 64" in complaint(COUNTER, sock, "--capability=max_msg_fds=65")
    assert "--socket-path" in complaint(COUNTER)
    assert "vfu serve:" in complaint(COUNTER, "--fd=99")


def test_serve_passes_arguments_on(tmp_path):
    file = tmp_path / "dev.py"
    file.write_text(
        "import vfu\nclass Dev(vfu.Device):\n"
        "  def __init__(self, count: int, *, period=0.5, loud=False, name: 'str' = '', size: int = 4):\n"
        "    super().__init__()\n    print(repr((count, period, loud, name, size)), flush=True)\n    raise KeyError\n"
    )
    sock = f"--socket-path={tmp_path / 's'}"

    def said(*args):
        result = run("serve", file, *args, sock)
        assert result.returncode != 0 and "Traceback" not in result.stderr
        return result.stdout + result.stderr

    assert "(3, 0.25, True, 'a=b', 16)\n" in said("count=3", "period=0.25", "loud=on", "name=a=b", "size=0x10")
    late = run("serve", file, "count=3", sock, "size=5", "--log-level=error", "loud=on")
    assert late.stdout == "(3, 0.5, True, '', 5)\n"
    assert "unrecognized arguments: more" in run("serve", file, sock, "count=3", "more").stderr
    assert "(-1, 2.0, False, '', 4)\n" in said("count=-1", "period=2", "loud=off", "name=")
    assert "Dev has no argument perod; it has: count, period, loud, name, size" in said("perod=1")
    assert "Dev: count must be an integer, not 'x'" in said("count=x")
    assert "Dev: period must be a number, not ''" in said("count=1", "period=")
    assert "Dev: loud must be on or off, not '2'" in said("count=1", "loud=2")
    assert "Dev wants, behind its file: count=VALUE" in said() and "count=VALUE" in said("loud=on")
    assert "'3' is not NAME=VALUE" in said("3")
    assert "Counter has no argument x; it has: none" in run("serve", COUNTER, "x=1", sock).stderr


def test_print_capabilities():
    for args in (["--print-capabilities"], ["serve", "--print-capabilities"]):
        said = json.loads(run(*args).stdout)
        assert said["type"] == "vfio-user"
        # The options besides those that the conventions ask of every backend.
        offered = set(re.findall(r"--([a-z-]+)", run("serve", "--help").stdout))
        assert set(said["features"]) == offered - {"socket-path", "fd", "help", "print-capabilities"}
        assert "policy" in said["features"]


def test_info(backend):
    _, path = backend(COUNTER)
    result = run("info", path, "--hex")
    assert result.returncode == 0, result.stderr
    for text in (
        "Unassigned class [ff0000]: 1234:0001",
        "MSI-X: 4 vectors, off, table in BAR 1 at 0x0, pending bits in BAR 1 at 0x800",
        "Region 0 bar0: 4 KiB, memory, 32-bit, read, write",
        "Region 7 config: 256 bytes",
        "Interrupt 2 msix: 4",
        "Interrupt pin: A",
        "000: 34 12 01 00",
    ):
        assert text in result.stdout, result.stdout


def test_info_of_extended_capabilities(backend):
    _, path = backend(os.path.join(EXAMPLES, "window.py"))
    said = run("info", path).stdout
    assert "Extended capability 0x100: Serial Number\n  Extended capability 0x10c: Vendor Specific\n" in said
    facts = json.loads(run("info", path, "--json").stdout)["pci"]["extended_capabilities"]
    assert facts[0] == {"id": 3, "version": 1, "offset": 0x100, "name": "Serial Number", "number": 0x0102030405060708}


@pytest.mark.parametrize("words", ["info PATH", "--help", "guest --help", "--version", "--print-capabilities"])
def test_nobody_reads_the_output(backend, words):
    path = backend(COUNTER)[1] if "PATH" in words else ""
    command = [*VFU, *words.replace("PATH", str(path)).split()]
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        result = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(theirs)
    assert (result.returncode, result.stderr) == (1, b"")
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert result.returncode == 1 and re.fullmatch(rb"vfu[ a-z]*: No space left on device\n", result.stderr)


def test_counter(backend):
    _, path = backend(COUNTER)
    with vfu.Client(path) as dev:
        ram = dev.dma.alloc(0x10_0000, iova=0x8000_0000)
        dev.regions.bar0.write32(4, 0x8000_0000)
        assert dev.irqs.msix[0].wait(timeout=30) == 1
        assert ram[:5] == b"hello"
        assert dev.regions.bar0.read32(8) == 1
        dev.regions.bar0.write32(8, 0)
        assert dev.regions.bar0.read32(8) == 1
        ram[:64] = b"\2" * 64
        dev.regions.bar0.write32(0x0C, 0x8000_0000)
        assert dev.irqs.msix[1].wait(timeout=30) == 1
        assert dev.regions.bar0.read32(0x10) == 128


def test_gpio(backend):
    _, path = backend(os.path.join(EXAMPLES, "gpio.py"))
    with vfu.Client(path) as dev:
        card = dev.regions.bar2
        card.write8(0, 0x5A)
        assert card.read(0, 2) == b"\x5a\x5a"
        assert dev.irqs.intx.wait(timeout=0) == 0
        card.read8(2)
        card.write8(4, 0x81)
        assert dev.irqs.intx.wait(timeout=30) == 1
        assert (card.read8(5), card.read8(6)) == (0x81, 0x06)
        card.write8(1, 0)
        assert card.read8(6) == 0
        assert card.read8(1) == 0x5A


def test_demo():
    command = [sys.executable, os.path.join(EXAMPLES, "demo.py")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    for line, answer in (("bytes(ram[:5])", "b'hello'"), ("bar0.read32(0x10)", "2016"), ("bar0.read32(0x00)", "42")):
        assert re.search(rf"^>>> {re.escape(line)} *(#.*)?\n{answer}$", result.stdout, re.M), result.stdout
    assert re.search(r"server dma_read request .* count=64\n.* client dma_read reply .* data=00 01 02 03", result.stdout)
    assert result.stdout.endswith("exit status is 0\n")
