# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""However much a client starts, so many coroutines run and no more; the rest waits its turn, or is not even read."""

import asyncio
import errno
import threading
import time

import pytest

import vfu


class Device(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    plain = bar0.reg32(0)
    event_loop = True
    max_writers = max_spawned = 4

    def __init__(self):
        super().__init__()
        self.go = threading.Event()
        self.begun, self.ended = [], 0

    async def until_go(self):
        while not self.go.is_set():
            await asyncio.sleep(0.001)
        self.ended += 1

    @bar0.reg32(4).on_write
    async def write(self, value):
        self.begun.append(value)
        await self.until_go()

    @bar0.reg32(8).on_read
    async def read(self):
        await self.until_go()
        return 42

    @bar0.reg32(0x0C).on_write
    def spawns(self, value):
        self.spawn(self.until_go())


def post(dev, numbers):
    for number in numbers:
        dev.regions.bar0.write32(4, number, post=True)


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert condition()


def test_a_flood_is_not_read(serve):
    """What waits is bounded in bytes: then the server reads no more until some have ended."""
    device = Device()
    count = 20_000
    few = {"queue_bytes": 65536}
    dev = vfu.Client(serve(device, options=few), timeout=0, options=few)
    writer = threading.Thread(target=post, args=(dev, range(count)))
    writer.start()
    # All that can come comes: nothing changes any more.
    before = -1
    while before != (before := dev.stats["requests_out"]):
        time.sleep(0.2)
    assert writer.is_alive() and len(device._waiting) < 1000
    device.go.set()
    writer.join()
    assert dev.regions.bar0.read32(0) == 0
    wait_for(lambda: device.ended == count)
    assert device.begun == list(range(count))
    dev.close()


@pytest.mark.parametrize("end", ["reset", "client", "server", "stop"])
def test_what_waits_ends_quietly(tmp_path, quiet, end):
    device = Device()
    server = vfu.Server(device, tmp_path / "sock").start()
    dev = vfu.Client(tmp_path / "sock")
    post(dev, range(100))
    assert dev.regions.bar0.read32(0) == 0
    errors = []

    def read():
        try:
            dev.regions.bar0.read32(8)
        except vfu.Error as error:
            errors.append(error.errno)

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(lambda: len(device._waiting) == 96 and len(device._tasks) == 5)
    if end == "reset":
        dev.reset()
        wait_for(lambda: not device._tasks)
        reader.join()
        assert errors == [errno.ECANCELED]
        device.go.set()
        dev.regions.bar0.write32(4, 1000)
        wait_for(lambda: device.ended)
        assert device.begun[4:] == [1000]
    elif end == "client":
        dev.close()
    elif end == "stop":
        server.stop()
        server._thread.join()
    server.close()
    dev.close()
    reader.join()
    assert not device._tasks and not device._waiting


def test_spawn(connect):
    device = Device()
    bar0 = connect(device).regions.bar0
    for _ in range(4):
        bar0.write32(0x0C, 1)
    with pytest.raises(vfu.Error) as caught:
        bar0.write32(0x0C, 1)
    assert caught.value.errno == errno.ENOBUFS
    device.go.set()
    wait_for(lambda: not device._background)
    bar0.write32(0x0C, 1)
