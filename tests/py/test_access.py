# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu read, write, dump and wait: what they print, how they end, what they say of bad input."""

import contextlib
import errno
import json
import os
import pty
import socket
import subprocess
import sys
import threading

import pytest

import vfu
from vfu.cli import main

CLASS = """
import vfu

class Toy(vfu.Device):
    vendor_id, device_id, class_code = 0x1234, 0x0042, 0xFF0000
    bar0 = vfu.Bar(4096)
    bar2 = vfu.Bar(1 << 20)
    irqs = vfu.Irqs(intx=1, msix=2)

    ticks = bar0.reg32(0x00)
    small = bar0.reg8(0x04, reset=0x5A)
    large = bar0.reg64(0x08)

    status = bar0.reg32(0x20, w1c=0x7, writable=0xF0, reset=0xF5)
    alarm = status.bit(0)
    level = status.bits(4, width=4)
    events = bar0.reg16(0x24, rc=True, reset=3)
    table = bar0.reg16(0x40, count=3, stride=8, reset=5)
    table_top = table.bit(15)
    log = bar0.memory(0x100, 20)

    @bar0.reg32(0x10).on_write
    def kick(self, vector):
        self.ticks += 1
        (self.irqs.msix[vector].trigger if vector < 2 else self.irqs.intx.raise_)()

    @bar0.reg32(0x14).on_read
    def broken(self):
        raise OSError(5, "broken")

    @bar0.on_access(0x800, 16)
    def narrow(self, offset, size, value):
        if size > 8:
            raise OSError(22, "too wide")
        return 0x11 if value is None else None
"""
# What is wrong with which arguments, and the status they end with.
FILE, SOCKET = object(), object()
WRONG = [
    (1, "/ is no socket, but a file of another kind", "info", "/"),
    (1, "the device has no region bar3; it has: bar0, bar1, bar2, config", "read", SOCKET, "bar3+0"),
    (1, "the device has no region region40; it has: bar0", "read", SOCKET, "region40+0"),
    (1, "bar0+0x1000 ends at 0x1004, bar0 at 0x1000", "read", SOCKET, "bar0+0x1000"),
    (1, "bar0+0xfff8:64", "read", SOCKET, "bar0+0xfff8:64"),
    (1, "bar0 at 0x14: region_read: Input/output error", "read", SOCKET, "bar0+0x14"),
    (1, "cannot connect to /nowhere: No such file", "read", "/nowhere", "bar0+0"),
    (1, "there is no file nowhere.py", "read", SOCKET, "--device", "nowhere.py", "x"),
    (2, "bar0+1:32: 0x1 is no multiple of 4", "read", SOCKET, "bar0+1:32"),
    (2, "bar0+0:12: 12 bits: an access is of 8, 16, 32 or 64", "read", SOCKET, "bar0+0:12"),
    (2, "'bar9+0' is no place: say REGION+OFFSET", "read", SOCKET, "bar9+0"),
    (2, "'bar0+-4' is no place", "read", SOCKET, "bar0+-4"),
    (2, "'0x20000000000000000' is no number from 0 to 2**64 - 1", "read", SOCKET, "bar0+0x20000000000000000"),
    (2, "configuration space's header has no field 'comand', it has: vendor_id, device_id, command,", "read", SOCKET, "config.comand"),
    (2, "'ticks' is no place: say REGION+OFFSET[:BITS], as bar0+0x10:32, or config.FIELD, as config.command; names of "
        "registers need --device FILE.py", "read", SOCKET, "ticks"),
    (2, "Toy has no register 'tics', it has: ticks, small, large, kick, broken, status, alarm, level, events, table, "
        "table_top; else say REGION+OFFSET", "read", SOCKET, FILE, "tics"),
    (2, "Toy has no register 'log'", "read", SOCKET, FILE, "log"),
    (2, "Toy has no register 'x*'", "read", SOCKET, FILE, "x*"),
    (2, "there is no table[3]: it has 3 elements, from 0 on", "read", SOCKET, FILE, "table[3]"),
    (2, "ticks is no array, so there is no ticks[0]", "read", SOCKET, FILE, "ticks[0]"),
    (2, "table has 3 elements: say which, as table[0]", "write", SOCKET, FILE, "table=1"),
    (2, "0x10 does not fit the 4 bits of level", "write", SOCKET, FILE, "level=16"),
    (2, "'nolog' is no part of a region", "dump", SOCKET, FILE, "nolog"),
    (2, "0x100 does not fit the 8 bits of bar0+4:8", "write", SOCKET, "bar0+4:8=256"),
    (2, "0x100 does not fit the 8 bits of small", "write", SOCKET, FILE, "ticks=1", "small=0x100"),
    (2, "'-1' is no number from 0", "write", SOCKET, "bar0+0=-1"),
    (2, "'' is no number from 0", "write", SOCKET, "bar0+0="),
    (2, "'bar0+0' is not PLACE=VALUE", "write", SOCKET, "bar0+0"),
    (1, "bar0+0x1000 ends at 0x1004", "write", SOCKET, "bar0+0=1", "bar0+0x1000=1"),
    (1, "bar0 ends at 0x1000, before 0x1001", "dump", SOCKET, "bar0+0xff0,17"),
    (1, "bar0 ends at 0x1000, before 0x2000", "dump", SOCKET, "bar0+0x2000"),
    (1, "bar0+1: 0x1 and 4095 bytes are no multiples of 4", "dump", SOCKET, "bar0+1", "--width", "32"),
    (1, "--width 32 makes such", "dump", SOCKET, "bar0+0x800,16"),
    (1, "/nowhere/x: No such file", "dump", SOCKET, "bar0", "-o", "/nowhere/x"),
    (2, "'bar0+' is no part of a region: say it as REGION[+OFFSET][,LENGTH], as bar0+0x100,64", "dump", SOCKET, "bar0+"),
    (1, "the device has no interrupt msix[2]: it has 2, from msix[0] on", "wait", SOCKET, "msix[2]"),
    (1, "the device has no interrupt irq99: it has no irq99", "wait", SOCKET, "irq99"),
    (1, "bar0+0x1000 ends", "wait", SOCKET, "bar0+0x1000=1"),
    (2, "'now' is no event: say an interrupt, as msix[0], or PLACE=VALUE, as bar0+4:8=1", "wait", SOCKET, "now"),
    (2, "has bits that the mask 0x1 lacks, so it never comes", "wait", SOCKET, "bar0+0=2/1"),
    (2, "0x1000 does not fit the 8 bits", "wait", SOCKET, "bar0+0:8=1/0x1000"),
    (124, "msix[1] did not come", "wait", SOCKET, "msix[1]", "--timeout", "0.01"),
    (124, "bar0+0=1 did not come, bar0+0 is 0x00000000", "wait", SOCKET, "bar0+0=1", "--timeout", "0.01"),
]


