# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The twin socket: a Client asks for it, a Server grants it, and the device's messages go by it."""

import asyncio
import io
import json
import os
import subprocess
import sys
import threading
import time

import pytest

import vfu
from vfu.trace import Recorder, Relay, pcapng, read

ON = {"twin_socket": 1}
DMA = {11, 12}


class Device(vfu.Device):
    """Copies within its client's memory; a register that reads there before it answers."""

    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)
    source = bar0.reg64(0x00)
    target = bar0.reg64(0x08)
    length = bar0.reg64(0x10)
    word = bar0.reg32(0x20)

    def __init__(self):
        super().__init__()
        self.ends = []

    @bar0.reg32(0x18).on_write
    async def go(self, value):
        for _ in range(value):
            await self.dma.write(self.target, await self.dma.read(self.source, self.length))
        self.irqs.msix[0].trigger()

    @word.on_read
    def word_of_memory(self):
        return int.from_bytes(self.dma.read_sync(self.source, 4), "little")

    @bar0.reg32(0x24).on_write
    async def forever(self, value):
        try:
            while True:
                await self.dma.write(self.target, b"x" * 4096)
        except vfu.Error as error:
            self.ends.append(error.errno)


def copy(dev, source, target, length, times=1):
    bar0 = dev.regions.bar0
    bar0.write64(0, source.iova)
    bar0.write64(8, target.iova)
    bar0.write64(0x10, length)
    bar0.write32(0x18, times)
    assert dev.irqs.msix[0].wait(timeout=60) == 1


@pytest.mark.parametrize("client, server", [(0, 0), (0, 1), (1, 0), (1, 1), (1, None), (None, None)])
def test_both_must_want_it(serve, client, server):
    device = Device()
    on = bool(client) and server != 0
    path = serve(device, options={} if server is None else {"twin_socket": server})
    with vfu.Client(path, options={} if client is None else {"twin_socket": client}) as dev:
        assert dev.limits["twin_socket"] is dev.agreed["twin_socket.supported"] is on
        assert device.agreed["twin_socket.supported"] is on
        memory = dev.dma.alloc(4096, shared=False)
        memory[:4] = b"\1\2\3\4"
        dev.regions.bar0.write64(0, memory.iova)
        assert dev.regions.bar0.read32(0x20) == 0x04030201


def test_by_its_capability(serve):
    path = serve(Device(), capabilities={"twin_socket.supported": True})
    with vfu.Client(path, capabilities={"twin_socket.supported": True}) as dev:
        assert dev.limits["twin_socket"]
    for wrong in 2, -1:
        with pytest.raises(ValueError, match="twin_socket"):
            vfu.Client(path, options={"twin_socket": wrong})


@pytest.mark.parametrize("background", [False, True], ids=["waits", "background"])
def test_copies(connect, background):
    dev = connect(Device(), background=background, options=ON)
    source, target = (dev.dma.alloc(1 << 20, shared=False) for _ in "st")
    source[:] = bytes(i * 7 & 0xFF for i in range(4096)) * 256
    copy(dev, source, target, 1 << 20)
    assert target[:] == source[:]
    copy(dev, source, target, 4096, times=50)
    dev.reset()
    dev.config.bus_master = True
    dev.regions.bar0.write64(0, source.iova)
    assert dev.regions.bar0.read32(0x20) == int.from_bytes(source[:4], "little")


def test_both_directions_at_once(connect):
    """Threads that access registers, one that waits, and the device's messages all the while."""
    dev = connect(Device(), options=ON)
    source, target = (dev.dma.alloc(65536, shared=False) for _ in "st")
    source[:] = bytes(range(256)) * 256
    stop = threading.Event()
    counts = []

    def access():
        count = 0
        while not stop.is_set():
            assert dev.regions.bar0.read64(0x10) in (0, 65536)
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=access) for _ in range(3)]
    for thread in threads:
        thread.start()
    copy(dev, source, target, 65536, times=100)
    stop.set()
    for thread in threads:
        thread.join()
    assert target[:] == source[:] and all(counts)


def test_no_message_comes_after_an_unmap_or_a_reset(connect):
    """The device writes without end: what its client takes back, or resets, is not written any more."""
    device = Device()
    dev = connect(device, background=True, options=ON)
    for round in range(20):
        memory = dev.dma.alloc(4096, shared=False)
        dev.regions.bar0.write64(8, memory.iova)
        dev.regions.bar0.write32(0x24, 1)
        while not memory[0]:
            time.sleep(0.001)
        if round % 2:
            dev.dma.unmap(memory)
        else:
            dev.reset()
        memory[:] = bytes(4096)
        dev.regions.bar0.read64(8)
        assert memory[:] == bytes(4096)
        if not round % 2:
            dev.dma.unmap(memory)


def test_the_end_of_the_server_is_the_end(tmp_path):
    with vfu.Server(Device(), str(tmp_path / "socket")).start() as server:
        with vfu.Client(str(tmp_path / "socket"), options=ON) as dev:
            server.close()
            with pytest.raises(vfu.Disconnected):
                dev.regions.bar0.read64(8)


def test_served_by_asyncio(tmp_path):
    """The server's loop and the client's thread."""
    path = str(tmp_path / "socket")

    def use():
        with vfu.Client(path, options=ON) as dev:
            source, target = (dev.dma.alloc(65536, shared=False) for _ in "st")
            source[:] = b"ab" * 32768
            copy(dev, source, target, 65536, times=5)
            return target[:] == source[:] and dev.limits["twin_socket"]

    async def main():
        with vfu.Server(Device(), path) as server:
            task = asyncio.ensure_future(server.serve_async())
            assert await asyncio.get_running_loop().run_in_executor(None, use)
            server.stop()
            await task

    asyncio.run(asyncio.wait_for(main(), 60))


def test_through_trace(serve, tmp_path):
    """A relay carries both sockets, and its file says which message went by which."""
    path, file = str(tmp_path / "relay"), tmp_path / "trace.pcapng"
    recorder = Recorder(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC), 1 << 16)
    relay = Relay(path, serve(Device()), recorder)
    thread = threading.Thread(target=relay.serve)
    thread.start()
    with vfu.Client(path, options=ON) as dev:
        source, target = (dev.dma.alloc(4096, shared=False) for _ in "st")
        copy(dev, source, target, 4096, times=3)
        assert dev.limits["twin_socket"]
    relay.close()
    thread.join()
    recorder.close()
    records = [r for r in read(io.BytesIO(file.read_bytes())) if r.kind == pcapng.MESSAGE]
    commands = {twin: {int.from_bytes(r.data[2:4], sys.byteorder) for r in records if r.twin is twin} for twin in (False, True)}
    assert commands[True] == DMA and not commands[False] & DMA


def test_commands(serve):
    path = serve(Device())
    for argv, twin in ([], False), (["--option", "twin_socket=1"], True):
        done = subprocess.run(
            [sys.executable, "-m", "vfu", "info", path, "--json", *argv], capture_output=True, text=True, check=True, timeout=60
        )
        assert json.loads(done.stdout)["protocol"]["twin_socket"] is twin
        done = subprocess.run(
            [sys.executable, "-m", "vfu", "info", path, *argv], capture_output=True, text=True, check=True, timeout=60)
        assert ("twin socket" in done.stdout) is twin
