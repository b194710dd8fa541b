# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu trace: what it relays is as without it; what it shows is what went by."""

import contextlib
import io
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

import vfu
from vfu.cli import main
from vfu.decode import Decoder, load
from vfu.trace import Filter, Recorder, Relay, pcapng, read

HERE = pathlib.Path(__file__).resolve().parent
COUNTER = HERE.parent.parent / "python" / "examples" / "counter.py"
HEADER = struct.Struct("=HHIII")
TIMEOUT = 30
RESET = HEADER.pack(1, 13, 16, 0, 0)
TWIN = b'\0\0\0\0{"capabilities":{"twin_socket":{"supported":true,"fd_index":%d}}}\0'


def message(number, command=13, flags=0, body=b""):
    return HEADER.pack(number, command, 16 + len(body), flags, 0) + body


class Rig:
    """A relay; connect() gives both ends of a connection through it."""

    def __init__(self, place):
        self.path, self.file = str(place / "client.sock"), place / "trace.pcapng"
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(place / "server.sock"))
        self.server.listen()
        self.recorder = Recorder(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC), 1 << 16)
        self.relay = Relay(self.path, str(place / "server.sock"), self.recorder)
        self.thread = threading.Thread(target=self.relay.serve)
        self.thread.start()
        self.ends = [self.server]

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.path)
        server, _ = self.server.accept()
        for end in (client, server):
            end.settimeout(TIMEOUT)
            self.ends.append(end)
        return client, server

    def close(self):
        for end in self.ends:
            end.close()
        self.relay.close()
        self.thread.join()
        self.recorder.close()

    def records(self):
        """What was noted, once all is over."""
        self.close()
        return list(read(io.BytesIO(self.file.read_bytes())))


@pytest.fixture
def rig(tmp_path):
    it = Rig(tmp_path)
    yield it
    with contextlib.suppress(OSError):
        it.close()


def receive(sock, size):
    """So many bytes, and the descriptors that came with them."""
    data, fds = b"", []
    while len(data) < size:
        part, came, _, _ = socket.recv_fds(sock, size - len(data), 253)
        assert part, "closed"
        data, fds = data + part, fds + came
    return data, fds


# ---- messages ----


def test_both_ways(rig):
    client, server = rig.connect()
    body = os.urandom(4096)
    for number in range(3):
        client.sendall(message(number, 10, 0, body))
        assert receive(server, 4112) == (message(number, 10, 0, body), [])
        server.sendall(message(number, 10, 1))
        assert receive(client, 16) == (message(number, 10, 1), [])
    records = [r for r in rig.records() if r.kind == pcapng.MESSAGE]
    assert [(r.sender, r.length) for r in records] == [(0, 4112), (1, 16)] * 3
    assert [r.time for r in records] == sorted(r.time for r in records)
    assert records[0].data == message(0, 10, 0, body)


@pytest.mark.parametrize("alike", [0, 16, 32, 36, 48])
def test_descriptors_stay_with_their_message(rig, alike):
    """Also where many lie in the socket when the relay reads, and others than it may expect after some alike."""
    client, server = rig.connect()
    files = [os.memfd_create(f"{i}") for i in range(4)]
    blocker = message(0, 10, 0, bytes(1 << 20))
    before = [(message(100 + i, 10, 0, bytes(alike - 16)), []) for i in range(5 if alike else 0)]
    after = [(message(1), []), (message(2), files[:2]), (message(3), []), (message(4, 2, 0, bytes(32)), files[2:3]),
             (message(5, 2, 0, bytes(4)), files[3:]), (message(6, 2, 0, bytes(100)), [])]

    def send():
        client.sendall(blocker)
        for data, fds in before + after:
            socket.send_fds(client, [data], fds)

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(0.05)  # all of it is sent, if that is possible
    receive(server, len(blocker))
    for data, wanted in before + after:
        got, fds = receive(server, len(data))
        assert got == data
        assert [os.fstat(fd).st_ino for fd in fds] == [os.fstat(fd).st_ino for fd in wanted]
        for fd in fds:
            os.close(fd)
    sender.join()
    for fd in files:
        os.close(fd)
    records = [r for r in rig.records() if r.kind == pcapng.MESSAGE][1:]
    assert [(r.data, r.nfds) for r in records] == [(data, len(fds)) for data, fds in before + after]


