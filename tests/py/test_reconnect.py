# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Servers that come late, and come again."""

import asyncio
import contextlib
import errno
import subprocess
import sys
import threading

import pytest

import vfu
import vfu.aio


class Device(vfu.Device):
    vendor_id = 0x1234
    bar0 = vfu.Bar(size=4096)
    value = bar0.reg32(0)


@contextlib.contextmanager
def later(path):
    """A server that is there in a moment."""
    servers = []
    timer = threading.Timer(0.05, lambda: servers.append(vfu.Server(Device(), path).start()))
    timer.start()
    yield
    timer.join()
    servers.pop().close()


def test_wait_for_a_server(tmp_path):
    path = tmp_path / "s"
    with later(path), vfu.Client(path, wait=60) as dev:
        assert dev.config.vendor_id == 0x1234


def test_wait_for_a_turn(tmp_path):
    """The server has a client, which goes."""
    path = tmp_path / "s"
    with vfu.Server(Device(), path).start():
        first = vfu.Client(path)
        with pytest.raises(vfu.Disconnected):
            vfu.Client(path)
        going = threading.Timer(0.05, first.close)
        going.start()
        with vfu.Client(path, wait=60) as second:
            assert second.config.vendor_id == 0x1234
        going.join()


def test_wait_in_vain(tmp_path):
    with pytest.raises(vfu.NotFound):
        vfu.Client(tmp_path / "s", wait=0.05)
    with pytest.raises(ValueError, match="timeout"):
        vfu.Client(tmp_path / "s", wait=-1)


@pytest.mark.parametrize("command", [["info"], ["read", "config.vendor_id"], ["wait", "config.vendor_id=0x1234"]])
def test_wait_of_commands(tmp_path, command):
    path = tmp_path / "s"
    argv = [sys.executable, "-m", "vfu", command[0], str(path), "--wait", "60", *command[1:]]
    with later(path):
        assert b"1234" in subprocess.run(argv, check=True, timeout=100, stdout=subprocess.PIPE).stdout


# ---- and connections that come again ----


class Memory(vfu.Device):
    """BAR0 is memory that may be mapped; a write to BAR2 copies 8 bytes at address 0 of DMA to BAR0, and raises MSI."""

    vendor_id = 0x1234
    bar0 = vfu.Bar(size=4096, mmap=True)
    bar2 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msi=1)
    go = bar2.reg32(0)

    @go.on_write
    async def _(self, value):
        self.bar0[:8] = await self.dma.read(0, 8)
        self.irqs.msi[0].trigger()


def test_reconnect(tmp_path):
    path, links = tmp_path / "s", []
    server = vfu.Server(Memory(), path).start()
    with vfu.Client(path, reconnect=60, on_link=links.append) as dev:
        assert dev.link.event is None
        buffer = dev.dma.alloc(4096, iova=0)
        for number in range(1, 4):
            buffer[:8] = number.to_bytes(8, "little")
            dev.regions.bar2.write32(0, 1)
            assert dev.irqs.msi.wait(60)
            assert dev.regions.bar0.map()[:8] == dev.regions.bar0.read(0, 8) == buffer[:8]
            server.close()
            server = vfu.Server(Memory(), path).start()
            with contextlib.suppress(vfu.Disconnected):  # it was under way
                dev.config.vendor_id
            assert dev.config.vendor_id == 0x1234
            assert dev.connected
            assert dev.link.event == "restored"
            assert (dev.link.restored, dev.link.state) == (number, "lost")
    server.close()
    assert [link.event for link in links] == ["lost", "restored"] * 3
    assert all(isinstance(link.cause, vfu.Disconnected) for link in links[::2])


async def in_a_loop(path):
    """Of vfu.aio.Client: what is under way is Disconnected, interrupts are waited for."""
    server, restored = vfu.Server(Memory(), path).start(), asyncio.Event()
    tell = asyncio.get_running_loop().call_soon_threadsafe

    def on_link(link):
        tell(restored.set if link.event == "restored" else restored.clear)

    async with vfu.aio.connect(path, reconnect=60, on_link=on_link) as dev:
        buffer = await dev.dma.alloc(4096, iova=0)
        await dev.irqs.msi.enable()
        for number in range(1, 4):
            waiter = asyncio.ensure_future(dev.irqs.msi.wait(60))
            await asyncio.to_thread(server.close)
            server = vfu.Server(Memory(), path).start()
            await restored.wait()
            restored.clear()
            assert (dev.link.restored, dev.link.state, dev.connected) == (number, "lost", True)
            buffer[:8] = number.to_bytes(8, "little")
            await dev.regions.bar2.write32(0, 1)
            assert await waiter
            assert await dev.regions.bar0.read(0, 8) == buffer[:8]
    server.close()


def test_reconnect_in_a_loop(tmp_path):
    asyncio.run(in_a_loop(tmp_path / "s"), debug=True)


async def waits_in_a_loop(path):
    """What is asked while nobody is there waits for a server, as the calls of vfu.Client do, and as long."""
    for timeout in None, 0.05:
        server = vfu.Server(Memory(), path).start()
        async with vfu.aio.connect(path, reconnect=60, timeout=60) as dev:
            await dev.regions.bar2.info()
            await asyncio.to_thread(server.close)
            while dev.link.event != "lost":
                await asyncio.sleep(0.001)
            asked = [
                asyncio.ensure_future(one)
                for one in (
                    dev.regions.bar2.read32(4, timeout=timeout),
                    dev.config.read16(0, timeout=timeout),
                    dev.call("get_irq_info", index=0, timeout=timeout),
                )
            ]
            await asyncio.sleep(0)
            assert not any(one.done() for one in asked)
            with pytest.raises(vfu.Disconnected):  # as a vfu.Client's: it waits for nothing
                await dev.regions.bar2.write32(4, 1, post=True)
            if timeout is None:
                server = vfu.Server(Memory(), path).start()
                assert (await asyncio.gather(*asked))[:2] == [0, 0x1234]
                server.close()
            else:
                ends = await asyncio.gather(*asked, return_exceptions=True)
                assert [type(end) for end in ends] == [vfu.Disconnected] * 3


