# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Each command ends with the statuses that vfu.cli.status has, which its help and the manual pages show."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

import vfu
from vfu.cli import commands_of, in_guest, main, parser, status
from vfu.guest import GuestError, TimedOut, Unusable
from vfu.trace import Record, pcapng

VFU = [sys.executable, "-m", "vfu"]
EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "..", "python", "examples")
COUNTER = os.path.join(EXAMPLES, "counter.py")
COMMANDS = {name: status.of(name) for name in commands_of(parser())}
BROKEN = "0100020014000000000000000000000000000000"  # a DMA_MAP that lacks almost all
# status, then the command and its arguments; SERVED and HUNG are sockets, CAPTURE and FINE files.
ENDS = [
    (0, "info", "SERVED"), (1, "info", "NOWHERE"), (2, "info"), (124, "info", "HUNG", "--timeout=0.05"),
    (0, "read", "SERVED", "bar0+0"), (1, "read", "SERVED", "bar5+0"), (2, "read", "SERVED", "x"),
    (124, "read", "HUNG", "bar0+0", "--timeout=0.05"),
    (0, "write", "SERVED", "bar0+0=1"), (1, "write", "NOWHERE", "bar0+0=1"), (2, "write", "SERVED", "bar0+0"),
    (124, "write", "HUNG", "bar0+0=1", "--timeout=0.05"),
    (0, "dump", "SERVED", "bar0"), (1, "dump", "SERVED", "bar5"), (2, "dump", "SERVED", "x"),
    (124, "dump", "HUNG", "bar0", "--timeout=0.05"),
    (0, "wait", "SERVED", "config.vendor_id=0x1234"), (1, "wait", "SERVED", "err[9]"), (2, "wait", "SERVED", "x"),
    (124, "wait", "SERVED", "intx", "--timeout=0.05"),
    (0, "shell", "SERVED", "-c", "1"), (1, "shell", "SERVED", "-c", "bar0.read8(0x10000)"), (2, "shell"), (124, "shell", "HUNG", "--timeout=0.05"),
    (0, "help"), (0, "help", "info"), (2, "help", "x"),
    (0, "explain", "dma_map"), (1, "explain", "nothing_is_called_so"), (2, "explain"), (3, "explain", BROKEN),
    (0, "trace", "--read", "FINE"), (1, "trace", "--read", "NOWHERE"), (2, "trace"), (3, "trace", "--read", "CAPTURE"),
    (1, "serve", "NOWHERE", "--socket-path=NEW"), (2, "serve"),
    *((2, *words, f"--{setting}") for words in [("info", "SERVED"), ("serve", COUNTER, "--socket-path=NEW")]
      for setting in ("profile=x", "policy=x=y", "option=max_msg_fds=9999", "option=trace=x", "capability=max_msg_fds=true")),
    (1, "guest", "NOWHERE", "--run", "-"), (2, "guest"),
    (1, "guest", COUNTER, "--run", COUNTER, "--kernel", "NOWHERE"), (1, "guest", COUNTER, "--run", COUNTER, "--modules", "NOWHERE"),
]
# Those that wait for somebody else, and with what SIGINT ends them.
ENDLESS = [
    (0, "serve", COUNTER, "--socket-path=NEW"), (0, "trace", "NEW", "SERVED"), (130, "explain", "-"),
    (130, "info", "HUNG", "--timeout=60"), (130, "read", "HUNG", "bar0+0", "--timeout=60"),
    (130, "write", "HUNG", "bar0+0=1", "--timeout=60"), (130, "dump", "HUNG", "bar0", "--timeout=60"),
    (130, "shell", "SERVED", "-c", "wait()"), (130, "wait", "SERVED", "intx"), (130, "wait", "SERVED", "config.vendor_id=0"),
]
ELSEWHERE = {("guest", 0), ("guest", 124), ("guest", 125), ("guest", 130),  # below, and tests/qemu
             ("serve", 3)}  # test_serve.py


