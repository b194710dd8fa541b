# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu.aio: a client in an event loop. Each test runs in a loop in debug mode, which says what blocks or is left over,
against a device that a thread of this process serves; nothing is left open or running."""

import asyncio
import contextlib
import errno
import functools
import gc
import os
import socket
import threading
import warnings

import pytest

import vfu
import vfu.aio
from vfu.testing import leaves_nothing


class Device(vfu.Device):
    vendor_id, device_id = 0x1234, 0x5678
    bar0 = vfu.Bar(size=4096)
    bar1 = vfu.Bar(size=4 << 20)
    irqs = vfu.Irqs(intx=1, msix=4)
    number = bar0.reg32(0x10)

    def __init__(self):
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self.is_waiting = threading.Event()
        self.posted = 0

    @bar0.reg32(0x00).on_read
    def slow(self):
        self.is_waiting.set()
        assert self.go.wait(60)
        return 7

    @bar0.reg32(0x04).on_write
    def refuse(self, value):
        raise OSError(errno.EDOM, "no")

    @bar0.reg64(0x08).on_write
    async def copy(self, address):  # reads 64 bytes, and writes them behind
        await self.dma.write(address + 64, await self.dma.read(address, 64))
        self.irqs.msix[1].trigger()

    @bar0.reg32(0x20).on_write
    def raise_it(self, value):
        self.irqs.msix[value].trigger()

    @bar0.reg32(0x24).on_write
    def count(self, value):
        self.posted += 1

    @bar0.reg32(0x28).on_read
    def counted(self):
        return self.posted

    @bar0.reg32(0x2C).on_write
    def refuse_with(self, value):
        raise OSError(value, "no")

    def on_4242(self, request):
        return request.data, request.fds

    def feature_get_77(self, data):
        return b"seventy-seven"

    def feature_set_77(self, data):
        return None


@contextlib.contextmanager
def device(**options):
    """The device, and a socket to it."""
    served = Device()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = vfu.Server(served, fd=theirs, **options)
        theirs.close()
        with server, server.start():
            try:
                yield served, ours
            finally:
                served.go.set()


def looped(test=None, **options):
    """Runs a coroutine(device, dev) in a loop of its own."""
    if test is None:
        return functools.partial(looped, **options)

    def run():
        async def main():
            async with vfu.aio.connect(fd=ours, **options) as dev:
                ours.close()
                await test(served, dev)

        with leaves_nothing(), warnings.catch_warnings():
            warnings.simplefilter("error")
            with device() as (served, ours):
                asyncio.run(asyncio.wait_for(main(), 100), debug=True)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


# ---- accesses ----


@looped
async def test_numbers(served, dev):
    bar0 = dev.regions.bar0
    assert await bar0.read32(0) == 7
    for width, number in (8, 0x12), (16, 0x1234), (32, 0x12345678), (64, 0x123456789ABCDEF0):
        await getattr(bar0, f"write{width}")(0x100, number)
        assert await getattr(bar0, f"read{width}")(0x100) == number
    with pytest.raises(OverflowError):
        await bar0.write8(0, 256)
    assert dev.info == vfu.DeviceInfo(9, 5, True, True) and len(dev.regions) == 9 and len(dev.irqs) == 5


@looped(options={"max_data_xfer_size": 65536})
async def test_bytes(served, dev):
    """Of any length, into bytes and buffers."""
    bar1, data = dev.regions.bar1, os.urandom(1_000_000)
    await bar1.write(5, data)
    assert await bar1.read(5, len(data)) == data
    into = bytearray(len(data))
    assert await bar1.read(5, into) == len(data) and into == data
    assert await bar1.read(5, memoryview(into)[:4]) == 4
    assert await bar1.read(5, 0) == b""


@looped
async def test_many_at_once(served, dev):
    """They are under way together, and what was written first is read."""
    bar1 = dev.regions.bar1
    await asyncio.gather(*(bar1.write32(4 * i, i) for i in range(200)))
    assert await asyncio.gather(*(bar1.read32(4 * i) for i in range(200))) == list(range(200))
    served.go.clear()
    before = dev.stats["requests_out"]
    slow = [asyncio.ensure_future(dev.regions.bar0.read32(0)) for _ in range(50)]
    await until(lambda: dev.stats["requests_out"] == before + 50)
    served.go.set()
    assert await asyncio.gather(*slow) == [7] * 50


@looped(options={"queue_bytes": 65536})
async def test_full_queue(served, dev):
    """More than the queue takes waits for room, in order."""
    bar1 = dev.regions.bar1
    data = [bytes([i]) * 50_000 for i in range(50)]
    await asyncio.gather(*(bar1.write(50_000 * i, one) for i, one in enumerate(data)))
    assert await bar1.read(0, 50 * 50_000) == b"".join(data)


@looped(options={"queue_bytes": 65536})
async def test_posts(served, dev):
    for i in range(3000):
        await dev.regions.bar0.write32(0x24, i, post=True)
    assert await dev.regions.bar0.read32(0x28) == 3000
    await dev.regions.bar1.write(0, bytes(100_000), post=True)


@looped
async def test_errors(served, dev):
    with pytest.raises(vfu.Error, match="bar0 at 0x4: ") as caught:
        await dev.regions.bar0.write32(4, 1)
    assert caught.value.errno == errno.EDOM
    with pytest.raises(vfu.Error, match="bar0 at 0x2000: ") as caught:
        await dev.regions.bar0.read(0x2000, 4)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(IndexError):
        dev.regions[9]
    with pytest.raises(AttributeError):
        dev.regions.bar9
    with pytest.raises(ValueError, match="background"):
        vfu.aio.connect("/nowhere", background=True)


@looped
async def test_answers_like_an_end(served, dev):
    """A device may answer with what the end of a connection says, and goes on; so does the loop."""
    waiting = asyncio.ensure_future(dev.irqs.msix[0].wait())
    await until(lambda: "1 wait" in repr(dev.irqs.msix[0]))
    for code in errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EPROTO:
        with pytest.raises(vfu.Error) as caught:
            await dev.run(lambda plain, code=code: plain.regions.bar0.write32(0x2C, code))
        assert caught.value.errno == code
        with pytest.raises(vfu.Error) as caught:
            await dev.regions.bar0.write32(0x2C, code)
        assert caught.value.errno == code
    assert dev.connected and await dev.regions.bar0.read32(0) == 7
    await dev.regions.bar0.write32(0x20, 0)
    assert await waiting == 1


@looped
async def test_refused(served, dev):
    """Why the device refuses an access is said as in a call that waits, of any that need not wait."""
    bar0 = dev.regions.bar0

    def plain(client):
        region, ends = client.regions.bar0, []
        for call in (
            lambda: region.read32(0x1000),
            lambda: region.read_async(0x1000, 4).result(),
            lambda: region.read_async(0x1000, bytearray(4)).result(),
        ):
            with pytest.raises(vfu.Error) as caught:
                call()
            ends.append(caught.value)
        return ends

    ends = await dev.run(plain)
    for one in bar0.read32(0x1000), bar0.read(0x1000, bytearray(4)), bar0.write32(0x1000, 1):
        with pytest.raises(vfu.Error) as caught:
            await one
        ends.append(caught.value)
    assert {end.strerror for end in ends} == {"bar0 at 0x1000: bar0+0x1000 ends at 0x1004, bar0 at 0x1000"}
    assert [end.field for end in ends] == ["region_read.offset"] * 5 + ["region_write.offset"]


@looped
async def test_config(served, dev):
    assert await dev.config.vendor_id == 0x1234 and await dev.regions.config.device_id == 0x5678
    await dev.config.set(command=0x6)
    assert await dev.config.command & 0x6 == 0x6
    assert [one.name for one in await dev.config.capabilities()] == [
        one.name for one in await dev.run(lambda plain: plain.config.capabilities)
    ]
    assert await dev.config.read(0, 7) == (await dev.config.read(0, 64))[:7]
    with pytest.raises(TypeError, match="comand"):
        await dev.config.set(comand=1)


@looped
async def test_region(served, dev):
    info = await dev.regions.bar1.info()
    assert (info.size, info.name, info.readable) == (4 << 20, "bar1", True)
    entries, fds = await dev.regions.bar0.io_fds()
    assert not entries and not fds
    with pytest.raises(vfu.NotFound):
        await dev.regions.find(1, 2)


# ---- messages ----


@looped
async def test_calls(served, dev):
    assert (await dev.call("get_irq_info", index=2)).count == 4
    with open("/dev/null") as file:
        answers = await asyncio.gather(*(dev.call(4242, data=b"%d" % i, fds=[file]) for i in range(20)))
    assert [one.data for one in answers] == [b"%d" % i for i in range(20)]
    assert all(len(one.fds) == 1 for one in answers)
    assert await dev.call(4242, data=b"", post=True) is None
    assert await dev.feature_get(77) == b"seventy-seven"
    await dev.feature_set(77, b"1")
    assert await dev.feature_probe(77, get=True) and not await dev.feature_probe(78)
    assert await dev.feature(77 | 0x50000) == b""
    with pytest.raises(vfu.Error):
        await dev.call("dma_map")
    with pytest.raises(vfu.Timeout):
        served.go.clear()
        first = asyncio.ensure_future(dev.regions.bar0.read32(0))
        await asyncio.sleep(0)
        await dev.call(4242, data=b"", timeout=0.01)
    served.go.set()
    assert await first == 7


@looped
async def test_reset(served, dev):
    await dev.reset()
    assert dev.limits["max_msg_fds"] and dev.agreed["max_data_xfer_size"] and dev.connected
    assert "connected" in repr(dev) and "ranges" in repr(dev.dma)


# ---- DMA ----


@looped
async def test_dma(served, dev):
    """Memory that is shared and memory by messages, which the loop serves."""
    for shared in True, False:
        ram = await dev.dma.alloc(4096, shared=shared)
        ram[0:64] = os.urandom(64)
        await dev.regions.bar0.write64(8, ram.iova)
        assert await dev.irqs.msix[1].wait(60)
        assert ram[64:128] == ram[0:64]
        await dev.dma.unmap(ram)
    memory = bytearray(4096)
    await dev.dma.map(memory, 0x10000)
    await dev.dma.unmap_all()


@looped
async def test_dma_while_nothing_is_asked(served, dev):
    ram = await dev.dma.alloc(4096, shared=False)
    served.dma  # the device starts by itself
    await dev.regions.bar0.write64(8, ram.iova, post=True)
    count = await asyncio.wait_for(anext(aiter(dev.irqs.msix[1])), 60)
    assert count == 1


@looped
async def test_handlers(served, dev):
    """What is no memory is served in the loop's thread, by coroutines too, which may use the device meanwhile."""

    class Far:
        def __init__(self):
            self.data, self.threads = bytearray(os.urandom(4096)), set()

        async def read(self, iova, size):
            self.threads.add(threading.get_ident())
            assert await dev.regions.bar0.read32(0) == 7
            await asyncio.sleep(0.001)
            return self.data[iova - 0x100000 :][:size]

        def write(self, iova, data):
            self.threads.add(threading.get_ident())
            self.data[iova - 0x100000 : iova - 0x100000 + len(data)] = data

    far = Far()
    await dev.dma.map_handler(far, 0x100000, 4096)
    assert [(one.iova, one.size) for one in dev.dma.ranges] == [(0x100000, 4096)]
    await dev.regions.bar0.write64(8, 0x100000)
    assert await dev.irqs.msix[1].wait(60)
    assert far.data[64:128] == far.data[:64] and far.threads == {threading.get_ident()}
    await dev.dma.unmap(far)


