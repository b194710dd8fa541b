# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu shell: what it runs without a terminal, and its prompts on one."""

import contextlib
import fcntl
import importlib.util
import io
import os
import re
import select
import subprocess
import sys
import termios
import time

import pytest

import vfu
from vfu import cli
from vfu.cli import parser
from vfu.cli.names import Names
from vfu.cli.shell import Completer
from vfu.cli.workbench import Workbench

VFU = [sys.executable, "-m", "vfu"]
DEVICE = """
import vfu

class Toy(vfu.Device):
    vendor_id, device_id = 0x1234, 0x00AB
    bar0 = vfu.Bar(4096)
    irqs = vfu.Irqs(msix=2)
    event_loop = True
    value = bar0.reg32(0)
    table = bar0.reg16(0x20, count=4)
    copied = bar0.reg8(0x40, readonly=True)

    def __init__(self):
        super().__init__()
        self.reads = 0

    @bar0.reg32(8).on_read
    def counted(self):
        self.reads += 1
        return self.reads

    @bar0.reg64(0x10).on_write
    async def copy(self, address):
        self.copied = (await self.dma.read(address, 1))[0]
        self.irqs.msix[1].trigger()
"""


@pytest.fixture
def toy(tmp_path):
    """The class, which toy.py has."""
    (tmp_path / "toy.py").write_text(DEVICE)
    spec = importlib.util.spec_from_file_location("toy", tmp_path / "toy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Toy


@pytest.fixture
def shell(toy, serve, tmp_path, monkeypatch, capsys):
    """shell(*arguments, stdin) -> what it said and its status, in this process."""
    path = serve(toy())

    def run(*arguments, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        try:
            status = cli.main(["shell", path, "-d", str(tmp_path / "toy.py"), *arguments])
        except SystemExit as ended:
            status = ended.code
        return status, *capsys.readouterr()

    return run


def said(result, wanted=0):
    status, out, err = result
    assert status == wanted and bool(err) == bool(status), result
    return err if status else out


# ---- without a terminal ----


def test_code(shell):
    assert said(shell("-c", "regs.value = 0x1f; regs.value")) == "0x0000001f\n"
    assert said(shell("-c", "regs.value + 1, bar0.read8(0), config.vendor_id == 0x1234")) == "(32, 31, True)\n"
    assert said(shell("-c", "regs.table[1] = 7; print(regs.table[1], len(regs.table)); regs.table")) == (
        "0x0007 4\n<4 registers: regs.table[0] to [3]>\n"
    )
    assert said(shell("-c", "regs")).splitlines()[0] == "bar0+0x000:32  regs.value"
    assert said(shell("-c", "x = 1")) == ""
    ram = "ram = dma.alloc(4096); ram[0] = 9; regs.copy = ram.iova; came = wait(timeout=30); came, regs.copied"
    assert said(shell("-c", ram)) == "({'msix[1]': 1}, 0x09)\n"
    assert said(shell("-c", "wait(irqs.msix[0], timeout=0)")) == "{}\n"
    assert "Region 0 bar0: 4 KiB" in said(shell("-c", "info()"))
    assert said(shell("-c", "bar0.write32(16 + 0xff0 - 16, 0x41424344); hexdump(bar0, 0xff0)")).startswith("00000ff0  44 43")
    assert said(shell("-c", "ram = dma.alloc(4096); ram[16:18] = b'AB'; hexdump(ram, 16, 8)")).startswith("00000010  41 42 00")


def test_script(shell):
    assert said(shell(stdin="for n in range(3):\n    regs.value = n\n    print(regs.value + 0)\n3\n")) == "0\n1\n2\n"


def test_what_is_wrong(shell):
    assert said(shell("-c", "bar0.read32(0x1000)"), 1).endswith("vfu shell: -c, line 1: bar0 at 0x1000: bar0+0x1000 ends at 0x1004, bar0 at 0x1000\n")
    assert "vfu shell: standard input, line 2: bar0 at 0x1000: " in said(shell(stdin="\nbar0.read32(0x1000)\n"), 1)
    assert said(shell("-c", "regs.valeu = 1"), 1) == "vfu shell: -c, line 1: no register valeu, did you mean value?\n"
    assert "no register x; there are: value, counted, copy, table, copied\n" in said(shell("-c", "regs.x"), 1)
    assert "table has 4 elements: say which, as regs.table[0]" in said(shell("-c", "regs.table = 1"), 1)
    assert "0x10000 does not fit the 16 bits of table[0]" in said(shell("-c", "regs.table[0] = 1 << 16"), 1)
    assert said(shell("-c", "regs.table[4]"), 1) == "vfu shell: -c, line 1: table has 4 elements, 0 to 3: there is no 4\n"
    assert said(shell("-c", "regs.value = 'x'"), 1) == "vfu shell: -c, line 1: value is a number, not 'x'\n"
    assert said(shell("-c", "1/0"), 1).splitlines() == [
        "Traceback (most recent call last):", '  File "-c", line 1, in <module>', "ZeroDivisionError: division by zero",
    ]
    assert "-c, line 1: wait(irqs.msix[2]) waits for an interrupt" in said(shell("-c", "wait(1)"), 1)
    assert "SyntaxError" in said(shell("-c", "("), 1)
    assert shell("-c", "raise SystemExit(7)") == (7, "", "")
    assert "bar0 ends at 0x1000, before 0x1010" in said(shell("-c", "hexdump(bar0, 0xff0, 32)"), 1)
    assert "bar5" in said(shell("-c", "hexdump('bar5')"), 1)


def test_a_device_without_much(serve):
    result = subprocess.run([*VFU, "shell", serve(vfu.Device()), "-c", "print(regs); wait()"], capture_output=True, text=True, timeout=60)
    assert result.stdout == "no registers are known: vfu shell SOCKET --device FILE.py\n"
    assert (result.returncode, result.stderr) == (1, "vfu shell: -c, line 1: the device has no interrupts\n")


# ---- completion ----


def test_completes_and_reads_nothing(toy, serve):
    device = toy()
    options = parser().parse_args(["shell", serve(device)])
    with Workbench(options, Names(toy)) as bench:
        complete = Completer(bench.namespace)
        assert complete.find("hex") == ["hex", "hexdump"] and complete.find("bar") == ["bar0", "bar1"]
        assert complete.find("regs.c") == ["regs.copied", "regs.copy", "regs.counted"]
        assert complete.find("regs.counted.") == [] and complete.find("config.vendor_id.") == []
        assert complete.find("bar0.write3") == ["bar0.write32"] and complete.find("config.ven") == ["config.vendor_id"]
        assert complete.find("dev.regions.b")[0] == "dev.regions.bar0" and "dev.irqs.msix" in complete.find("dev.irqs.m")
        assert complete.find("nothing.") == [] and complete.find("dev.config.") != []
        assert complete.complete("regs.va", 0) == "regs.value" and complete.complete("regs.va", 1) is None
        assert device.reads == 0


# ---- on a terminal ----


class Terminal:
    """The other end of a command's terminal."""

    def __init__(self, command, **environment):
        self.fd, theirs = os.openpty()
        env = {**os.environ, "TERM": "dumb", "PYTHONIOENCODING": "utf-8", **environment}
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.unread = ""

    def until(self, pattern):
        """What comes up to the pattern and with it."""
        deadline = time.monotonic() + 30
        while not (found := re.search(pattern, self.unread)):
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], self.unread
            self.unread += os.read(self.fd, 4096).decode()
        text, self.unread = self.unread[: found.end()], self.unread[found.end() :]
        return text

    def type(self, keys, pattern=r"\r\nvfu> "):
        os.write(self.fd, keys.encode())
        return self.until(pattern)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


@contextlib.contextmanager
def prompt(path, tmp_path, *arguments):
    """The terminal of a shell that has said hello."""
    command = [*VFU, "shell", path, "-d", tmp_path / "toy.py", *arguments]
    with Terminal(command, XDG_STATE_HOME=str(tmp_path / "state"), HOME=str(tmp_path)) as terminal:
        terminal.hello = terminal.until(r"vfu> $" if "--plain" in arguments else r"In \[1\]: ")
        yield terminal


def test_prompt(toy, serve, tmp_path):
    with prompt(serve(toy()), tmp_path, "--plain") as at:
        assert "1234:00ab at " in at.hello and "bar0 4 KiB" in at.hello and "msix 2" in at.hello
        assert "0x00000005" in at.type("regs.val\t = 5; regs.value\n")
        # A Ctrl-C that comes between two keys Python sees at the end of the line only.
        assert "KeyboardInterrupt" in at.type("rubbish(\x03\n'over'\n", r"\r\n'over'\r\nvfu> ")
        os.write(at.fd, b"print('waits'); wait()\n")
        at.until("\r\nwaits")
        assert "KeyboardInterrupt" in at.type("\x03")
        assert "Error: bar0 at 0x1000: " in at.type("bar0.read32(0x1000)\n")
        assert "ZeroDivisionError" in at.type("1/0\n")
        # The device's access is served while nobody types.
        at.type("ram = dma.alloc(4096); ram[0] = 3; regs.copy = ram.iova\n")
        assert "{'msix[1]': 1}" in at.type("wait(timeout=30)\n")
        assert "0x03" in at.type("regs.copied\n")
        os.write(at.fd, b"\x04")
        assert at.process.wait(30) == 0
    assert "regs.value = 5; regs.value\n" in (tmp_path / "state" / "vfu" / "shell_history").read_text()
    with prompt(serve(toy()), tmp_path, "--plain") as at:
        assert "0x03" not in at.type("\x10\n")  # the line before: regs.copied, of a new device
        at.type("exit(3)\n", "exit")
        assert at.process.wait(30) == 3


def test_completes_where_nothing_can_be_kept(toy, serve, tmp_path):
    (tmp_path / "state").touch()
    with prompt(serve(toy()), tmp_path, "--plain") as at:
        assert "what is typed is not kept: " in at.hello
        assert "0x00000005" in at.type("regs.val\t = 5; regs.value\n")


def test_reconnects(toy, tmp_path):
    path = tmp_path / "s"
    server = vfu.Server(toy(), path).start()
    with prompt(path, tmp_path, "--plain") as at:
        at.type("regs.value = 5\n")
        server.close()
        assert re.search(r"Disconnected: .*reconnect\(\) connects again", at.type("bar0.read32(0)\n"))
        assert "NotFound: " in at.type("reconnect()\n")
        with vfu.Server(toy(), path).start():
            assert "connected to " in at.type("reconnect()\n")
            assert "0x00000000" in at.type("regs.value\n")
            assert "4660" in at.type("dev.config.vendor_id\n")
            os.write(at.fd, b"\x04")
            assert at.process.wait(30) == 0


@pytest.mark.skipif(not importlib.util.find_spec("IPython"), reason="needs IPython (Debian: python3-ipython)")
def test_ipython(toy, serve, tmp_path):
    with prompt(serve(toy()), tmp_path) as at:
        assert "1234:00ab at " in at.hello
        lines = [("regs.value = 5; regs.value", r"0x00000005"), ("bar0.read32(0x1000)", r"Error: bar0 at 0x1000: "),
                 ("reconnect()", "connected to "), ("dev.connected, regs.value", r"\(True, 0x00000005\)")]
        for number, (line, answer) in enumerate(lines, 2):
            at.type(f"{line}\r", answer)
            at.until(rf"In \[{number}\]: ")
        os.write(at.fd, b"exit(3)\r")
        assert at.process.wait(30) == 3
    with prompt(serve(toy()), tmp_path) as at:
        os.write(at.fd, b"exit\r")  # Ctrl-D is no key on such a terminal
        assert at.process.wait(30) == 0
    assert (tmp_path / "state" / "vfu" / "ipython.sqlite").exists()
