# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The command vfu guest, of which check-qemu makes sure: its channels, its shell, and that nothing is left of it."""

import fcntl
import importlib.util
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from vfu import guest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "py"))
import blocks  # noqa: E402

# Only hanging counts.
SECONDS = 120

FATAL = """
import os
import vfu

class Fatal(vfu.Device):
    vendor_id, device_id = 0x1234, 0x0002
    bar0 = vfu.Bar(size=4096)

    @bar0.reg32(0).on_write
    def end(self, status):
        os._exit(status)
"""
BAR0 = "resource | head -n 1 | cut -d ' ' -f 1"


class Checks:
    def __init__(self, report, examples, cache):
        self._report, self._examples, self._cache = report, examples, cache

    def all(self):
        for check in self.script, self.shell, self.ctrl_c, self.dead_server, self.documents:
            with tempfile.TemporaryDirectory(prefix="check-command.") as name:
                self._temporary = Path(name)
                self._name = check.__name__.replace("_", " ")
                check()
                self._nothing_is_left()

    def script(self):
        """Both kinds of devices and of drivers, by messages; what a script says, and how it ends."""
        path = self._temporary / "counter"
        server = guest.Server(guest.serve_command(str(self._examples / "counter.py")), path, "counter")
        try:
            done = subprocess.run(
                self._command(
                    path, self._examples / "gpio.py", "--run=-", "--share=off", "--iommu", "--root-ports",
                    "--driver=gpio-pci-idio-16", "--driver=vfio-pci", "--env=WORD=it's",
                ),
                input='for d in $devices; do basename "$(readlink /sys/bus/pci/devices/$d/driver)"; done\n'
                'echo "$WORD" >&2; exit 3\n',
                env=self._environment(), capture_output=True, text=True, timeout=SECONDS,
            )
        finally:
            self._is("the running server's exit status", server.stop(), 0)
        self._is("stdout", done.stdout, "vfio-pci\npci-idio-16\n")
        self._is("stderr", done.stderr, "it's\n")
        self._is("exit status", done.returncode, 3)

    def shell(self):
        """On a terminal, which is left as it was; Ctrl-C is the guest's."""
        ours, theirs = pty.openpty()
        before = termios.tcgetattr(theirs)
        process = subprocess.Popen(
            self._command(self._examples / "counter.py", "--shell"), stdin=theirs, stdout=theirs, stderr=theirs,
            env=self._environment(), preexec_fn=lambda: own_terminal(theirs),
        )
        said = bytearray()
        self._await(ours, said, b"guest:/guest# ")
        # Ctrl-C is for who runs in front when it comes, and who has said this runs there: the shell, before or
        # between commands, would take it for its own.
        os.write(ours, b"sh -c \"echo 'sle'eps; exec sleep 1000\"\n")
        self._await(ours, said, b"sleeps")
        os.write(ours, b"\x03")
        self._await(ours, said, b"guest:/guest# ")
        os.write(ours, b"lspci -ns $DEV0; exit 5\n")
        self._await(ours, said, b"1234:0001")
        self._is("exit status", self._drain(ours, process), 5)
        self._is("the terminal's modes", termios.tcgetattr(theirs), before)
        os.close(ours)
        os.close(theirs)

    def ctrl_c(self):
        process = subprocess.Popen(
            self._command(self._examples / "gpio.py", "--run=-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=self._environment(), start_new_session=True, text=True,
        )
        process.stdin.write("echo ready; sleep 1000\n")
        process.stdin.close()
        self._is("stdout", process.stdout.readline(), "ready\n")
        os.killpg(process.pid, signal.SIGINT)
        self._is("exit status", process.wait(SECONDS), 130)
        self._is("stderr", process.stderr.read(), "")
        process.stdout.close()
        process.stderr.close()

    def dead_server(self):
        file = self._temporary / "fatal.py"
        file.write_text(FATAL)
        done = subprocess.run(
            self._command(file, "--run=-"), env=self._environment(), capture_output=True, text=True, timeout=SECONDS,
            input=f"setpci -s $DEV0 COMMAND=2; devmem $(cat /sys/bus/pci/devices/$DEV0/{BAR0}) 32 7; sleep 1; echo alive\n",
        )
        self._is("stdout", done.stdout, "alive\n")
        self._is("told", "the server of fatal.py has ended with status 7" in done.stderr, True)
        self._is("exit status", done.returncode, 125)
        file.unlink()

    def documents(self):
        """What README.md, the examples and the package show of guests; test_blocks.py runs the rest of it."""
        cache = Path(self._cache or guest.cache.default_directory()).resolve()
        for block in (block for name in blocks.documents() for block in blocks.find(name) if blocks.needs_guest(block)):
            with (
                tempfile.TemporaryDirectory(dir=self._temporary) as name,
                blocks.Session(name, block.file, cache) as session,
            ):
                session.env["TMPDIR"] = str(self._temporary)
                for saved in (one for one in blocks.find(block.file) if one.saved_as):
                    session.save(saved)
                session.open(block)
                try:
                    said = self._run_block(block, session) or "works"
                except blocks.Failed as failed:
                    said = str(failed)
            self._is(block.where, said, "works")

    def _run_block(self, block, session):
        if block.kind == "shell":
            for command in (command for command in block.commands if "vfu guest " in command):
                session.in_guest(command)
        elif "def test_" not in block.text:
            session.python(block.text)
        elif importlib.util.find_spec("pytest"):
            session.tests(block, in_guest=True)

    # ---- how ----

    def _command(self, *arguments):
        cache = ["--cache", self._cache] if self._cache else []
        return [sys.executable, "-m", "vfu", "guest", *map(str, [*arguments, *cache])]

    def _environment(self):
        return dict(os.environ, TMPDIR=str(self._temporary), TERM="dumb")

    def _is(self, what, have, wanted):
        text = what if have == wanted else f"{what}: {have!r}, should be {wanted!r}"
        self._report.line(have == wanted, "vfu guest", f"{self._name}, {text}")

    def _await(self, terminal, said, text):
        deadline = time.monotonic() + SECONDS
        while text not in said and time.monotonic() < deadline:
            if select.select([terminal], [], [], 1.0)[0]:
                said += os.read(terminal, 4096)
        self._report.line(text in said, "vfu guest", f"{self._name}, said {text.decode()!r}")
        del said[: said.find(text) + len(text)]

    def _drain(self, terminal, process):
        """Reads what nobody wants, until the process has ended: its status."""
        deadline = time.monotonic() + SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.1)[0]:
                os.read(terminal, 4096)
        return process.wait(0)

    def _nothing_is_left(self):
        # All that was started has the directory in its environment.
        mark = f"TMPDIR={self._temporary}\0".encode()
        left = [path.parent.name for path in Path("/proc").glob("[0-9]*/environ") if mark in read(path)]
        self._is("processes left", left, [])
        self._is("files left", [path.name for path in self._temporary.iterdir()], [])


def own_terminal(fd):
    """As a shell of the terminal's is started, in a child."""
    os.setsid()
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


def read(path):
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""