def test_a_message_larger_than_what_is_kept(rig):
    client, server = rig.connect()
    data = message(1, 10, 0, os.urandom(3 << 20))
    sender = threading.Thread(target=client.sendall, args=(data,))
    sender.start()
    assert receive(server, len(data))[0] == data
    sender.join()
    client.sendall(RESET)
    assert receive(server, 16)[0] == RESET
    big, small = (r for r in rig.records() if r.kind == pcapng.MESSAGE)
    assert (big.length, big.data, small.data) == (len(data), data[: 1 << 16], RESET)


def test_bytes_that_are_no_messages(rig):
    client, server = rig.connect()
    junk = bytes(16) + os.urandom(1000)
    client.sendall(junk)
    client.shutdown(socket.SHUT_WR)
    assert receive(server, len(junk))[0] == junk
    assert server.recv(1) == b""


def test_back_pressure(rig):
    """A server that does not read stops its client, and nothing is heaped up between them."""
    client, server = rig.connect()
    client.setblocking(False)
    sent, data, idle = 0, message(1, 10, 0, bytes(65520)), 0
    while idle < 20:
        try:
            sent += client.send(data[sent % len(data) :])
            idle = 0
        except BlockingIOError:
            time.sleep(0.01)
            idle += 1
    assert sent < 4 << 20
    client.settimeout(TIMEOUT)
    rest = threading.Thread(target=client.sendall, args=(data[sent % len(data) :],))
    rest.start()
    left = -(-sent // len(data)) * len(data)
    while left:
        left -= len(server.recv(min(left, 1 << 20)))
    rest.join()


# ---- who closes ----


def closed(rig):
    return [(r.sender, r.twin) for r in rig.records() if r.kind == pcapng.CLOSED]


@pytest.mark.parametrize("side", [0, 1])
def test_close(rig, side):
    ends = rig.connect()
    ends[side].sendall(RESET)
    ends[side].close()
    other = ends[1 - side]
    assert receive(other, 16)[0] == RESET
    assert other.recv(1) == b""
    with pytest.raises(BrokenPipeError):
        while True:
            other.sendall(RESET)
    assert closed(rig) == [(side, False)]


@pytest.mark.parametrize("side", [0, 1])
def test_close_in_one_direction(rig, side):
    ends = rig.connect()
    one, other = ends[side], ends[1 - side]
    one.shutdown(socket.SHUT_WR)
    assert other.recv(1) == b""
    other.sendall(RESET)
    assert receive(one, 16)[0] == RESET
    other.close()
    assert one.recv(1) == b""
    assert closed(rig) == [(side, False), (1 - side, False)]


def test_no_server(rig):
    rig.server.close()
    client = socket.socket(socket.AF_UNIX)
    rig.ends.append(client)
    client.settimeout(TIMEOUT)
    client.connect(rig.path)
    assert client.recv(1) == b""


# ---- the twin socket ----


def test_twin_socket(rig):
    client, server = rig.connect()
    ours, theirs = socket.socketpair()
    rig.ends += [ours, theirs]
    other = os.memfd_create("other")
    client.sendall(message(0, 1, 0, b'\0\0\0\0{"capabilities":{"twin_socket":{"supported":true}}}\0'))
    receive(server, 16)
    socket.send_fds(server, [message(0, 1, 1, TWIN % 1)], [other, theirs.fileno()])
    theirs.close()
    os.close(other)
    data, (first, second) = receive(client, 16 + len(TWIN % 1))
    assert data == message(0, 1, 1, TWIN % 1)
    assert os.readlink(f"/proc/self/fd/{first}").startswith("/memfd:other")
    os.close(first)
    twin = socket.socket(fileno=second)
    rig.ends.append(twin)
    twin.settimeout(TIMEOUT)
    file = os.memfd_create("file")
    socket.send_fds(ours, [message(7, 11, 0, bytes(16))], [file])
    os.close(file)
    data, fds = receive(twin, 32)
    assert data == message(7, 11, 0, bytes(16)) and len(fds) == 1
    os.close(fds[0])
    twin.sendall(message(7, 11, 1, bytes(16)))
    assert receive(ours, 32)[0] == message(7, 11, 1, bytes(16))
    ours.close()
    assert twin.recv(1) == b""
    records = rig.records()
    assert [(r.sender, r.nfds) for r in records if r.twin and r.kind == pcapng.MESSAGE] == [(1, 1), (0, 0)]
    assert (1, True) in [(r.sender, r.twin) for r in records if r.kind == pcapng.CLOSED]


# ---- files ----


def test_pcapng_in_pieces():
    wanted = [pcapng.Record(0, 10**18 + i, i & 1, bool(i & 2), i, i, RESET[:i], 16) for i in range(17)]
    data = pcapng.head(1000) + b"".join(map(pcapng.packet, wanted))
    for size in (1, 7, 64, 10000):
        reader = pcapng.Reader()
        got = [r for at in range(0, len(data), size) for r in reader.feed(data[at : at + size])]
        assert got == wanted


@pytest.mark.parametrize("data", [b"x" * 100, pcapng.head(0)[:28] + bytes(40), b"\n\r\r\n" + bytes(60)])
def test_no_pcapng(data):
    with pytest.raises(ValueError):
        list(read(io.BytesIO(data + bytes(64))))


# ---- filters ----


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("dma_map", [0, 1]),
        ("request and not dma_map", [2]),
        ("reply or region == config", [1, 2]),
        ("dma_map.address >= 0x1000", [0]),
        ("vfio_user.dma_map.flags.mmap == false", [0]),
        ("(client) and (offset == 8 or address == 0x1000)", [0, 2]),
        ("elapsed > 0.5", [1]),
        ("broken", [2]),
        ("failed and error == ENOSPC", [1]),
        ("dma_map.size != 0x1000", [0]),
        ("descriptors > 0", []),
    ],
)
def test_filter(text, wanted):
    decoder = Decoder()
    messages = [
        decoder.message(message(2, 2, 0, struct.pack("=IIQQQ", 32, 3, 0, 0x1000, 0x2000))),
        decoder.message(HEADER.pack(2, 2, 16, 0x21, 28), sender=1, time=1.0),
        decoder.message(message(3, 9, 0, struct.pack("=QII", 8, 7, 0))),
    ]
    assert [i for i, m in enumerate(messages) if Filter(text, load())(m)] == wanted