@pytest.fixture
def toy(tmp_path, serve):
    """vfu(arguments...) -> (status, stdout, stderr), with SOCKET and FILE put in."""
    file = tmp_path / "toy.py"
    file.write_text(CLASS)
    names = {}
    exec(CLASS, names)
    return {SOCKET: [serve(names["Toy"]())], FILE: ["--device", str(file)]}


@pytest.fixture
def run(toy, capfdbinary):
    def run(*arguments):
        words = [word for one in arguments for word in toy.get(one, [str(one)])]
        capfdbinary.readouterr()
        try:
            status = main(words)
        except SystemExit as end:
            status = end.code
        out, err = capfdbinary.readouterr()
        return status, out.decode("latin-1"), err.decode()

    return run


def test_reads_by_name_and_place(run):
    assert run("write", SOCKET, FILE, "ticks=0x1234", "large=0x1122334455667788") == (0, "", "")
    assert run("read", SOCKET, FILE, "ticks") == (0, "0x00001234\n", "")
    assert run("read", SOCKET, "bar0+1:8") == (0, "0x12\n", "")
    assert run("read", SOCKET, "region0+0x0c") == (0, "0x11223344\n", "")
    assert run("read", SOCKET, FILE, "large", "small", "config.device_id", "bar0+0:16")[1].splitlines() == [
        "large            0x1122334455667788", "small            0x5a", "config.device_id 0x0042", "bar0+0:16        0x1234"]
    status, out, _ = run("read", SOCKET, FILE, "large", "small", "--json")
    assert (status, json.loads(out)) == (0, {"large": 0x1122334455667788, "small": 0x5A})
    assert run("write", SOCKET, "config.command=6", "bar0+4:8=1")[0] == 0
    assert run("read", SOCKET, "bar0+4:8")[1] == "0x01\n"