@looped
async def test_concurrent_maps(served, dev):
    buffers = await asyncio.gather(*(dev.dma.alloc(4096) for _ in range(20)))
    assert len({ram.iova for ram in buffers}) == 20
    await asyncio.gather(*(dev.dma.unmap(ram) for ram in buffers))


# ---- interrupts ----


@looped
async def test_interrupts(served, dev):
    msix = dev.irqs.msix
    for vector in range(4):
        await dev.regions.bar0.write32(0x20, vector)
        assert await msix[vector].wait(60) == 1
    assert await msix[0].wait(0) == 0 and await msix[0].wait(0.01) == 0
    await msix[2].trigger()
    assert await msix[2].wait() == 1
    assert (await msix.info()).count == 4
    with pytest.raises(IndexError):
        await msix[4].wait(0)
    await dev.reset()
    await dev.regions.bar0.write32(0x20, 3)
    await msix.disable()
    await msix.enable()


@looped(timeout=0)
async def test_a_wait_keeps_its_time(served, dev):
    """Also the first of a vector, behind something that waits for the device."""
    assert await dev.irqs.msix[1].wait(0) == 0
    served.go.clear()
    slow = asyncio.ensure_future(dev.regions.bar0.read32(0))
    reset = asyncio.ensure_future(dev.reset())
    await until(served.is_waiting.is_set)
    for vector in 1, 2, 1:
        assert await dev.irqs.msix[vector].wait(0.01) == 0
    assert not slow.done() and not reset.done()
    served.go.set()
    await slow
    await reset
    await until(lambda: dev.irqs.msix[2]._known() is not None)
    await dev.regions.bar0.write32(0x20, 2)
    assert await dev.irqs.msix[2].wait(60) == 1


