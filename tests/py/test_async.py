# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Handlers that are coroutines."""

import asyncio
import errno
import threading
import time

import pytest

import vfu


class Device(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)
    count = bar0.reg32(0)

    def __init__(self):
        super().__init__()
        self.events = []
        self.go = threading.Event()

    async def until_go(self):
        while not self.go.is_set():
            await asyncio.sleep(0.001)

    @bar0.reg32(4).on_write
    async def slow_write(self, value):
        try:
            await self.until_go()
        except asyncio.CancelledError:
            self.events.append("cancelled")
            raise
        self.count += value
        self.irqs.msix[0].trigger()

    @bar0.reg32(8).on_read
    async def slow_read(self):
        await self.until_go()
        return 0x1234

    @bar0.reg32(0x0C).on_read
    async def failing_read(self):
        raise OSError(errno.ENXIO, "no such thing")

    @bar0.reg32(0x10).on_write
    async def failing_write(self, value):
        raise ValueError("never mind")

    @bar0.on_access(0x100, 0x100)
    async def window(self, offset, size, value):
        await asyncio.sleep(0)
        return bytes([offset & 0xFF]) * size


def test_write_is_answered_at_once(connect):
    device = Device()
    dev = connect(device)
    dev.regions.bar0.write32(4, 5)
    assert dev.regions.bar0.read32(0) == 0
    device.go.set()
    assert dev.irqs.msix[0].wait(timeout=5) == 1
    assert dev.regions.bar0.read32(0) == 5


def test_read_is_answered_later(connect):
    device = Device()
    dev = connect(device)
    got = []
    reader = threading.Thread(target=lambda: got.append(dev.regions.bar0.read32(8)))
    reader.start()
    dev.regions.bar0.write32(0, 7)  # others are not held up
    assert dev.regions.bar0.read32(0) == 7
    assert not got
    device.go.set()
    reader.join(5)
    assert got == [0x1234]
    assert dev.regions.bar0.read16(8) == 0x1234


def test_range(connect):
    bar0 = connect(Device()).regions.bar0
    assert bar0.read(0x140, 20) == b"\x40" * 20
    assert bar0.read32(0x101) == 0x01010101


def test_failures(connect, caplog):
    dev = connect(Device())
    with pytest.raises(vfu.Error) as caught:
        dev.regions.bar0.read32(0x0C)
    assert caught.value.errno == errno.ENXIO
    dev.regions.bar0.write32(0x10, 1)  # answered before it fails
    deadline = time.monotonic() + 5
    while "never mind" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "never mind" in caplog.text and "failing_write" in caplog.text
    assert "no such thing" in caplog.text


def test_reads_over_registers_answered_later(connect, caplog):
    """The parts of a wide read come together: over coroutines, memory, and the border of a range."""
    device = Device()
    device.count = 0x11111111
    device.go.set()
    bar0 = connect(device).regions.bar0
    assert bar0.read(0, 0x0C) == b"\x11" * 4 + bytes(4) + (0x1234).to_bytes(4, "little")
    assert bar0.read(0x1FE, 8) == b"\xfe\xfe" + bytes(6)
    with pytest.raises(vfu.Error) as caught:
        bar0.read64(8)  # one of two fails
    assert caught.value.errno == errno.ENXIO
    assert bar0.read32(0) == 0x11111111


@pytest.mark.parametrize("how", ["reset", "disconnect"])
def test_cancelled(serve, how):
    device = Device()
    dev = vfu.Client(serve(device))
    dev.regions.bar0.write32(4, 5)
    if how == "reset":
        dev.reset()
    dev.close()
    deadline = time.monotonic() + 5
    while not device.events and time.monotonic() < deadline:
        time.sleep(0.01)
    assert device.events == ["cancelled"]
    assert device.count == 0


