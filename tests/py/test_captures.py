# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Sends what QEMU once sent to a server of ours, and looks at each answer as QEMU does.

Bytes and sockets only: nothing of the library's Python side takes part. The device is made to resemble the recorded one
from the answers that its server gave.
"""

import json
import os
import pathlib
import socket
import struct
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
CAPTURES = sorted((HERE.parent / "data" / "captures").glob("*.jsonl"))
SERVER = pathlib.Path(os.environ.get("abs_builddir", ".")) / "tests" / "py" / "replay-server"

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, REGION_INFO, IRQ_INFO, SET_IRQS = 1, 2, 3, 4, 5, 7, 8
READ, WRITE, RESET, MULTI = 9, 10, 13, 15
NO_REPLY, ERROR = 0x10, 0x20
HEADER = struct.Struct("=HHIII")
TIMEOUT = 5  # QEMU's own

pytestmark = pytest.mark.skipif(not hasattr(os, "eventfd"), reason="Python 3.10 or newer makes eventfds")

# The same in all captures, but one of them shows only its beginning.
PROPOSAL = b"\0\0\0\0" + (
    b'{"capabilities": {"pgsizes": 4096, "max_msg_fds": 16, "max_dma_maps": 65535, "max_data_xfer_size": 1048576, '
    b'"migration": {"max_bitmap_size": 268435456, "pgsize": 4096}, "write_multiple": true}}\0'
)


class Message:
    def __init__(self, record):
        self.is_request = record["type"] == "cmd"
        self.from_client = record["dir"] == "c2s"
        self.id, self.command, self.flags = record["id"], record["cmd"], record["flags"]
        self.error, self.fds = record["error"], record.get("fds", [])
        self.payload = bytes.fromhex(record["payload"])
        self.is_cut = len(self.payload) < record["size"] - 16
        if self.is_cut and self.command == MULTI:
            entries = (len(self.payload) - 8) // 24
            self.payload = struct.pack("=Q", entries) + self.payload[8 : 8 + 24 * entries]
        elif self.is_cut and self.command == VERSION:
            self.payload = PROPOSAL
        elif self.is_cut:
            self.payload = self.payload.ljust(record["size"] - 16, b"\0")

    def u32(self, at):
        return struct.unpack_from("=I", self.payload, at)[0]

    def u64(self, at):
        return struct.unpack_from("=Q", self.payload, at)[0]


def load(path):
    """Messages of a capture; a connection each, in lists."""
    connections = []
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if record.get("ev") == "connect":
            connections.append([])
        elif "dir" in record:
            connections[-1].append(Message(record))
    return connections


# ---- the device ----


def region_words(reply):
    flags, index, size = reply.u32(4), reply.u32(8), reply.u64(16)
    areas = []
    if flags & 8 and len(reply.payload) > 32:
        at = reply.u32(12)
        count = reply.u32(at + 8)
        areas = [f"area:{reply.u64(at + 16 + 16 * i)}:{reply.u64(at + 24 + 16 * i)}" for i in range(count)]
    return index, size, flags & 7, areas


def capability(config, wanted):
    at = config[0x34]
    while at:
        if config[at] == wanted:
            return at
        at = config[at + 1]
    return None


def interrupt_words(config, messages):
    wires = any(m.command == SET_IRQS and m.u32(8) == 0 and m.fds for m in messages)
    words = ["intx:1"] if wires else []
    at = capability(config, 5)
    if at:
        words.append(f"msi:{1 << (config[at + 2] >> 1 & 7)}")
    at = capability(config, 0x11)
    if at:
        control, table, pba = struct.unpack_from("<HII", config, at + 2)
        words.append(f"msix:{(control & 0x7FF) + 1}:{table & 7}:{table & ~7}:{pba & ~7}")
    return words


def describe(messages):
    """The words for replay-server."""
    regions, config = {}, None
    for message in messages:
        if message.from_client or message.is_request:
            continue
        if message.command == REGION_INFO:
            index, size, flags, areas = region_words(message)
            if size and (areas or index not in regions):
                regions[index] = size, flags, areas
        elif message.command == READ and message.u32(8) == 7 and message.u64(0) == 0 and not config:
            config = message.payload[16:].ljust(256, b"\0")  # what the capture shows of it
    vendor, device = struct.unpack_from("<HH", config, 0)
    subvendor, subdevice = struct.unpack_from("<HH", config, 0x2C)
    revision, code = config[8], int.from_bytes(config[9:12], "little")
    words = [f"ids:{vendor}:{device}:{subvendor}:{subdevice}:{code}:{revision}", f"config:{regions.pop(7)[0]}"]
    for index, (size, flags, areas) in sorted(regions.items()):
        bar = config[0x10 + 4 * index] if index < 6 else 0
        bar_flags = 1 if bar & 1 else (2 if bar & 4 else 0) | (4 if bar & 8 else 0)
        words += areas + [f"region:{index}:{size}:{flags}:{bar_flags}"]
    return words + interrupt_words(config, messages)


@pytest.fixture
def served():
    """served(words) -> socket of a server's only client; at the end the server must have ended well."""
    children = []

    def start(words):
        ours, its = socket.socketpair()
        child = subprocess.Popen(
            [SERVER, str(its.fileno()), *words], pass_fds=[its.fileno()], stderr=subprocess.PIPE, text=True
        )
        its.close()
        ours.settimeout(TIMEOUT)
        children.append((ours, child))
        return ours

    yield start
    for sock, child in children:
        sock.close()
        log = child.communicate(timeout=TIMEOUT)[1]
        assert child.returncode == 0, log


