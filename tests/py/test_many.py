# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Many devices in one process and one asyncio loop. With the environment's MANY=1000 as many; else fewer."""

import asyncio
import os
import resource
import threading

import pytest

import vfu

MANY = int(os.environ.get("MANY", "60"))


class Counter(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)
    plain = bar0.reg32(0)
    total = bar0.reg32(8, readonly=True)

    @bar0.reg32(4).on_write
    async def add(self, value):
        await asyncio.sleep(0)
        self.total += value
        self.irqs.msix[0].trigger()

    def on_accept(self, peer):
        if self.plain == 0xFFFFFFFF:
            raise PermissionError("closed")


class Loop:
    """A thread with one event loop that serves all of them, until close()."""

    def __init__(self, servers):
        self.servers, self.tasks, self.ready = servers, [], threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()))
        self.thread.start()
        assert self.ready.wait(60)

    async def serve(self):
        self.loop = asyncio.get_running_loop()
        self.tasks = [asyncio.create_task(server.serve_async()) for server in self.servers]
        self.ready.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def close(self):
        for server in self.servers:
            server.stop()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def loop(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 12 * MANY + 200), hard), hard))
    servers = [vfu.Server(Counter(), tmp_path / f"{i}") for i in range(MANY)]
    loop = Loop(servers)
    yield loop
    loop.close()
    for server in servers:
        server.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def use(path, value):
    with vfu.Client(path) as dev:
        dev.regions.bar0.write32(0, value)
        dev.regions.bar0.write32(4, value)
        assert dev.irqs.msix[0].wait(timeout=60) == 1
        assert dev.regions.bar0.read32(8) == value and dev.regions.bar0.read32(0) == value


def test_all_at_once(loop, tmp_path):
    """All have clients, whose requests go round; each answers for itself."""
    clients = [vfu.Client(tmp_path / f"{i}") for i in range(MANY)]
    for turn in (1, 2):
        for i, dev in enumerate(clients):
            dev.regions.bar0.write32(4, i)
        for i, dev in enumerate(clients):
            assert dev.irqs.msix[0].wait(timeout=60) >= 1
            assert dev.regions.bar0.read32(8) == turn * i
    for dev in clients:
        dev.close()


def test_one_after_another(loop, tmp_path):
    for i in range(MANY):
        use(tmp_path / f"{i}", i + 1)


def test_one_ends_and_the_others_go_on(loop, tmp_path):
    first, second = loop.servers[:2]
    with vfu.Client(tmp_path / "1") as dev:
        loop.loop.call_soon_threadsafe(loop.tasks[0].cancel)
        second.device.plain = 0xFFFFFFFF
        assert dev.regions.bar0.read32(0) == 0xFFFFFFFF
    asyncio.run_coroutine_threadsafe(asyncio.wait([loop.tasks[0]]), loop.loop).result(60)
    first.close()
    with pytest.raises(vfu.NotFound):
        vfu.Client(tmp_path / "0")
    with pytest.raises(vfu.Disconnected):
        vfu.Client(tmp_path / "1")
    use(tmp_path / "2", 5)