@looped
async def test_a_wait_asks_once(served, dev):
    vector = dev.irqs.msix[1]
    assert await vector.wait(0) == 0
    before = dev.stats["requests_out"]
    for timeout in [0, 0.01] * 10:
        assert await vector.wait(timeout) == 0
    assert dev.stats["requests_out"] == before + 1


@looped
async def test_iteration(served, dev):
    """Nothing that was raised is lost; close() ends it."""
    total = 0

    async def look():
        nonlocal total
        async for count in dev.irqs.msix[0]:
            total += count
        return "ended"

    task = asyncio.ensure_future(look())
    for _ in range(100):
        await dev.regions.bar0.write32(0x20, 0)
    await until(lambda: total == 100)
    await dev.close()
    assert await task == "ended"


@looped
async def test_several_wait(served, dev):
    """For one vector: each count is told to one of them. One that is cancelled takes none."""
    waits = [asyncio.ensure_future(dev.irqs.msix[0].wait(60)) for _ in range(3)]
    await until(lambda: "3 wait" in repr(dev.irqs.msix[0]))
    waits[0].cancel()
    for wait in waits[1:]:
        await dev.regions.bar0.write32(0x20, 0)
        assert await wait == 1
    assert waits[0].cancelled()


@looped
async def test_cancelled_when_told(served, dev):
    """An interrupt that came for one who is cancelled before it runs on is the next one's, who may wait already."""
    vector = dev.irqs.msix[0]
    deliver = vector._deliver
    for others in 0, 1:
        first, *rest = [asyncio.ensure_future(vector.wait()) for _ in range(1 + others)]
        await until(lambda: f"{1 + others} wait" in repr(vector))

        def cancel_too():
            deliver()
            first.cancel()

        vector._deliver = cancel_too
        await dev.regions.bar0.write32(0x20, 0)
        with pytest.raises(asyncio.CancelledError):
            await first
        vector._deliver = deliver
        assert await asyncio.wait_for(rest[0] if others else vector.wait(), 50) == 1