def test_what_a_filter_may_mean():
    with pytest.raises(ValueError, match=r"is it version or version\.\w+ or"):
        Filter("version.x", load())


@pytest.mark.parametrize("text", ["", "dma_mop", "(dma_map", "dma_map)", "size ==", "== 4", "size == frog", "and", "dma_map $"])
def test_no_filter(text):
    with pytest.raises(ValueError):
        Filter(text, load())


# ---- the command ----

VFU = [sys.executable, "-m", "vfu"]


def wait_for(path, process):
    deadline = time.monotonic() + TIMEOUT
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path.exists()


@pytest.fixture
def traced(tmp_path, serve):
    """traced(option, ...) -> (process, path): a counter behind vfu trace."""
    path, started = tmp_path / "traced.sock", []

    class Device(vfu.Device):
        vendor_id, device_id = 0x1234, 1
        bar0 = vfu.Bar(size=4096)

    def start(*options, **kwargs):
        kwargs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | kwargs
        process = subprocess.Popen([*VFU, "trace", str(path), serve(Device()), *options], **kwargs)
        started.append(process)
        wait_for(path, process)
        return process, str(path)

    yield start
    for process in started:
        process.kill()
        process.communicate()


def use(path, times=1):
    with vfu.Client(path, irqs=False, bus_master=False) as dev:
        for _ in range(times):
            dev.regions.bar0.write32(4, 5)
            assert dev.regions.bar0.read32(4) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_lines(traced, number):
    process, path = traced()
    use(path)
    use(path)
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (0, "")
    lines = [line.split(" ", 1)[1] for line in out.splitlines()]
    assert lines[0] == "1 client opened" and "1 client closed" in lines
    assert any(line.startswith("1 client region_write request #") and "offset=0x4 region=bar0 count=4" in line for line in lines)
    assert not os.path.exists(path)


