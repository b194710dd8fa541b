# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Files that are cut while the other end has them mapped: nobody dies of SIGBUS, in either role.

A test that fails here mostly takes the whole program with it.
"""

import contextlib
import errno
import fcntl
import logging
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import threading

import pytest

import vfu

PAGE = mmap.PAGESIZE
VERSION, DMA_MAP, DMA_UNMAP, DEVICE_INFO, REGION_INFO, IRQ_INFO = 1, 2, 3, 4, 5, 7
DMA_READ, DMA_WRITE = 11, 12


class Device(vfu.Device):
    bar0 = vfu.Bar(size=4 * PAGE, mmap=[(PAGE, PAGE)])

    @bar0.reg32(4).on_write
    def put(self, address):
        self.dma.write_sync(address, b"x" * 64)

    @bar0.reg32(8).on_write
    def get(self, address):
        self.dma.read_sync(address, 64)

    @bar0.reg32(12).on_write
    def hold(self, address):
        self.pin = self.dma.map(address, 64)


def unsealed(size):
    fd = os.memfd_create("test")
    os.ftruncate(fd, size)
    return fd


def serve_one(dev):
    while not dev.serve(0.02):
        pass


def fault(action, *args):
    with pytest.raises(OSError) as caught:
        action(*args)
    assert caught.value.errno == errno.EFAULT


# ---- the client cuts ----


@pytest.mark.parametrize("first", [4, 8])
def test_dma(connect, caplog, first):
    dev = connect(Device())
    fd = unsealed(4 * PAGE)
    buffer = mmap.mmap(fd, 4 * PAGE)
    dev.dma.map(buffer, 0x10000, fd=fd)
    dev.regions.bar0.write32(first, 0x10000)
    os.ftruncate(fd, PAGE)
    dev.regions.bar0.write32(first, 0x10000)
    with caplog.at_level(logging.WARNING):
        fault(dev.regions.bar0.write32, first, 0x10000 + PAGE)
        for register in 4, 8, 12:  # now it is lost whole
            fault(dev.regions.bar0.write32, register, 0x10000)
    assert len([r for r in caplog.records if r.getMessage().endswith("it has no memory any more")]) == 1
    caplog.clear()  # the records hold the device
    dev.dma.unmap(buffer)
    os.ftruncate(fd, 4 * PAGE)
    dev.dma.map(buffer, 0x10000, fd=fd)
    dev.regions.bar0.write32(4, 0x10000)
    assert buffer[:3] == b"xxx"
    dev.dma.unmap(buffer)
    buffer.close()
    os.close(fd)


def test_pin(connect):
    device = Device()
    dev = connect(device)
    fd = unsealed(PAGE)
    buffer = mmap.mmap(fd, PAGE)
    dev.dma.map(buffer, 0x10000, fd=fd)
    dev.regions.bar0.write32(12, 0x10000)
    os.ftruncate(fd, 0)
    with device.pin.view() as view:
        view[0] = 5
        assert bytes(view[:2]) == b"\5\0"
    with pytest.raises(OSError) as caught:
        device.pin.release()
    assert caught.value.errno == errno.EFAULT
    device.pin.release()
    dev.dma.unmap(buffer)
    buffer.close()
    os.close(fd)


def test_region_is_sealed(connect):
    dev = connect(Device())
    ((fd, _),) = dev.regions.bar0._files
    for size in 0, 1 << 30:
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
    assert not dev.regions.bar0.map().lost


def test_devices_and_processes(connect):
    dev = connect(Device())
    with open("/dev/zero", "r+b", buffering=0) as zero:
        with pytest.raises(vfu.Error, match="Invalid"):
            dev.dma.map(mmap.mmap(-1, PAGE), 0x10000, fd=zero.fileno(), fd_offset=PAGE)
    dev.regions.bar0.write32(0, 1)


def test_a_policy_takes_what_it_says(serve):
    path = serve(Device(), policy={"peer_file": "sealed"})
    with vfu.Client(path) as dev:
        fd = unsealed(PAGE)
        with pytest.raises(vfu.Error):
            dev.dma.map(mmap.mmap(fd, PAGE), 0x10000, fd=fd)
        os.close(fd)
        ram = dev.dma.alloc(PAGE, iova=0x10000)
        dev.regions.bar0.write32(4, 0x10000)
        assert ram[:2] == b"xx"


# ---- the server cuts ----


class Evil:
    """A server that answers just enough, and cuts the files it gets and gives."""

    def __init__(self, sock, file=None):
        self.sock, self.file, self.files, self.answers = sock, file, [], []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        with self.sock, contextlib.suppress(ConnectionError):
            while head := self.sock.recv(16, socket.MSG_PEEK):
                head, fds, _, _ = socket.recv_fds(self.sock, struct.unpack_from("<I", head, 4)[0], 8)
                self.files += fds
                self._serve(*struct.unpack_from("<HHII", head), head)
        for fd in self.files:
            os.close(fd)

    def _serve(self, ident, command, size, flags, message):
        if flags & 1:
            self.answers.append((struct.unpack_from("<I", message, 12)[0], message[32:]))
            return
        fds, body = [], b""
        if command == VERSION:
            body = b"\0\0\0\0" + b'{"capabilities":{"max_msg_fds":8}}\0'
        elif command == DEVICE_INFO:
            body = struct.pack("<IIII", 16, 0, 1, 0)
        elif command == REGION_INFO:
            body = struct.pack("<IIIIQQ", 32, 7 if self.file else 3, 0, 0, PAGE, 0)
            fds = [self.file] if self.file else []
        elif command == DMA_UNMAP:
            body = message[16:]
        socket.send_fds(self.sock, [struct.pack("<HHIII", ident, command, 16 + len(body), 1, 0) + body], fds)

    def ask(self, command, address, count):
        body = struct.pack("<QQ", address, count) + (bytes(count) if command == DMA_WRITE else b"")
        self.sock.sendall(struct.pack("<HHIII", 99, command, 16 + len(body), 0, 0) + body)


@pytest.fixture
def evil():
    """evil(file of the region) -> the server, and a client of it."""
    with contextlib.ExitStack() as stack:

        def start(file=None):
            ours, theirs = socket.socketpair()
            server = Evil(theirs, file)
            stack.callback(server.thread.join)
            return server, stack.enter_context(vfu.Client(fd=ours.detach(), bus_master=False))

        yield start


def test_alloc_is_sealed(evil):
    server, dev = evil()
    ram = dev.dma.alloc(PAGE, iova=0x10000)
    with pytest.raises(PermissionError):
        os.ftruncate(server.files[0], 0)
    ram[0] = 1
    assert not ram.lost


def test_mapped_region(evil):
    fd = unsealed(PAGE)
    _, dev = evil(fd)
    memory = dev.regions.bar0.map()
    memory[0] = 1
    os.ftruncate(fd, 0)
    assert memory[0] == 0
    assert memory.lost
    memory.close()
    assert memory.lost
    os.close(fd)


def test_region_is_a_device(evil):
    with open("/dev/zero", "r+b", buffering=0) as zero:
        _, dev = evil(zero.fileno())
        with pytest.raises(vfu.Error, match="not a regular file") as caught:
            dev.regions.bar0.map()
        assert caught.value.errno == errno.EPROTO


@pytest.mark.parametrize("command", [DMA_READ, DMA_WRITE])
def test_dma_served_from_a_mapping(evil, caplog, command):
    server, dev = evil()
    fd = unsealed(2 * PAGE)
    buffer = vfu.Mapping(fd, 2 * PAGE)
    dev.dma.map(buffer, 0x10000, fd=fd)
    server.ask(command, 0x10000, 8)
    serve_one(dev)
    os.ftruncate(fd, 0)
    with caplog.at_level(logging.WARNING):
        for address in 0x10000, 0x10000, 0x10000 + PAGE - 4:
            server.ask(command, address, 8)
            serve_one(dev)
    assert len([r for r in caplog.records if r.getMessage().endswith("it has no memory any more")]) == 1
    assert buffer.lost
    dev.dma.unmap(buffer)
    os.close(fd)
    dev.close()
    server.thread.join()
    assert [error for error, _ in server.answers] == [0] + 3 * [errno.EFAULT]


def test_memory_that_the_system_reads_and_fills(connect):
    """Sent from its place, and received into it: no message is cut short by memory that is gone."""
    dev = connect(Device())
    size = 2 * PAGE
    for move in dev.regions.bar0.read, dev.regions.bar0.write:
        fd = unsealed(size)
        memory = vfu.Mapping(fd, size)
        os.ftruncate(fd, 0)
        move(2 * PAGE, memory)
        assert memory.lost
        assert dev.regions.bar0.read(2 * PAGE, size) == bytes(size)
        memory.close()
        os.close(fd)


# ---- mappings ----


def test_mapping_that_cannot_close():
    fd = unsealed(2 * PAGE)
    memory = vfu.Mapping(fd, 2 * PAGE)
    with memoryview(memory), pytest.raises(BufferError):
        memory.close()
    os.ftruncate(fd, PAGE)
    memory.resize(PAGE)
    assert memory[0] == 0 and not memory.lost
    memory.close()
    assert not memory.lost
    os.close(fd)


# ---- who else wants a SIGBUS ----

BUS_ERROR = """
import mmap, os, resource, socket, vfu
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
ours, theirs = socket.socketpair()
try:
    vfu.Client(fd=ours.detach(), timeout=0.01)
except vfu.Error:
    pass
fd = os.memfd_create("test")
os.ftruncate(fd, 4096)
memory = {}(fd, 4096)
os.ftruncate(fd, 0)
print(memory[0])
"""


@pytest.mark.parametrize("kind, status", [("mmap.mmap", -signal.SIGBUS), ("vfu.Mapping", 0)])
def test_faulthandler(kind, status):
    program = BUS_ERROR.format(kind)
    # A sanitizer has a handler of its own, which would be the one that was there before.
    own = {name: os.environ.get(name, "") + ":handle_sigbus=0" for name in ("ASAN_OPTIONS", "TSAN_OPTIONS")}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program], capture_output=True, text=True, env={**os.environ, **own}
    )
    assert done.returncode == status, done.stderr
    assert ("Fatal Python error: Bus error" in done.stderr) == (status != 0)