@looped
async def test_several_vectors(served, dev):
    """With the arguments of vfu.ClientIrq."""
    msix = dev.irqs.msix
    await msix.trigger(1, 3)
    assert [await msix[i].wait(1 if i in (1, 3) else 0) for i in range(4)] == [0, 1, 0, 1]
    await msix.trigger()
    assert await msix.wait() == 1
    with pytest.raises(IndexError):
        await msix.trigger(4)


@looped
async def test_another_eventfd(served, dev):
    """It is not taken for the one before, whose number may be another file's."""
    assert await dev.irqs.msix[1].wait(0) == 0
    await dev.run(lambda plain: plain.irqs.msix[1].use(None))
    other, theirs = os.pipe()  # where the eventfd was, maybe
    os.write(theirs, bytes(8))
    await dev.irqs.msix[1].trigger()
    assert await dev.irqs.msix[1].wait() == 1 and os.read(other, 9) == bytes(8)
    os.close(other)
    os.close(theirs)


@looped
async def test_irqs_taken_in_turns(served, dev):
    assert await dev.irqs.intx.wait(0) == 0
    await dev.regions.bar0.write32(0x20, 0)
    assert await dev.irqs.msix[0].wait(0) in (0, 1)
    await dev.regions.bar0.write32(0x20, 0)
    assert await dev.irqs.msix[0].wait(60) >= 1