def test_json(traced):
    process, path = traced("--json", "--one-client", "--filter", "region_write")
    use(path)
    out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (0, "")
    messages = [entry for entry in map(json.loads, out.splitlines()) if "event" not in entry]
    assert {entry["message"] for entry in messages} == {"region_write"}
    request, reply = messages[-2:]
    assert (request["kind"], reply["kind"], reply["answers"]) == ("request", "reply", request["number"])


def test_file_and_back(traced, tmp_path):
    file = tmp_path / "trace.pcapng"
    process, path = traced("-w", str(file), "--one-client")
    use(path, 50)
    assert process.communicate(timeout=TIMEOUT) == ("", "") and process.returncode == 0
    shown = subprocess.run([*VFU, "trace", "-v", "--read", str(file)], capture_output=True, text=True, timeout=TIMEOUT)
    assert shown.returncode == 0 and shown.stdout.count("region_read request") >= 50 and "offset: 0x4" in shown.stdout
    less = tmp_path / "less.pcapng"
    command = [*VFU, "trace", "--read", str(file), "-w", str(less), "--filter", "region_read and reply"]
    assert subprocess.run(command, timeout=TIMEOUT).returncode == 0
    kept = [r for r in read(io.BytesIO(less.read_bytes())) if r.kind == pcapng.MESSAGE]
    assert len(kept) >= 50 and {r.sender for r in kept} == {1}


def test_what_is_shown_may_lag(traced):
    """Nobody reads what is printed until all has gone by."""
    process, path = traced("-v")
    use(path, 600)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert err == "" and out.count("region_write request") == out.count("region_write reply") >= 600


def test_nobody_wants_to_see_more(traced):
    process, path = traced()
    process.stdout.close()
    use(path, 200)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT) == 0
    process.stdout = None


@pytest.mark.parametrize(
    "words, status", [(["one"], 2), ([], 2), (["a", "b", "--read", "c"], 2), (["--read", "/nowhere"], 1), (["/no/where", "x"], 1), (["a", "./a"], 2)]
)
def test_wrong_usage(words, status):
    run = subprocess.run([*VFU, "trace", *words], capture_output=True, text=True, timeout=TIMEOUT)
    assert run.returncode == status and run.stderr.splitlines()[-1].startswith("vfu trace: ")


def test_two_at_one_place(rig):
    with pytest.raises(OSError, match=f"{rig.path}: "):
        Relay(rig.path, "nowhere", rig.recorder)
    rig.server.accept()[0].close()  # it was asked whether it is there
    client, server = rig.connect()  # the first one is still there
    client.sendall(RESET)
    assert receive(server, 16)[0] == RESET
    assert not os.path.exists(rig.path + "~")


def test_a_bar_while_a_file_is_read(tmp_path, monkeypatch, capsys):
    file = tmp_path / "large.pcapng"
    one = pcapng.packet(pcapng.Record(pcapng.MESSAGE, 1, 0, False, 1, 0, RESET, 16))
    file.write_bytes(pcapng.head(1000) + one * 30_000)  # which is read in more than one piece
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("vfu.cli.progress.AFTER", 0)
    assert main(["trace", "--read", str(file), "--filter", "version"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "" and "reading large.pcapng" in shown.err and "100%" in shown.err