def test_fields_and_arrays(run):
    assert run("read", SOCKET, FILE, "level", "table", "table_top[1]")[1].splitlines() == [
        "level        0xf", "table[0]     0x0005", "table[1]     0x0005", "table[2]     0x0005", "table_top[1] 0x0"]
    assert run("write", SOCKET, FILE, "level=3", "table_top[1]=1")[0] == 0
    assert run("read", SOCKET, FILE, "status", "table[1]")[1].split()[1::2] == ["0x00000035", "0x8005"]
    assert run("write", SOCKET, FILE, "alarm=1")[0] == 0  # which clears it, and leaves the others that ones clear
    assert run("read", SOCKET, FILE, "status")[1] == "0x00000034\n"
    assert run("wait", SOCKET, FILE, "alarm=0", "--timeout", 60)[:2] == (0, "0x0\n")


def test_writes_of_what_is_read_only_say_so(run):
    """Once they are done: it is the device that does not take them."""
    said = "vfu write: events is read-only, and has not changed\n"
    assert run("write", SOCKET, FILE, "events=7", "ticks=5", "alarm=0", "kick=0") == (0, "", said)
    assert run("read", SOCKET, FILE, "ticks", "events", "--json")[1] == '{"ticks": 6, "events": 3}\n'


@pytest.mark.parametrize("command", [("read", "ticks"), ("write", "ticks=1"), ("dump", "bar0,16"), ("info",), ("wait", "ticks=1")])
def test_a_class_of_another_device(run, tmp_path, command):
    other = tmp_path / "other.py"
    other.write_text(CLASS.replace("0x0042", "0x0043"))
    assert run("write", SOCKET, FILE, "ticks=1") == (0, "", "")
    assert run(command[0], SOCKET, "--device", str(other), *command[1:])[2] == (
        "vfu: Toy is 1234:0043, the device 1234:0042: its registers may be others\n")


def test_reads_all_whose_reading_does_nothing(run):
    _, text, unread = run("read", SOCKET, FILE, "*")
    assert unread == "vfu read: not read, as that does something: broken, events\n"
    names = [line.split()[0] for line in text.splitlines()]
    assert names == ["ticks", "small", "large", "kick", "status", "alarm", "level", "table[0]", "table[1]", "table[2]",
                     "table_top[0]", "table_top[1]", "table_top[2]"]
    assert [line.split()[0] for line in run("read", SOCKET, FILE, "t*s", "l*")[1].splitlines()] == ["ticks", "large", "level"]
    assert run("read", SOCKET, FILE, "events", "bar0+0x24:16")[1].split()[1::2] == ["0x0003", "0x0000"]