# ---- cancelling ----


@looped
async def test_cancelled_access(served, dev):
    """The buffer is free at once, its answer comes to nothing, and the connection goes on."""
    bar0, buffer = dev.regions.bar0, bytearray(b"mine")
    served.go.clear()
    task = asyncio.ensure_future(bar0.read(0, buffer))
    await until(served.is_waiting.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    buffer.extend(b" again")  # no export is left
    served.go.set()
    assert await bar0.read32(0) == 7
    assert buffer == b"mine again" and dev.stats["late_replies"] == 1


@looped
async def test_cancelled_call(served, dev):
    served.go.clear()
    first = asyncio.ensure_future(dev.regions.bar0.read32(0))
    await until(served.is_waiting.is_set)
    with open("/dev/null") as file, pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(dev.call(4242, data=b"x", fds=[file]), 0.01)
    served.go.set()
    assert await first == 7
    assert (await dev.call(4242, data=b"y")).data == b"y"
    assert dev.stats["late_replies"] == 1  # the other's, which nobody keeps anything for


@looped
async def test_cancelled_in_the_thread(served, dev):
    served.go.clear()
    first = asyncio.ensure_future(dev.regions.bar0.read32(0))
    await until(served.is_waiting.is_set)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(dev.reset(), 0.01)
    served.go.set()
    assert await first == 7
    await dev.reset()


@looped
async def test_cancelled_maps(served, dev):
    """Nothing stays mapped that nobody knows of; what was not begun never is."""

    class Far:
        def read(self, iova, size):
            return bytes(size)

    memory = bytearray(4096)
    maps = {
        "alloc": lambda: dev.dma.alloc(4096),
        "map": lambda: dev.dma.map(memory, iova=0x10000),
        "map_file": lambda: dev.dma.map_file("/dev/zero", size=4096, shared=False),
        "map_handler": lambda: dev.dma.map_handler(Far(), 0x20000, 4096),
    }
    await dev.dma.unmap(await dev.dma.alloc(4096))
    for start in maps.values():
        served.go.clear()
        served.is_waiting.clear()
        first = asyncio.ensure_future(dev.regions.bar0.read32(0))
        await until(served.is_waiting.is_set)
        before = dev.stats["requests_out"]
        begun = asyncio.ensure_future(start())
        await until(lambda: dev.stats["requests_out"] == before + 1)
        waiting = asyncio.ensure_future(start())
        await asyncio.sleep(0)
        begun.cancel()
        waiting.cancel()
        assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(begun, waiting, return_exceptions=True))
        served.go.set()
        assert await first == 7
        await dev.run(lambda plain: plain.dma.ranges)  # behind all of that
        assert dev.dma.ranges == served.dma.ranges == [] and "0 ranges" in repr(dev.dma)
        assert dev.stats["requests_out"] == before + 2


# ---- ends ----