# ---- the client ----


def descriptors(message):
    """What the recorded descriptors stood for, anew."""
    return [
        os.eventfd(0, os.EFD_CLOEXEC) if "eventfd" in fd["what"] else memfd(fd.get("size", 4096)) for fd in message.fds
    ]


def memfd(size):
    fd = os.memfd_create("replay")
    os.ftruncate(fd, size)
    return fd


def send(sock, message):
    header = HEADER.pack(message.id, message.command, 16 + len(message.payload), message.flags, 0)
    fds = descriptors(message)
    try:
        assert socket.send_fds(sock, [header + message.payload], fds) == 16 + len(message.payload)
    finally:
        for fd in fds:
            os.close(fd)


def receive(sock):
    """(id, command, flags, error, payload, number of descriptors)"""
    data, fds = b"", []
    want = 16
    while len(data) < want:
        part, came, _, _ = socket.recv_fds(sock, want - len(data), 8)
        assert part, "the server hung up"
        data, fds = data + part, fds + came
        if len(data) == 16:
            want = HEADER.unpack(data)[2]
            assert want >= 16
    for fd in fds:
        os.close(fd)
    number, command, _, flags, error = HEADER.unpack(data[:16])
    return number, command, flags, error, data[16:], len(fds)


# ---- QEMU's rules (qemu 11.1 refuses, or worse, what breaks them) ----


def check_version(request, payload):
    assert len(payload) <= len(request.payload)
    assert struct.unpack_from("=HH", payload) == (0, 0)
    assert payload[-1] == 0
    caps = json.loads(payload[4:-1])["capabilities"]
    assert 0 <= caps.get("max_msg_fds", 8) <= 16
    assert 4096 <= caps.get("max_data_xfer_size", 1 << 20) <= 64 << 20
    assert caps.get("max_dma_maps", 65535) <= 65535
    assert caps.get("pgsizes", 4096) % 4096 == 0


def check_info(request, payload):
    size, flags, regions, irqs = struct.unpack("=IIII", payload)
    assert (size, flags & 2) == (16, 2)
    assert 8 <= regions <= 100 and 3 <= irqs <= 50


def check_region_info(request, payload):
    argsz, flags, index, cap_offset = struct.unpack_from("=IIII", payload)
    assert 32 <= len(payload) <= request.u32(0)
    assert index == request.u32(8)
    assert len(payload) == min(argsz, request.u32(0)) or len(payload) == 32
    if flags & 8:
        assert 32 <= cap_offset <= argsz


def check_irq_info(request, payload):
    size, _, index, _ = struct.unpack("=IIII", payload)
    assert (size, index) == (16, request.u32(8))


def check_read(request, payload):
    assert payload[:16] == request.payload[:16]
    assert len(payload) == 16 + request.u32(12)


def check_write(request, payload):
    assert payload == request.payload[:16]


def check_echo(request, payload):
    assert payload == request.payload


def check_empty(request, payload):
    assert payload == b""


CHECKS = {
    VERSION: check_version,
    DMA_MAP: check_empty,
    DMA_UNMAP: check_echo,
    GET_INFO: check_info,
    REGION_INFO: check_region_info,
    IRQ_INFO: check_irq_info,
    SET_IRQS: check_empty,
    READ: check_read,
    WRITE: check_write,
    RESET: check_empty,
}


def check(request, answer):
    number, command, flags, error, payload, nfds = answer
    assert (number, command) == (request.id, request.command)
    assert flags == 1, f"command {command}: {os.strerror(error)}"
    CHECKS[command](request, payload)
    assert nfds <= 1 if command == REGION_INFO else nfds == 0


def replay(sock, messages):
    """Number of answers."""
    waiting, answered = [], 0
    for message in messages:
        if message.from_client and message.is_request:
            send(sock, message)
            if not message.flags & NO_REPLY:
                waiting.append(message)
        elif not message.from_client and not message.is_request and waiting:
            check(waiting.pop(0), receive(sock))
            answered += 1
    for request in waiting:
        check(request, receive(sock))
    return answered + len(waiting)


def the_last_word(sock):
    """Nothing more comes but the answer to one more request."""
    record = {"type": "cmd", "dir": "c2s", "id": 7, "cmd": GET_INFO, "flags": 0, "error": 0, "size": 32}
    info = Message(dict(record, payload="10" + 30 * "0"))
    send(sock, info)
    check(info, receive(sock))


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_capture(path, served):
    for messages in load(path):
        sock = served(describe(messages))
        requests = sum(m.from_client and m.is_request and not m.flags & NO_REPLY for m in messages)
        assert replay(sock, messages) == requests > 50
        the_last_word(sock)


def test_there_are_captures():
    assert len(CAPTURES) >= 12
