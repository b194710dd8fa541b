# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Commands and clients of servers that answer as they like: what a user sees of that is a line.

    vfu COMMAND, Client  --request-->  the good answer, changed: numbers, length, header, descriptors; twice, never, cut off
                         <-commands--  of the server, between

Seeded, so that each run has the same servers. FULL=1 in the environment: 20 times as many.
"""

import errno
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
from test_odd_servers import INFO, IRQ, READ, REGION, RESET, VERSION, WRITE, Odd

import vfu
import vfu.cli
from vfu.decode.items import LONGEST

SEEDS = range(200 if os.environ.get("FULL") else 10)
ODD = [0, 1, 2, 4, 7, 8, 15, 16, 17, 31, 32, 33, 48, 64, 255, 256, 4095, 4096, 65536, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]
ESCAPES = "\33[2J\33]0;owned\7\x9b31m\u202e"
COMMANDS = [
    ["info", "-x"], ["info", "--json"], ["dump", "bar0"], ["dump", "config"], ["read", "bar0+0", "config.command"],
    ["write", "bar0+0=1"], ["wait", "msix[1]"], ["wait", "bar0+0=77"], ["shell", "-c", "info(); irqs; hexdump(bar0); dma.alloc(4096)"],
    ["shell", "-c", "dev.reset(); bar0.io_fds(); dev.feature_get('migration'); bar0.map()"],
    ["shell", "-c", "dev.call(17, argsz=64, size=10); dev.config.capabilities; dev.config.extended_capabilities"],
]


class Hostile(Odd):
    """Changes what it answers."""

    def __init__(self, path, seed):
        self.random = random.Random(seed)
        self.sent = []  # the last messages
        super().__init__(path)

    def answer(self, command, body, nfds):
        pick = self.random
        if command == VERSION and pick.random() < 0.2:
            said = pick.choice([
                "", "[]", "{", '{"capabilities":{"max_msg_fds":-1}}', '{"capabilities":{"max_data_xfer_size":1}}',
                f'{{"capabilities":{{"{ESCAPES}":1,"twin_socket":{{"supported":true}}}}}}', "[" * 9000, f'"{ESCAPES}"'])
            return struct.pack("=HH", 0, pick.choice([0, 1, 65535])) + said.encode() + b"\0" * pick.choice([0, 1, 1, 2]), None
        if command not in (VERSION, INFO, REGION, IRQ, 8, READ, WRITE, RESET):
            return body[:24], None
        if command == REGION and struct.unpack_from("=I", body, 8)[0] < 2:
            areas = b"".join(struct.pack("=QQ", 64 * i, 64) for i in range(40))
            caps = struct.pack("=HHIII", 1, 1, 0, 40, 0) + areas
            room = struct.unpack_from("=I", body)[0] >= 32 + len(caps)
            head = struct.pack("=IIIIQQ", 32 + len(caps), 15 if room else 7, *struct.unpack_from("=I", body, 8), 32 * room, 4096, 0)
            return head + caps * room, os.memfd_create("bar") if room else None
        return super().answer(command, body, nfds)

    def changed(self, out):
        """A number of it, or its length."""
        pick, out = self.random, bytearray(out)
        width, how = pick.choice([4, 4, 8]), pick.random()
        if how < 0.15:
            return bytes(out[: pick.randrange(len(out) + 1)])
        if how < 0.3:
            return bytes(out) + bytes(pick.choice([1, 16, 5000]))
        if len(out) >= width:
            at = 4 * pick.randrange((len(out) - width) // 4 + 1)
            out[at : at + width] = (pick.choice(ODD) * pick.choice([1, 1, 1 << 32]) & (1 << 8 * width) - 1).to_bytes(width, "little")
        return bytes(out)

    def commands(self, sock):
        """Of its own."""
        pick = self.random
        for _ in range(pick.randrange(4)):
            body = struct.pack("=QQ", pick.choice([0, 0x1000_0000, (1 << 64) - 8]), pick.choice(ODD))
            command = pick.choice([11, 11, 12, 1, 9, 77])
            sock.sendall(struct.pack("=HHIII", pick.randrange(65536), command, 16 + len(body), 0, 0) + body)

    def serve_one(self, sock):
        pick = self.random
        head, fds, _, _ = socket.recv_fds(sock, 16, 64)
        for fd in fds:
            os.close(fd)
        if len(head) < 16:
            return False
        number, command, size, flags, _ = struct.unpack("=HHIII", head)
        body = sock.recv(size - 16, socket.MSG_WAITALL) if size > 16 else b""
        if flags & 1:
            return True
        if pick.random() < 0.1:
            self.commands(sock)
        out, file = self.answer(command, body, len(fds))
        files = [] if file is None else [file]
        if files:
            os.ftruncate(file, 4096)
        flags, error = 1, 0
        if pick.random() < 0.3:
            out = self.changed(out)
        how = pick.random()
        if how < 0.03:
            flags, error = 0x21, pick.choice(ODD)
        elif how < 0.05:
            flags = pick.choice([0, 2, 0x31, 0xFFFFFFFF])
        elif how < 0.08:
            files += [os.memfd_create("more") for _ in range(pick.choice([1, 2, 17]))]
        elif how < 0.1:
            number = number + 1 & 0xFFFF
        message = struct.pack("=HHIII", number, command, 16 + len(out), flags, error) + out
        self.sent = [*self.sent[-20:], message]
        if how > 0.99:
            message = message[: pick.randrange(len(message))]
        try:
            if how < 0.98 and message:
                socket.send_fds(sock, [message], files)
            if 0.92 < how < 0.94:
                sock.sendall(message)
        finally:
            for one in files:
                os.close(one)
        return how < 0.99


def open_fds():
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def command(capsys):
    """command("info", path...) -> (status, output, what it says on standard error), in this process."""

    def run(*words):
        capsys.readouterr()
        status = vfu.cli.main([str(word) for word in words])
        return status, *capsys.readouterr()

    return run


def is_calm(text):
    """Nothing in it moves a cursor."""
    return all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_ends_in_a_line(tmp_path, command, words):
    name, *rest = words
    before, threads = open_fds(), threading.active_count()
    for seed in SEEDS:
        server = Hostile(tmp_path / f"{seed}", f"{seed} {words}")
        status, out, said = command(name, tmp_path / f"{seed}", "--timeout=0.1", *rest)
        server.close()
        assert status in (0, 1, 124), (seed, status)
        assert said.count("\n") == (status != 0), (seed, said)
        assert len(said) < 500 and is_calm(said), (seed, said)
        assert len(out) < 200_000 and is_calm(out), (seed, out[:500])
    assert open_fds() == before and threading.active_count() == threads


def test_clients_say_the_first_cause(tmp_path):
    causes = 0
    for seed in SEEDS:
        server = Hostile(tmp_path / f"{seed}", seed)
        try:
            with vfu.Client(tmp_path / f"{seed}", timeout=0.1, irqs=False) as dev:
                said = set()
                for index in range(60 if dev.info.regions else 0):
                    try:
                        dev.regions[0].read(index, 16)
                    except vfu.Error as error:
                        if not dev.connected:
                            said.add(error.strerror.partition(": ")[2])
                assert len(said) <= 1, said
                causes += len(said)
        except vfu.Error as error:
            assert error.strerror
        server.close()
    assert causes


def test_what_is_explained_is_calm(tmp_path, command):
    """Messages of such servers, as vfu trace shows them too."""
    for seed in SEEDS[:5]:
        server = Hostile(tmp_path / f"{seed}", seed)
        vfu.cli.main(["info", str(tmp_path / f"{seed}"), "--timeout=0.1"])
        server.close()
        (tmp_path / "hex").write_text("".join(message.hex() for message in server.sent))
        for how in ([], ["--json"]):
            status, out, said = command("explain", *how, "--", "".join(message.hex() for message in server.sent[-4:]) or "00")
            assert status in (0, 1, 2, 3) and is_calm(out) and is_calm(said), (seed, said)


def version_message(text):
    body = struct.pack("=HH", 0, 0) + text.encode() + b"\0"
    return (struct.pack("=HHIII", 1, VERSION, 16 + len(body), 1, 0) + body).hex()


def test_text_of_a_peer_is_escaped(command):
    _, out, _ = command("explain", version_message(f'{{"{ESCAPES}": 1}}'))
    assert is_calm(out) and r"\x1b[2J\x1b]0;owned\x07\x9b31m\u202e" in out
    _, out, _ = command("explain", "--json", version_message(f'{{"{ESCAPES}": 1}}'))
    assert is_calm(out) and ESCAPES in next(f["value"] for f in json.loads(out)["fields"] if f["name"] == "version.data")
    _, out, _ = command("explain", version_message(f'{{"{"x" * 9000}": 1}}'))
    assert max(map(len, out.splitlines())) < LONGEST + 100 and "... 9007 characters" in out


# ---- numbers that are lawful, and more than anybody wants to see ----


def test_a_region_that_is_not_there_is_no_fault_of_the_program(tmp_path, command):
    server = Odd(tmp_path / "s")
    assert command("shell", tmp_path / "s", "-c", "1\nbar0.size") == (
        1, "", "vfu shell: -c, line 2: the device has no region bar0\n")
    server.close()


@pytest.fixture
def odd(tmp_path):
    servers = []

    def start(**says):
        servers.append(Odd(tmp_path / f"{len(servers)}", **says))
        return tmp_path / f"{len(servers) - 1}"

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize("size", [(1 << 64) - 1, 1 << 63, 1 << 31])
def test_huge_regions_are_dumped_in_part(odd, command, size):
    bar0 = (size, 3, 0, None)
    assert command("dump", odd(bar0=bar0), "bar0") == (
        1, "", f"vfu dump: bar0 has {size:#x} bytes; say how many you want, as bar0,4096\n")
    assert len(command("dump", odd(bar0=bar0), "bar0,32")[1].splitlines()) == 3
    assert command("dump", odd(bar0=bar0), f"bar0+{size - 16:#x}")[0] == 0


def test_bytes_do_not_go_to_a_terminal(odd):
    near, far = os.openpty()
    result = subprocess.run([sys.executable, "-m", "vfu", "dump", str(odd()), "config", "--raw"], stdout=far,
                            stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(far)
    os.close(near)
    assert (result.returncode, result.stderr) == (
        1, "vfu dump: the device's bytes could be anything to a terminal: say -o FILE, or give them to a pipe\n")


@pytest.mark.parametrize("size, offset, code", [(1 << 62, 0, errno.ENOMEM), (4096, 100, errno.EINVAL)])
def test_what_does_not_fit_here_is_an_error(odd, size, offset, code):
    file = os.memfd_create("huge")
    os.ftruncate(file, (1 << 63) - 4096)
    with vfu.Client(odd(bar0=(size, 7, offset, file))) as dev:
        with pytest.raises(vfu.Error, match="bar0: .* of its file cannot be mapped") as caught:
            dev.regions.bar0.map()
        assert caught.value.errno == code
    os.close(file)


def test_many_areas_are_counted(tmp_path, command):
    class Sparse(Hostile):
        def serve_one(self, sock):
            self.random = random.Random()
            self.random.random = lambda: 0.5  # nothing is changed
            return super().serve_one(sock)

    server = Sparse(tmp_path / "s", 0)
    _, out, said = command("info", tmp_path / "s")
    server.close()
    assert out.count("mappable: 0x") == 64 and "mappable: 8 areas more" in out, (out, said)


# ---- each answer in time, and all of them never ----


class Patient(Odd):
    """Takes its time for each answer to one command, so that all would take long."""

    regions, bar0 = 9, (1 << 20, 3, 0, None)
    slow = REGION
    pause = 0.15

    def answer(self, command, body, nfds):
        if command == self.slow:
            time.sleep(self.pause)
        return super().answer(command, body, nfds)


@pytest.mark.parametrize("slow, words, asked", [
    (REGION, ["info"], "get_region_info"), (IRQ, ["info"], "get_irq_info"), (WRITE, ["read", "config.command", "--enable"], "region_write"),
    (READ, ["read", *["bar0+0"] * 99], "region_read"), (READ, ["dump", "bar0", "--width=8"], "region_read"),
    (WRITE, ["write", *["bar0+0=1"] * 99], "region_write"), (WRITE, ["wait", "bar0+0=77", *["--write=bar0+0=1"] * 99], "region_write"),
    (REGION, ["shell", "-c", "1"], "get_region_info"),
], ids=lambda words: words[0] if isinstance(words, list) else None)  # fmt: skip
def test_answers_that_come_just_in_time_are_too_many(tmp_path, command, slow, words, asked):
    server = Patient(tmp_path / "s", slow=slow)
    name, *rest = words
    status, out, said = command(name, tmp_path / "s", "--timeout=0.4", *rest)
    server.close()
    assert (status, out if name != "dump" else "") == (124, ""), said
    assert re.fullmatch(
        rf"vfu {name}: not done after [0-9.]+ s, when it waited for (the connection|the answer to {asked}|the device)\n", said), said
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0) and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_what_was_waited_for_is_named(tmp_path, command):
    server = Patient(tmp_path / "s", slow=IRQ, pause=2.0)
    said = command("info", tmp_path / "s", "--timeout=1")
    server.close()
    assert said == (124, "", "vfu info: not done after 1 s, when it waited for the answer to get_irq_info\n")


def test_a_register_that_never_comes_says_what_it_is(tmp_path, command):
    server = Patient(tmp_path / "s", slow=READ, pause=0.05)
    status, _, said = command("wait", tmp_path / "s", "--timeout=0.4", "bar0+0=77")
    server.close()
    assert status == 124
    assert said == "vfu wait: bar0+0=77 did not come, bar0+0 is 0x00011234\n" or said.startswith("vfu wait: not done after 1.4 s")