@looped(timeout=0)
async def test_close_ends_all(served, dev):
    """Requests, calls in the thread and interrupts, once each."""
    served.go.clear()
    waits = [dev.regions.bar0.read32(0), dev.call(4242, data=b""), dev.irqs.msix[0].wait(), dev.dma.alloc(4096)]
    tasks = [asyncio.ensure_future(one) for one in waits]
    await until(served.is_waiting.is_set)
    await until(lambda: "1 wait" in repr(dev.irqs.msix[0]))
    await dev.close()
    for end in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(end, vfu.Disconnected), end
    await dev.close()
    for again in dev.regions.bar0.read32(0), dev.reset(), dev.irqs.msix[0].wait(), dev.regions.bar0.write32(0, 0, post=True):
        with pytest.raises(vfu.Disconnected):
            await again
    assert not dev.connected and "closed" in repr(dev)
    served.go.set()


def test_server_ends():
    """All that wait are told, and who comes later."""

    async def main(server, served, ours):
        async with vfu.aio.connect(fd=ours) as dev:
            ours.close()
            waits = [asyncio.ensure_future(dev.irqs.msix[0].wait()), asyncio.ensure_future(anext(dev.irqs.msix[1]))]
            await until(lambda: "1 wait" in repr(dev.irqs.msix[0]) and "1 wait" in repr(dev.irqs.msix[1]))
            served.go.clear()
            waits.append(asyncio.ensure_future(dev.regions.bar0.read32(0)))
            await until(served.is_waiting.is_set)
            server.disconnect()
            served.go.set()
            for end in await asyncio.gather(*waits, return_exceptions=True):
                assert isinstance(end, vfu.Disconnected), end
            assert not dev.connected
            with pytest.raises(vfu.Disconnected):
                await dev.regions.bar0.read32(0)
            with pytest.raises(vfu.Disconnected):
                await dev.irqs.msix[0].wait(0)

    with leaves_nothing():
        served = Device()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            server = vfu.Server(served, fd=theirs)
            theirs.close()
            with server, server.start():
                asyncio.run(asyncio.wait_for(main(server, served, ours), 100), debug=True)


def test_not_closed():
    """A client that is dropped says so, and is gone."""

    async def main(ours):
        dev = await vfu.aio.connect(fd=ours)
        assert await dev.regions.bar0.read32(0) == 7
        with pytest.warns(ResourceWarning, match="not closed"):
            del dev
            gc.collect()

    with leaves_nothing(), device() as (_, ours):
        asyncio.run(main(ours), debug=True)


def test_connecting(tmp_path):
    async def main():
        path = tmp_path / "socket"
        with pytest.raises(vfu.NotFound):
            await vfu.aio.connect(path)
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(path))
            silent.listen()
            with pytest.raises(vfu.Timeout):
                await vfu.aio.connect(path, timeout=0.01)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(vfu.aio.connect(path, timeout=60), 0.2)
        with pytest.raises(ValueError, match="either path or fd"):
            await vfu.aio.connect()

    with leaves_nothing():
        asyncio.run(main(), debug=True)


def test_thousands():
    """As many as one likes are under way: those that the queue has no room for wait. (Debug mode would take a minute.)"""

    async def main(ours):
        async with vfu.aio.connect(fd=ours, options={"queue_bytes": 65536}) as dev:
            bar1 = dev.regions.bar1
            await asyncio.gather(*(bar1.write32(4 * i, i) for i in range(5000)))
            assert await asyncio.gather(*(bar1.read32(4 * i) for i in range(5000))) == list(range(5000))

    with leaves_nothing(), device() as (_, ours):
        asyncio.run(asyncio.wait_for(main(ours), 100))


def test_one_thread_reads():
    """What others do with the plain client meanwhile is read by the loop."""

    async def main(ours):
        async with vfu.aio.connect(fd=ours) as dev:
            values = await asyncio.gather(
                *(asyncio.to_thread(dev._plain().regions.bar0.read32, 0) for _ in range(20)),
                *(dev.regions.bar0.read32(0) for _ in range(20)),
                *(dev.run(lambda plain: plain.regions.bar0.read32(0)) for _ in range(20)),
            )
            assert values == [7] * 60

    with leaves_nothing(), device() as (_, ours):
        asyncio.run(asyncio.wait_for(main(ours), 100), debug=True)


# ---- what vfu.Client has ----