def test_dumps(run, tmp_path):
    assert run("write", SOCKET, "bar0+0x100=0x41424344")[0] == 0
    status, out, _ = run("dump", SOCKET, "bar0+0x100,36")
    assert (status, out.splitlines()) == (0, [
        "00000100  44 43 42 41 00 00 00 00  00 00 00 00 00 00 00 00  |DCBA............|",
        "00000110  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|",
        "00000120  00 00 00 00                                       |....|",
        "00000124"])
    assert run("dump", SOCKET, "bar2")[1].splitlines()[1:] == ["*", "00100000"]
    assert run("dump", SOCKET, "config,4", "--raw")[1] == "\x34\x12\x42\0"
    assert run("dump", SOCKET, "bar0+0x800,16", "--width", "32", "--raw")[1] == "\x11\0\0\0" * 4
    assert run("dump", SOCKET, FILE, "log")[1].splitlines()[-1] == "00000114"
    assert len(run("dump", SOCKET, FILE, "table", "--raw")[1]) == 18
    file = tmp_path / "out"
    assert run("dump", SOCKET, "bar2", "--raw", "-o", file) == (0, "", "")
    assert file.read_bytes() == bytes(1 << 20)
    assert run("dump", SOCKET, "bar0+0,16", "-o", file) == (0, "", "")
    assert file.read_text().endswith("|\n00000010\n")


def test_waits(run):
    assert run("wait", SOCKET, FILE, "msix[1]", "--write", "kick=1", "--timeout", 60) == (0, "1\n", "")
    assert run("wait", SOCKET, FILE, "intx", "--write", "kick=2", "--timeout", 60, "--json") == (
        0, '{"event": "intx", "count": 1}\n', "")
    assert run("wait", SOCKET, FILE, "ticks=2", "--timeout", 60) == (0, "0x00000002\n", "")
    assert run("wait", SOCKET, FILE, "ticks!=2", "-w", "kick=0", "--json") == (
        0, '{"event": "ticks!=2", "value": 3}\n', "")
    assert run("wait", SOCKET, FILE, "small=0x50/0xf0", "--timeout", 60) == (0, "0x5a\n", "")


@pytest.mark.parametrize("status, text, arguments", [(status, text, rest) for status, text, *rest in WRONG])
def test_one_sentence_for_what_is_wrong(run, status, text, arguments):
    got, out, err = run(*arguments)
    assert (got, out) == (status, ""), err
    assert err.startswith(f"vfu {arguments[0]}: ") and err.count("\n") == 1 and text in err, err
    assert "Errno" not in err and "Traceback" not in err


def test_writes_nothing_if_one_place_is_wrong(run):
    assert run("write", SOCKET, "bar0+0=1", "bar0+0x1000=1")[0] == 1
    assert run("read", SOCKET, "bar0+0")[1] == "0x00000000\n"