class Polling(vfu.Device):
    """Polls a flag in the client's memory, as a device does that waits for work."""

    bar0 = vfu.Bar(size=16)
    found = bar0.reg32(4)

    def __init__(self):
        super().__init__()
        self.ended = threading.Event()

    @bar0.reg32(0).on_write
    async def start(self, address):
        self.ended.clear()
        try:
            while True:
                try:
                    if (await self.dma.read(address, 4)) != bytes(4):
                        break
                except OSError:  # not mapped yet
                    pass
            self.found = 1
        finally:
            self.ended.set()


@pytest.mark.parametrize("memory", ["mapped", "message", "none"])
@pytest.mark.parametrize("end", ["found", "reset", "gone"])
def test_polling_lets_the_client_in(serve, memory, end):
    """A coroutine whose copies are done at once must not keep the server from its client."""
    device = Polling()
    path = serve(device)
    with vfu.Client(path) as dev:
        dev.regions.bar0.write32(0, 0x10000)
        if memory != "none":
            ram = dev.dma.alloc(4096, iova=0x10000, shared=memory == "mapped")
        assert dev.regions.bar0.read32(4) == 0
        if end == "reset":
            dev.reset()
        elif end == "found":
            if memory == "none":
                ram = dev.dma.alloc(4096, iova=0x10000)
            ram[0] = 1
            while not dev.regions.bar0.read32(4):
                pass
    assert device.ended.wait(20)
    with vfu.Client(path) as dev:
        assert dev.regions.bar0.read32(4) == (end == "found")


def test_inside_a_running_loop(tmp_path):
    device = Device()
    device.go.set()
    path = tmp_path / "sock"

    def use():
        with vfu.Client(path) as dev:
            dev.regions.bar0.write32(4, 1)
            return dev.irqs.msix[0].wait(timeout=5), dev.regions.bar0.read32(8)

    async def main():
        with vfu.Server(device, path) as server:
            serving = asyncio.create_task(server.serve_async())
            result = await asyncio.to_thread(use)
            server.stop()
            await asyncio.wait_for(serving, 5)
            return result

    assert asyncio.run(main()) == (1, 0x1234)


def test_one_connection(tmp_path):
    """Over an inherited, connected socket serving ends with the connection."""
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs, vfu.Server(Device(), fd=theirs) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        with vfu.Client(fd=ours) as dev:
            assert dev.regions.bar0.read32(0) == 0
        ours.close()
        theirs.close()
        thread.join(5)
        assert not thread.is_alive()