def test_waits_in_a_loop(tmp_path):
    asyncio.run(waits_in_a_loop(tmp_path / "s"), debug=True)


def test_each_event_is_told(tmp_path, monkeypatch):
    """Also of a connection that ends at once, when nobody can be asked about regions."""
    path, events = tmp_path / "s", []

    def refresh(self):
        raise vfu.Disconnected(errno.ENOTCONN, "it has ended")

    monkeypatch.setattr("vfu.client.regions.Regions._refresh", refresh)
    server = vfu.Server(Memory(), path).start()
    with vfu.Client(path, reconnect=60, on_link=lambda link: events.append(link.event)) as dev:
        server.close()
        with vfu.Server(Memory(), path).start():
            while dev.link.restored < 1:
                with contextlib.suppress(vfu.Disconnected):
                    dev.config.vendor_id
    assert events == ["lost", "restored"]


def test_reconnect_in_a_batch(tmp_path):
    """What was written before the connection ended may be lost, so the batch says so."""
    path = tmp_path / "s"
    server = vfu.Server(Device(), path).start()
    with vfu.Client(path, reconnect=60) as dev:
        bar0 = dev.regions.bar0
        with pytest.raises(vfu.Disconnected, match="batch"), dev.posting():
            bar0.write32(0, 1)
            server.close()
            server = vfu.Server(Device(), path).start()
            while dev.link.restored < 1:
                with contextlib.suppress(vfu.Disconnected):
                    dev.config.vendor_id
            bar0.write32(0, 2)
        with dev.posting():
            bar0.write32(0, 3)
        assert bar0.read32(0) == 3
    server.close()


async def in_a_batch_of_a_loop(path):
    for comes_again in True, False:
        server = vfu.Server(Device(), path).start()
        async with vfu.aio.connect(path, reconnect=60, timeout=60) as dev:
            bar0 = dev.regions.bar0
            await bar0.read32(0)
            await bar0.write32(0, 0, post=True)
            with pytest.raises(vfu.Disconnected, match="batch"):
                async with dev.posting():
                    await bar0.write32(0, 1)
                    await asyncio.to_thread(server.close)
                    while dev.link.event != "lost":
                        await asyncio.sleep(0.001)
                    if comes_again:
                        server = vfu.Server(Device(), path).start()
                        await bar0.read32(0)
                        await bar0.write32(0, 2)
            if comes_again:
                async with dev.posting():
                    await bar0.write32(0, 3)
                assert await bar0.read32(0) == 3
        server.close()


def test_reconnect_in_a_batch_of_a_loop(tmp_path):
    asyncio.run(in_a_batch_of_a_loop(tmp_path / "s"), debug=True)


def test_a_post_waits_for_nothing(tmp_path):
    """Until there is a connection again it is Disconnected."""
    path = tmp_path / "s"
    server = vfu.Server(Device(), path).start()
    with vfu.Client(path, reconnect=60) as dev:
        bar0 = dev.regions.bar0
        server.close()
        while dev.link.event != "lost":
            with contextlib.suppress(vfu.Disconnected):
                bar0.write32(0, 1, post=True)
        with pytest.raises(vfu.Disconnected):
            bar0.write32(0, 1, post=True)


def test_reconnect_in_the_background(tmp_path):
    """on_link sets the device up again, before others."""
    path, done = tmp_path / "s", threading.Event()

    def on_link(link):
        if link.event == "restored":
            dev.regions.bar0.write32(16, 99)
            done.set()

    server = vfu.Server(Memory(), path).start()
    with vfu.Client(path, reconnect=60, on_link=on_link, background=True) as dev:
        server.close()
        server = vfu.Server(Memory(), path).start()
        assert done.wait(60)
        assert dev.regions.bar0.read32(16) == 99
    server.close()


def test_an_interrupt_while_nobody_is_there(tmp_path):
    """The time of the wait holds, not that which the client would wait for a server."""
    path = tmp_path / "s"
    with vfu.Server(Memory(), path).start() as server, vfu.Client(path, reconnect=60, timeout=0) as dev:
        dev.irqs.msi.fd
        server.close()
        for timeout in [0, 0.01] * 3:
            assert dev.irqs.msi.wait(timeout=timeout) == 0
        assert dev.link.event == "lost"


def test_reconnect_ends(tmp_path, monkeypatch):
    """What on_link raises is logged: not by pytest here, which would keep its frames."""
    path, links, logged = tmp_path / "s", [], []
    monkeypatch.setattr("vfu.client.logger.exception", lambda text, link: logged.append(link))

    def on_link(link):
        links.append(link)
        raise KeyError("mistake")

    server = vfu.Server(Memory(), path).start()
    with vfu.Client(path, reconnect=60, on_link=on_link) as dev:
        server.close()
        with vfu.Server(Device(), path).start():
            while dev.link.event != "ended":
                with contextlib.suppress(vfu.Disconnected):
                    dev.config.vendor_id
        cause = dev.link.cause
        assert links[-1].event == "ended"
        assert (cause.errno, not dev.connected) == (errno.ESTALE, True)
        assert "region" in cause.strerror
        with pytest.raises(vfu.Disconnected, match="region"):
            dev.config.vendor_id
    assert logged == links
    with pytest.raises(ValueError, match="path"):
        vfu.Client(fd=0, reconnect=1)