@looped
async def test_times_of_their_own(served, dev):
    """Of each access, and of those of configuration space."""
    bar0 = dev.regions.bar0
    served.go.clear()
    held = asyncio.ensure_future(bar0.read32(0, timeout=0))
    await until(served.is_waiting.is_set)
    for access in (
        bar0.read(0x100, 4, timeout=0.01),
        bar0.read(0x100, bytearray(8), timeout=0.01),
        bar0.write(0x100, bytes(8), timeout=0.01),
        bar0.read8(0x100, timeout=0.01),
        bar0.read64(0x100, timeout=0.01),
        bar0.write16(0x100, 1, timeout=0.01),
        dev.config.read(0, 8, timeout=0.01),
        dev.config.write16(4, 6, timeout=0.01),
    ):
        with pytest.raises(vfu.Timeout):
            await access
    served.go.set()
    assert await held == 7
    with pytest.raises(ValueError, match="timeout"):
        await bar0.read32(0, timeout=-1)


@looped
async def test_posting(served, dev):
    """Small writes of one turn share messages, in order with all else; those of other tasks, and larger ones, are as ever."""
    bar0 = dev.regions.bar0
    await bar0.write32(0x24, 0, post=True)
    before = dev.stats["requests_out"]
    async with dev.posting():
        for i in range(399):
            await bar0.write32(0x24, i)
    assert dev.stats["requests_out"] == before + 2
    assert await bar0.read32(0x28) == 400
    async with dev.posting(), dev.posting():
        await bar0.write(0x100, b"abcdefgh" * 4)
        await bar0.write32(0x100, 0x64636261)
        assert await bar0.read(0x100, 8) == b"abcdefgh"
        with pytest.raises(vfu.Error):
            await bar0.write32(4, 1, post=False)
        await dev.config.set(command=2)
        await asyncio.gather(*(bar0.write32(0x24, i) for i in range(5000)))  # tasks of the block
    await bar0.write32(0x24, 1)
    assert await bar0.read32(0x28) == 5401
    async with dev.posting():
        left = asyncio.ensure_future(asyncio.sleep(0))
        await left
        other = asyncio.get_running_loop().create_task(_write_later(bar0))
    with pytest.raises(vfu.Error):  # it is not in the block any more
        await other
    with pytest.raises(ZeroDivisionError):
        async with dev.posting():
            await bar0.write32(0x24, 1 // 0)


async def _write_later(bar0):
    await asyncio.sleep(0.01)
    await bar0.write32(4, 1)


@looped(options={"queue_bytes": 65536})
async def test_posting_more_than_there_is_room_for(served, dev):
    """The event loop goes on meanwhile, and nothing is left behind when nothing else is said."""
    turns = 0
    await dev.regions.bar0.write32(0x100, 0, post=True)

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    served.go.clear()
    held = asyncio.ensure_future(dev.regions.bar0.read32(0))
    await until(served.is_waiting.is_set)
    counting = asyncio.ensure_future(count())

    async def write():
        async with dev.posting():
            for i in range(20_000):
                await dev.regions.bar0.write32(0x24, i)

    writing = asyncio.ensure_future(write())
    await until(lambda: turns > 20)
    assert not writing.done()
    served.go.set()
    await writing
    await until(lambda: served.posted == 20_000)
    assert await held == 7
    counting.cancel()


@looped(timeout=0)
async def test_the_first_post_of_a_region(served, dev):
    """The device is asked about the region before that; the event loop does not wait for it."""
    served.go.clear()
    held = asyncio.ensure_future(dev.regions.bar0.read32(0))
    await until(served.is_waiting.is_set)
    writing = asyncio.ensure_future(dev.regions.bar0.write32(0x24, 1, post=True))
    await asyncio.sleep(0.01)
    assert not writing.done()
    served.go.set()
    await writing
    assert await dev.regions.bar0.read32(0x28) == 1 and await held == 7


@looped
async def test_batches(served, dev):
    memory = [bytearray(4096) for _ in range(50)]
    async with dev.dma.batch():
        async with dev.dma.batch():
            await asyncio.gather(*(dev.dma.map(one, 0x1000 * i) for i, one in enumerate(memory)))
        ram = await dev.dma.alloc(4096)
    assert len(served.dma.ranges) == len(dev.dma.ranges) == 51 and ram.iova and dev.dma.shared
    with pytest.raises(vfu.Error) as caught:
        await dev.dma.map(memory[0], 0)
    assert caught.value.errno == errno.EEXIST
    await dev.dma.unmap_all()
    with pytest.raises(ZeroDivisionError):
        async with dev.dma.batch():
            await dev.dma.map(memory[0], 0)
            raise ZeroDivisionError
    assert len(served.dma.ranges) == 1


@looped
async def test_batches_that_are_refused(served, dev):
    held = bytearray(4096)
    with pytest.raises(vfu.Error):
        async with dev.dma.batch():
            await dev.dma.map(held, 0x10)  # no page's
    assert dev.dma.ranges == []
    held.append(0)


@looped
async def test_a_batch_that_is_cancelled(served, dev):
    """It does not wait for a device that does not answer."""
    await dev.dma.unmap(await dev.dma.alloc(4096))
    served.go.clear()
    first = asyncio.ensure_future(dev.regions.bar0.read32(0))
    await until(served.is_waiting.is_set)

    async def batch():
        async with dev.dma.batch():
            await dev.dma.map(bytearray(4096), 0x10000)
            mapped.set()
            await asyncio.sleep(60)

    mapped = asyncio.Event()
    task = asyncio.ensure_future(batch())
    await mapped.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    served.go.set()
    assert await first == 7
    await dev.dma.unmap(0x10000)


@looped
async def test_pci(served, dev):
    bars = await dev.config.bars()
    assert [one[:2] for one in bars] == [(0, 4096), (1, 4 << 20), (2, 4096)]
    for on in False, True:
        await dev.config.set(bus_master=on)
        assert await dev.config.bus_master is on
    await dev.assign_bars()
    msix = await dev.config.msix()
    assert len(msix) == msix.count == 4 and not msix.masked and "4 vectors" in repr(msix)
    assert (await msix[3]).masked in (True, False)
    with pytest.raises(IndexError):
        msix[4]
    assert dev.link.event is None


@looped
async def test_eventfds_of_the_caller(served, dev):
    """Who waits goes on with another; the one before is not looked at any more."""
    vector = dev.irqs.msix[1]
    waiting = asyncio.ensure_future(vector.wait(60))
    await until(lambda: "1 wait" in repr(vector))
    mine = os.eventfd(0, os.EFD_NONBLOCK)
    await vector.use(mine)
    os.eventfd_write(mine, 3)
    assert await waiting == 3
    await dev.regions.bar0.write32(0x20, 1)
    assert await vector.wait(60) == 1
    await dev.irqs.msix.use(mine)  # vector 0's
    await dev.regions.bar0.write32(0x20, 0)
    assert await dev.irqs.msix.wait(60) == 1
    await vector.use(None)
    os.close(mine)
    await dev.regions.bar0.write32(0x20, 1)
    assert await vector.wait(60) == 1


@looped
async def test_closing_goes_on(served, dev):
    """A function of the user's that takes its time does not stop the event loop, nor does one that serves memory."""
    started, go = threading.Event(), threading.Event()

    def take_time(plain):
        started.set()
        assert go.wait(60)
        return 7

    running = asyncio.ensure_future(dev.run(take_time))
    await until(started.is_set)
    closing = [asyncio.ensure_future(dev.close()) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert not any(one.done() for one in closing) and not dev.connected
    closing[0].cancel()
    go.set()
    await closing[1]
    assert await running == 7


@looped
async def test_closing_in_a_function_that_serves_memory(served, dev):
    class Far:
        async def read(self, iova, size):
            await dev.close()
            closed.set()
            return bytes(size)

    closed = asyncio.Event()
    await dev.dma.map_handler(Far(), 0x100000, 4096)
    await dev.regions.bar0.write64(8, 0x100000, post=True)
    await closed.wait()
    assert not dev.connected