def write_capture(path, messages):
    with open(path, "wb") as file:
        file.write(pcapng.head(4096))
        for data in messages:
            file.write(pcapng.packet(Record(pcapng.MESSAGE, 1, 0, False, 1, 0, data, len(data))))


@pytest.fixture
def places(tmp_path, serve):
    """What the words of ENDS stand for."""

    class Plain(vfu.Device):
        vendor_id = 0x1234
        bar0 = vfu.Bar(4096)
        irqs = vfu.Irqs(intx=1)

    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(tmp_path / "hung"))
        hung.listen()
        write_capture(tmp_path / "capture", [bytes.fromhex(BROKEN)])
        write_capture(tmp_path / "fine", [])
        yield {"SERVED": serve(Plain()), "HUNG": tmp_path / "hung", "NOWHERE": tmp_path / "nowhere",
               "CAPTURE": tmp_path / "capture", "FINE": tmp_path / "fine", "NEW": tmp_path / "new"}


def filled(places, words):
    return [re.sub("[A-Z]{3,}", lambda word: str(places.get(word[0], word[0])), word) for word in words]


def test_all_of_them_are_tried():
    documented = {(name, code) for name, codes in COMMANDS.items() for code in codes}
    tried = {(words[0], code) for code, *words in ENDS + ENDLESS}
    assert documented - tried - ELSEWHERE == set() and tried - documented == set()


@pytest.mark.parametrize("code, words", [(code, words) for code, *words in ENDS])
def test_ends_with(places, code, words, capfd):
    try:
        end = main(filled(places, words))
    except SystemExit as error:
        end = error.code
    err = capfd.readouterr().err
    assert end == code and "Traceback" not in err, err
    assert bool(err) == (code not in (0, 3)), err


@pytest.mark.parametrize("code, error", [(1, Unusable), (124, TimedOut), (125, GuestError)])
def test_guest_without_an_end_of_its_own(monkeypatch, tmp_path, capfd, code, error):
    def boot(*_):
        raise error("what happened")

    monkeypatch.setattr(in_guest, "boot", boot)
    assert main(["guest", COUNTER, "--run", COUNTER]) == code
    assert capfd.readouterr().err == "vfu guest: what happened\n"


def is_idle(process):
    """It waits: its main thread sleeps, and used no time for a while."""
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return fields[0] == "S", sum(map(int, fields[11:13]))


def ended_by(number, command):
    """The status and the words of a command that gets a signal when it waits."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        before, deadline = None, time.monotonic() + 30
        while before is None or before != is_idle(process) or not before[0]:
            before = is_idle(process)
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.15)
        process.send_signal(number)
        return process.wait(30), process.stderr.read()
    finally:
        process.kill()
        with contextlib.suppress(BrokenPipeError):
            process.communicate()


@pytest.mark.parametrize("code, words", [(code, words) for code, *words in ENDLESS])
def test_ctrl_c(places, code, words):
    assert ended_by(signal.SIGINT, VFU + filled(places, words)) == (code, b"")


@pytest.mark.parametrize("words", [words for code, *words in ENDLESS if "NEW" in " ".join(words)])
def test_no_socket_is_left_behind(places, words):
    for number in signal.SIGHUP, signal.SIGTERM:
        assert ended_by(number, VFU + filled(places, words)) == (0, b"")
        assert not places["NEW"].exists()


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]], ids=str)
@pytest.mark.parametrize("words", ["info SERVED", "shell SERVED", "info NOWHERE"])
def test_streams_that_are_closed(places, words, closed):
    """Not by a shell, which does not start with a sanitizer in it (make check-tsan)."""
    code = int("NOWHERE" in words)
    done = subprocess.run([*VFU, *filled(places, words.split())], preexec_fn=lambda: [*map(os.close, closed)],
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)  # fmt: skip
    assert done.returncode == code and "Traceback" not in done.stderr
    assert bool(done.stderr) == (code and 2 not in closed)


def test_help_shows_them():
    for name, one in commands_of(parser()).items():
        shown = re.findall(r"^  (\d+) ", one.format_help().partition("\nexit status:\n")[2], re.M)
        assert shown == [str(code) for code in COMMANDS[name]], name