class Queue(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    running = bar0.reg32(0)
    done = bar0.reg32(4)
    max_writers = 3

    def __init__(self):
        super().__init__()
        self.go = asyncio.Event()
        self.order = []

    @bar0.reg32(8).on_write
    async def work(self, number):
        self.running += 1
        await self.go.wait()
        self.order.append(number)
        self.done += 1

    @bar0.reg32(12).on_write
    async def let_go(self, value):
        pass

    @bar0.reg32(16).on_write
    def end(self, value):
        self.go.set()


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_so_many_writes_at_once(connect):
    """Those that come then wait, in their order, and hold up nobody."""
    device = Queue()
    dev = connect(device)
    bar0 = dev.regions.bar0
    for number in range(20):
        bar0.write32(8, number, post=True)
    until(lambda: bar0.read32(0) == 3)
    waiter = threading.Thread(target=bar0.write32, args=(8, 20))  # one that wants an answer waits for it
    waiter.start()
    until(lambda: len(device._waiting) == 18)
    assert bar0.read32(0) == 3 and bar0.read32(4) == 0
    bar0.write32(16, 0)
    waiter.join()
    until(lambda: bar0.read32(4) == 21)
    assert device.order == list(range(21))
    until(lambda: not device._writers)
    assert not device._waiting


@pytest.mark.parametrize("how", ["reset", "disconnect", "stop"])
def test_writes_that_wait_are_cancelled(serve, how):
    device = Queue()
    path = serve(device)
    with vfu.Client(path) as dev:
        for number in range(20):
            dev.regions.bar0.write32(8, number, post=True)
        until(lambda: dev.regions.bar0.read32(0) == 3)
        if how == "reset":
            dev.reset()
            assert dev.regions.bar0.read32(0) == 0
            dev.regions.bar0.write32(12, 0)
    if how == "disconnect":
        with vfu.Client(path) as dev:
            dev.regions.bar0.write32(12, 0)
    if how != "stop":
        until(lambda: not device._writers)
        assert not device._waiting


def test_spawn(connect):
    class Ticking(vfu.Device):
        bar0 = vfu.Bar(size=16)
        ticks = bar0.reg32(0)
        event_loop = True

        def on_connect(self):
            self.spawn(self.tick())

        async def tick(self):
            while True:
                self.ticks += 1
                await asyncio.sleep(0.001)

    device = Ticking()
    bar0 = connect(device).regions.bar0
    deadline = time.monotonic() + 5
    while bar0.read32(0) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert bar0.read32(0) >= 3


def test_spawn_until_reset(connect):
    """A reset and the end of a connection end these, and no others; both count as spawned."""

    class Spawning(vfu.Device):
        bar0 = vfu.Bar(size=16)
        event_loop = True
        max_spawned = 3

        def on_connect(self):
            self.ended = []
            self.tasks = [self.spawn(self.forever(until_reset), until_reset=until_reset)
                          for until_reset in (True, False)]

        async def forever(self, until_reset):
            try:
                await asyncio.sleep(1000)
            finally:
                self.ended.append(until_reset)

        @bar0.reg32(0).on_write
        def more(self, value):
            self.spawn(self.forever(True), until_reset=True)

    device = Spawning()
    dev = connect(device)
    dev.regions.bar0.write32(0, 1)
    with pytest.raises(vfu.Error) as caught:
        dev.regions.bar0.write32(0, 1)
    assert caught.value.errno == errno.ENOBUFS
    dev.reset()
    until(lambda: device.ended == [True, True])
    assert not device._tasks and len(device._background) == 1
    dev.regions.bar0.write32(0, 1)
    assert len(device._tasks) == 1
    dev.close()
    until(lambda: not device._tasks)
    assert device.ended == [True, True, True] and len(device._background) == 1


def test_gate_waits(connect):
    order = []

    class Gated(vfu.Device):
        bar0 = vfu.Bar(size=16)

        async def on_gate(self, what):
            if what is vfu.Gate.RESET:
                await asyncio.sleep(0.02)
                order.append("quiet")

        def reset(self):
            order.append("reset")

    dev = connect(Gated())
    dev.reset()
    assert order == ["quiet", "reset"]


def test_a_gate_ends_with_its_server(tmp_path):
    asked = threading.Event()

    class Gated(vfu.Device):
        bar0 = vfu.Bar(size=16)

        async def on_gate(self, what):
            if what is vfu.Gate.RESET:
                asked.set()
                await asyncio.sleep(60)

    def stop_and_go():
        asked.wait(20)
        server.stop()
        server._thread.join()
        server.start()

    with vfu.Server(Gated(), tmp_path / "sock").start() as server, vfu.Client(tmp_path / "sock") as dev:
        thread = threading.Thread(target=stop_and_go)
        thread.start()
        with pytest.raises(vfu.Error) as caught:
            dev.reset()
        thread.join()
        assert caught.value.errno == errno.ECANCELED
        assert dev.regions.bar0.read32(0) == 0


def test_without_an_event_loop(tmp_path, caplog):
    device = Device()
    with vfu.Server(device, tmp_path / "sock") as server:
        thread = threading.Thread(target=server.run, kwargs={"event_loop": False})
        thread.start()
        with vfu.Client(tmp_path / "sock") as dev:
            for action in (lambda: dev.regions.bar0.write32(4, 1), lambda: dev.regions.bar0.read32(8)):
                with pytest.raises(vfu.Error) as caught:
                    action()
                assert caught.value.errno == errno.EIO
        server.stop()
        thread.join(5)
    assert "event_loop = True" in caplog.text