@contextlib.contextmanager
def server_that(answers, path):
    """One that relays so many messages to a real one, then ends, or (None) does not answer at all."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def ends():
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                for _ in range(answers):
                    connection.recv(4096)

    thread = threading.Thread(target=ends) if answers is not None else None
    if thread:
        thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        if thread:
            thread.join()


COMMANDS = [("info",), ("read", "bar0+0"), ("write", "bar0+0=1"), ("dump", "bar0")]


@pytest.mark.parametrize("command, rest", [(command, rest) for command, *rest in COMMANDS])
def test_a_server_that_does_not_answer(run, tmp_path, command, rest):
    path = str(tmp_path / "hung")
    with server_that(None, path):
        status, out, err = run(command, path, *rest, "--timeout", "0.05")
    assert (status, out) == (124, "") and err.startswith(f"vfu {command}: ") and err.count("\n") == 1, err


@pytest.mark.parametrize("command, rest", [(command, rest) for command, *rest in [*COMMANDS, ("wait", "intx")]])
def test_a_server_that_ends(run, tmp_path, command, rest):
    path = str(tmp_path / "ends")
    with server_that(1, path):
        status, out, err = run(command, path, *rest)
    assert (status, out) == (1, "") and err.startswith(f"vfu {command}: ") and err.count("\n") == 1, err


class Dying(vfu.Device):
    """Its server goes when it is read or written."""

    bar0 = vfu.Bar(4096)
    irqs = vfu.Irqs(intx=1)
    server = None

    @bar0.on_access()
    def all(self, offset, size, value):
        self.server.stop()
        raise OSError(errno.EIO, "gone") if value is None else SystemError


@pytest.mark.parametrize("arguments", [("read", "bar0+0"), ("write", "bar0+0=1"), ("dump", "bar0"), ("wait", "bar0+0=1"),
                                       ("wait", "intx", "--write", "bar0+0=1")])
def test_a_server_that_ends_in_between(run, tmp_path, arguments):
    device, path = Dying(), str(tmp_path / "dying")
    with vfu.Server(device, path).start() as device.server:
        command, *rest = arguments
        status, out, err = run(command, path, *rest)
    lines = [line for line in err.splitlines() if line.startswith("vfu ")]
    assert (status, out) == (1, "") and len(lines) == 1 and lines[0].startswith(f"vfu {command}: "), err


# ---- on a terminal ----


def test_a_bar_while_it_takes_long(run, monkeypatch, tmp_path):
    file = tmp_path / "out"
    assert run("dump", SOCKET, "bar2", "--raw", "-o", file)[2] == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert run("dump", SOCKET, "bar2", "--raw", "-o", file)[2] == ""  # it was over before
    monkeypatch.setattr("vfu.cli.progress.AFTER", 0)
    err = run("dump", SOCKET, "bar2", "--raw", "-o", file)[2]
    assert "reading bar2" in err and "100%" in err and err.endswith("\n")
    assert "reading bar2" in run("dump", SOCKET, "bar2")[2]  # to a pipe or a file


@pytest.mark.parametrize("variables, begins", [({"TERM": "xterm"}, "\33[31mvfu read: \33[0m"),
                                               ({"TERM": "xterm", "NO_COLOR": "1"}, "vfu read: "),
                                               ({"TERM": "dumb"}, "vfu read: ")])
def test_colours(variables, begins):
    ours, theirs = pty.openpty()
    try:
        env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | variables
        subprocess.run([sys.executable, "-m", "vfu", "read", "/nowhere", "bar0+0"], stderr=theirs, env=env, timeout=60)
        assert os.read(ours, 4096).decode().startswith(begins + "cannot connect")
    finally:
        os.close(ours)
        os.close(theirs)


def test_info_for_programs(run):
    status, out, _ = run("info", SOCKET, FILE, "--json", "--hex")
    said = json.loads(out)
    assert status == 0 and (said["pci"]["vendor_id"], said["pci"]["device_id"]) == (0x1234, 0x42)
    assert [(one["name"], one["size"], one["flags"]) for one in said["regions"]][:2] == [
        ("bar0", 4096, ["read", "write"]), ("bar1", 4096, ["read", "write"])]
    assert {"name": "small", "region": "bar0", "offset": 4, "kind": "register", "bits": 8, "access": [], "fields": []
            } in said["parts"]
    assert {"name": "status", "region": "bar0", "offset": 0x20, "kind": "register", "bits": 32,
            "access": ["w1c 0x7", "writable 0xf0"], "fields": [{"name": "alarm", "position": 0, "bits": 1},
                                                               {"name": "level", "position": 4, "bits": 4}]} in said["parts"]
    assert {"index": 2, "name": "msix", "count": 2, "flags": ["eventfd"]} in said["irqs"]
    assert said["config"].startswith("34124200") and said["protocol"]["max_msg_fds"] == 16
    text = run("info", SOCKET, FILE)[1]
    for lines in ("    0x0004 small: 8 bits\n", "    0x0020 status: 32 bits, w1c 0x7, writable 0xf0\n           [0] alarm\n"
                  "           [7:4] level\n", "    0x0024 events: 16 bits, rc 0xffff\n", "    0x0100 log: 20 bytes of memory\n",
                  "    0x0040 table[3]: 16 bits, every 8 bytes\n           [15] table_top\n",
                  "    0x0800 narrow: 16 bytes, served by a function\n"):
        assert lines in text, text
