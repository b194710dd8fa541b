# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Access of a device to its client's memory, mapped and by messages."""

import asyncio
import errno
import threading
import time

import pytest

import vfu


class Device(vfu.Device):
    """Copies within the client's memory: source, destination, length, then go."""

    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=2)
    source = bar0.reg64(0x00)
    target = bar0.reg64(0x08)
    length = bar0.reg64(0x10)
    error = bar0.reg32(0x1C)

    def __init__(self):
        super().__init__()
        self.log = []

    @bar0.reg32(0x18).on_write
    async def go(self, value):
        self.error = 0
        try:
            await self.dma.write(self.target, await self.dma.read(self.source, self.length))
        except OSError as error:
            self.error = error.errno
        self.irqs.msix[0].trigger()

    @bar0.reg32(0x20).on_write
    def go_sync(self, value):
        self.dma.write_sync(self.target, self.dma.read_sync(self.source, self.length))

    @bar0.reg32(0x24).on_write
    def write_through_pin(self, value):
        with self.dma.map(self.target, 16) as pin:
            with pin.view() as view:
                view[:4] = b"pin!"
                self.log.append(bytes(view[4:8]))
                try:
                    pin.release()
                except BufferError:
                    self.log.append("in use")
            self.log.append(repr(pin))
        self.log.append(repr(pin))
        with pin:
            pin.release()

    @bar0.reg32(0x28).on_write
    async def fill(self, value):
        room = bytearray(8)
        await self.dma.read(self.source, room)
        self.log.append(room)
        self.irqs.msix[1].trigger()

    def on_dma_map(self, range):
        self.log.append(("map", range))

    def on_dma_unmap(self, range):
        self.log.append(("unmap", range))


def copy(dev, source, target, length):
    bar0 = dev.regions.bar0
    bar0.write64(0, source)
    bar0.write64(8, target)
    bar0.write64(0x10, length)
    bar0.write32(0x18, 1)
    assert dev.irqs.msix[0].wait(timeout=10) == 1
    return bar0.read32(0x1C)


@pytest.mark.parametrize("background", [False, True], ids=["waits", "background"])
@pytest.mark.parametrize("from_shared", [True, False], ids=["from-mapped", "from-messages"])
@pytest.mark.parametrize("to_shared", [True, False], ids=["to-mapped", "to-messages"])
def test_copy(connect, from_shared, to_shared, background):
    dev = connect(Device(), background=background)
    source = dev.dma.alloc(4096, iova=0x8000_0000, shared=from_shared)
    target = dev.dma.alloc(4096, iova=0x9000_0000, shared=to_shared)
    source[:] = bytes(range(256)) * 16
    assert copy(dev, source.iova + 3, target.iova + 5, 4000) == 0
    assert target[:] == bytes(5) + source[3:4003] + bytes(91)


@pytest.mark.parametrize("shared", [True, False], ids=["mapped", "messages"])
def test_long_copy(connect, shared):
    size = 5 << 20
    dev = connect(Device())
    source = dev.dma.alloc(size, shared=shared)
    target = dev.dma.alloc(size, shared=shared)
    source[:] = bytes(i * 7 & 0xFF for i in range(4096)) * (size // 4096)
    assert copy(dev, source.iova, target.iova, size) == 0
    assert target[:] == source[:]


def test_across_ranges(connect):
    """One copy over neighbouring ranges, mapped and not."""
    dev = connect(Device())
    first = dev.dma.alloc(4096, iova=0x10000, shared=True)
    second = dev.dma.alloc(4096, iova=0x11000, shared=False)
    third = dev.dma.alloc(8192, iova=0x12000, shared=True)
    first[:], second[:] = b"a" * 4096, b"b" * 4096
    assert copy(dev, 0x10800, 0x12800, 4096) == 0
    assert third[0x800:0x1800] == b"a" * 2048 + b"b" * 2048


class Pinning(vfu.Device):
    """Turns text into capitals in its place, whatever kind of memory it is in."""

    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)
    start = bar0.reg64(0x00)
    length = bar0.reg64(0x08)

    def __init__(self):
        super().__init__()
        self.log = []

    @bar0.reg32(0x10).on_write
    async def shout(self, value):
        try:
            pin = await self.dma.pin(self.start, self.length)
            with pin.view() as view:
                view[:] = bytes(view).upper()
                with pytest.raises(BufferError):
                    await self.dma.unpin(pin)
            await self.dma.unpin(pin)
            with pytest.raises(BufferError):
                await self.dma.unpin(pin)
        except OSError as error:
            self.log.append(error)
        self.irqs.msix[0].trigger()

    @bar0.reg32(0x14).on_write
    async def put(self, value):
        pin = await self.dma.pin(self.start, self.length)
        with pin.view() as view:
            view[:4] = b"only"
        pin.release()
        self.irqs.msix[0].trigger()

    @bar0.reg32(0x18).on_write
    async def many(self, value):
        async def one(at):
            pin = await self.dma.pin(self.start + at, 4096)
            with pin.view() as view:
                view[0] = at // 4096
            await self.dma.unpin(pin)

        await asyncio.gather(*(one(at) for at in range(0, self.length, 4096)))
        self.irqs.msix[0].trigger()


def pin_with(dev, register, start, length):
    dev.regions.bar0.write64(0, start)
    dev.regions.bar0.write64(8, length)
    dev.regions.bar0.write32(register, 1)
    assert dev.irqs.msix[0].wait(timeout=10) == 1


def test_pin_any_memory(connect):
    device = Pinning()
    dev = connect(device, server_options={"options": {"dma_bounce_bytes": 32768}})
    shared = dev.dma.alloc(4096, iova=0x10000, shared=True)
    private = dev.dma.alloc(65536, iova=0x11000, shared=False)
    shared[4090:], private[:6] = b"across", b" both!"
    pin_with(dev, 0x10, 0x10000 + 4090, 12)
    assert shared[4090:] + private[:6] == b"ACROSS BOTH!"
    pin_with(dev, 0x14, 0x11000, 8)
    assert private[:6] == b"onlyH!"
    # More than there is room for waits its turn, and what never fits says so.
    pin_with(dev, 0x18, 0x11000, 65536)
    assert [private[at] for at in range(0, 65536, 4096)] == list(range(16))
    pin_with(dev, 0x10, 0x11000, 16385)
    pin_with(dev, 0x10, 0x90000, 1)
    assert [error.errno for error in device.log] == [errno.E2BIG, errno.EFAULT]
    assert "DMA pin at 0x90000" in str(device.log[1])


class Far(vfu.Device):
    """What a client says, and adds to, may be an address that has more than 64 bits: nothing is there."""

    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)

    @bar0.reg32(0).on_write
    async def go(self, value):
        base = (1 << 64) + 0x10000
        for copy in (
            self.dma.read(base, 4), self.dma.write(base, b"far"), self.dma.fill(base, 4), self.dma.pin(base, 4),
            self.dma.read_list([(0x10000, 4), (base, 4)]), self.dma.write_list([(0x10000, 1), (base, 2)], b"far"),
        ):
            with pytest.raises(vfu.Error, match="0x10000000000010000: not all of it is mapped") as caught:
                await copy
            assert caught.value.errno == errno.EFAULT
        for copy in (
            lambda: self.dma.read_sync(base, 4), lambda: self.dma.write_sync(base, b"far"), lambda: self.dma.map(base, 4)
        ):
            with pytest.raises(vfu.Error, match="not all of it is mapped"):
                copy()
        with pytest.raises(OverflowError):  # no memory's fault
            await self.dma.read(0x10000, 1 << 64)
        self.irqs.msix[0].trigger()


class Dropping(vfu.Device):
    """Drops the last reference of a pin while an exception is on its way; another pin waits for its room."""

    bar0 = vfu.Bar(size=4096)
    address = bar0.reg64(0)

    @bar0.reg32(8).on_read
    async def begin(self):
        self.held = [await self.dma.pin(self.address, 4096)]
        self.waiter = asyncio.ensure_future(self.dma.pin(self.address, 4096))
        await asyncio.sleep(0)
        return 1

    @bar0.reg32(12).on_read
    def drop(self):
        with self.held[0].view() as view:
            view[0] = 1
        try:
            (self.held.pop(), {}["lost"])
        except BaseException as error:
            self.outcome = repr(error)
        return 1

    @bar0.reg32(16).on_read
    async def wait(self):
        try:
            await self.waiter
        except OSError as error:
            return error.errno
        return 0


def test_a_pin_dropped_by_an_exception(connect, capfd):
    device = Dropping()
    dev = connect(device, {"options": {"dma_bounce_bytes": 8192}})
    bar0 = dev.regions.bar0
    bar0.write64(0, dev.dma.alloc(4096, shared=False).iova)
    assert bar0.read32(8) == 1
    dev.config.bus_master = False
    assert bar0.read32(12) == 1
    assert device.outcome == "KeyError('lost')"
    assert bar0.read32(16) == errno.EIO
    assert capfd.readouterr().err == ""


def test_addresses_beyond_all(connect, quiet):
    dev = connect(Far())
    memory = dev.dma.alloc(4096, iova=0x10000)
    dev.regions.bar0.write32(0, 1)
    assert dev.irqs.msix[0].wait(timeout=10) == 1
    assert memory[:4] == bytes(4)


class Scattering(vfu.Device):
    """Exchanges two pieces, and fills what is between them."""

    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)

    def __init__(self):
        super().__init__()
        self.log = []

    @bar0.reg32(0).on_write
    async def go(self, value):
        pieces = [(0x10FFE, 4), (0x12FFE, 4)]
        data = await self.dma.read_list(pieces)
        self.log.append(data)
        await asyncio.gather(
            self.dma.fill(0x10000, 0x4000, 0x2E), self.dma.write_list(pieces[::-1], data), self.dma.fill(0x13FFF, 1)
        )
        for bad in ([(0x10000, 4), (0x90000, 1)], [(0x10000, 4), (0x14000, -1)], [(0x10000, 4)], [(1,)]):
            with pytest.raises((vfu.Error, ValueError, TypeError)) as caught:
                await self.dma.write_list(bad, b"short")
            self.log.append(caught.type)
        with pytest.raises(ValueError):
            await self.dma.fill(0x10000, 1, 256)
        assert await self.dma.read_list([]) == b""
        self.irqs.msix[0].trigger()


def test_an_address_is_a_number():
    device = Scattering()
    for start in lambda: device.dma.read_sync("x", 4), lambda: device.dma.write_sync("x", b""), lambda: device.dma.map(None, 4):
        with pytest.raises(TypeError, match="iova is a number, not"):
            start()


def test_lists_and_fills(connect):
    device = Scattering()
    dev = connect(device)
    first = dev.dma.alloc(4096, iova=0x10000, shared=True)
    second = dev.dma.alloc(8192, iova=0x11000, shared=False)
    third = dev.dma.alloc(4096, iova=0x13000, shared=True)
    first[-2:], second[:2], second[-2:], third[:2] = b"ab", b"cd", b"ef", b"gh"
    dev.regions.bar0.write32(0, 1)
    assert dev.irqs.msix[0].wait(timeout=10) == 1
    assert device.log[0] == b"abcdefgh"
    assert (first[-2:], second[:2], second[-2:], third[:2]) == (b"ef", b"gh", b"ab", b"cd")
    assert first[:-2] + second[2:-2] + third[2:-1] == b"." * (4094 + 8188 + 4093)
    assert third[-1] == 0
    assert device.log[2:] == [ValueError, ValueError, TypeError]


class Ring(vfu.Device):
    """Data by message, then an entry and an index in mapped memory, none of which is waited for."""

    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)

    @bar0.reg32(0).on_write
    async def complete(self, value):
        write = self.dma.write
        await asyncio.gather(
            write(0x10000, b"data"), write(0x20008, b"entry"), write(0x20000, b"\1\0\0\0"), write(0x10008, b"more")
        )
        self.irqs.msix[0].trigger()


def test_copies_take_effect_as_started(connect):
    dev = connect(Ring())
    data = dev.dma.alloc(4096, iova=0x10000, shared=False)
    ring = dev.dma.alloc(4096, iova=0x20000, shared=True)
    dev.regions.bar0.write32(0, 1)
    for _ in range(20):  # while nobody serves it
        assert bytes(ring[:4]) == bytes(4) or bytes(data[:4]) == b"data"
        time.sleep(0.01)
    assert dev.irqs.msix[0].wait(timeout=10) == 1
    assert (data[:4], ring[:4], ring[8:13], data[8:12]) == (b"data", b"\1\0\0\0", b"entry", b"more")


def test_faults(connect):
    dev = connect(Device())
    memory = dev.dma.alloc(4096, iova=0x10000, shared=False)
    readable = dev.dma.alloc(4096, iova=0x20000, write=False)
    assert copy(dev, 0x50000, memory.iova, 4) == errno.EFAULT
    assert copy(dev, memory.iova + 4000, memory.iova, 100) == errno.EFAULT
    assert copy(dev, memory.iova, readable.iova, 4) == errno.EACCES
    assert copy(dev, readable.iova, memory.iova, 4) == 0
    dev.dma.unmap(memory)
    assert copy(dev, readable.iova, 0x10000, 4) == errno.EFAULT


def test_broken_rules_are_not_sent(connect):
    """The client's own check refuses, with the field and the rule."""
    dev = connect(Device())
    before = dev.stats["requests_out"]
    for field, flags, iova in (("dma_map.flags", 1 << 31, 0), ("dma_map.address", 0, 1), ("dma_map.flags", 12, 0)):
        with pytest.raises(vfu.Error) as caught:
            dev.dma.alloc(4096, iova=iova, flags=flags)
        assert caught.value.field == field
        assert "breaks the rule" in str(caught.value)
    assert dev.stats["requests_out"] == before


@pytest.mark.parametrize("shared", [True, False], ids=["mapped", "messages"])
def test_waiting_in_a_handler(connect, shared):
    dev = connect(Device())
    source = dev.dma.alloc(4096, shared=shared)
    target = dev.dma.alloc(4096, shared=shared)
    source[:5] = b"hello"
    bar0 = dev.regions.bar0
    bar0.write64(0, source.iova)
    bar0.write64(8, target.iova)
    bar0.write64(0x10, 5)
    bar0.write32(0x20, 1)
    assert target[:6] == b"hello\0"


def test_read_into(connect):
    device = Device()
    dev = connect(device)
    memory = dev.dma.alloc(4096, shared=False)
    memory[:8] = b"8 bytes!"
    dev.regions.bar0.write64(0, memory.iova)
    dev.regions.bar0.write32(0x28, 1)
    assert dev.irqs.msix[1].wait(timeout=5) == 1
    assert bytearray(b"8 bytes!") in device.log


def test_pins(connect, caplog):
    device = Device()
    dev = connect(device)
    memory = dev.dma.alloc(4096)
    memory[:8] = b"....four"
    dev.regions.bar0.write64(8, memory.iova)
    dev.regions.bar0.write32(0x24, 1)
    assert memory[:4] == b"pin!"
    assert device.log[-4:] == [
        b"four", "in use", "<vfu.PinnedMemory 0x10 bytes>", "<vfu.PinnedMemory, released>"]
    unmapped = dev.dma.alloc(4096, shared=False)
    dev.regions.bar0.write64(8, unmapped.iova)
    with pytest.raises(vfu.Error) as caught:
        dev.regions.bar0.write32(0x24, 1)
    assert caught.value.errno == errno.EOPNOTSUPP
    assert f"DMA map at {unmapped.iova:#x}: not all of it is in one range that is mapped; pin() has" in caplog.text


def test_ranges_and_hooks(connect):
    device = Device()
    dev = connect(device)
    a = dev.dma.alloc(4096, iova=0x20000, write=False)
    b = dev.dma.alloc(5000, iova=0x10000, shared=False)
    assert len(b) == 8192
    expected = [
        vfu.DmaRange(0x10000, 8192, True, True, False, 3),
        vfu.DmaRange(0x20000, 4096, True, False, True, 1),
    ]
    assert device.dma.ranges == expected
    dev.dma.unmap(a)
    dev.dma.unmap(0x10000)
    assert device.dma.ranges == []
    assert device.log == [
        ("map", expected[1]), ("map", expected[0]), ("unmap", expected[1]), ("unmap", expected[0]),
    ]
    with pytest.raises(ValueError):
        dev.dma.unmap(a)


def test_own_buffers(connect):
    """Any Python buffer will do; it stays in place until it is unmapped."""
    dev = connect(Device())
    memory = bytearray(4096)
    dev.dma.map(memory, iova=0x10000)
    memory[:3] = b"abc"
    assert copy(dev, 0x10000, 0x10010, 3) == 0
    assert memory[0x10:0x13] == b"abc"
    with pytest.raises(BufferError):
        memory.append(1)
    dev.dma.unmap(memory)
    memory.append(1)
    with pytest.raises(BufferError):
        dev.dma.map(bytes(4096), iova=0x10000)
    dev.dma.map(bytes(4096), iova=0x10000, write=False)


def test_overlap(connect):
    dev = connect(Device())
    dev.dma.alloc(8192, iova=0x10000)
    with pytest.raises(vfu.Error) as caught:
        dev.dma.alloc(4096, iova=0x11000)
    assert caught.value.errno == errno.EEXIST
    assert dev.dma.alloc(4096).iova != 0x11000


def test_buffer_closes_after_unmap(connect):
    dev = connect(Device())
    memory = dev.dma.alloc(4096)
    with pytest.raises(BufferError):
        memory.close()
    dev.dma.unmap(memory)
    memory.close()


def test_bus_master(connect):
    dev = connect(Device(), {"policy": {"bus_master": "enforce"}}, bus_master=False)
    memory = dev.dma.alloc(4096)
    assert not dev.config.bus_master
    bar0 = dev.regions.bar0
    bar0.write64(0x10, 4)
    bar0.write64(0, memory.iova)
    bar0.write32(0x18, 1)
    deadline = time.monotonic() + 5
    while not bar0.read32(0x1C) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert bar0.read32(0x1C) == errno.EIO
    dev.config.bus_master = True
    dev.irqs.msix[0].wait(timeout=5)  # held until now
    assert copy(dev, memory.iova, memory.iova + 8, 4) == 0


class Greedy(vfu.Device):
    """Starts more DMA than there is room for."""

    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)
    failures = bar0.reg32(4)

    @bar0.reg32(0).on_write
    async def go(self, address):
        copies = [self.dma.write(address + i * 4096, bytes([i]) * 4096) for i in range(100)]
        reads = [self.dma.read(address, 16) for _ in range(100)]
        done = await asyncio.gather(*copies, *reads, return_exceptions=True)
        self.failures = sum(isinstance(one, BaseException) for one in done)
        self.irqs.msix[0].trigger()


def test_more_than_there_is_room_for(connect):
    device = Greedy()
    dev = connect(device, {"options": {"queue_bytes": 65536}})
    memory = dev.dma.alloc(100 * 4096, iova=0x100000, shared=False)
    dev.regions.bar0.write32(0, memory.iova)
    deadline = time.monotonic() + 10
    while len(device.dma._waiting) <= 150 and time.monotonic() < deadline:
        time.sleep(0.005)  # nobody answers
    assert 150 < len(device.dma._waiting) < 200
    assert dev.irqs.msix[0].wait(timeout=10)
    assert dev.regions.bar0.read32(4) == 0
    assert all(memory[i * 4096 : (i + 1) * 4096] == bytes([i]) * 4096 for i in range(100))
    assert not device.dma._waiting


def test_who_waits_for_room_can_be_cancelled(serve):
    device = Greedy()
    path = serve(device, options={"queue_bytes": 65536})
    with vfu.Client(path) as dev:
        memory = dev.dma.alloc(100 * 4096, iova=0x100000, shared=False)
        dev.regions.bar0.write32(0, memory.iova)
        deadline = time.monotonic() + 10
        while not device.dma._waiting and time.monotonic() < deadline:
            time.sleep(0.005)
    with vfu.Client(path) as dev:
        memory = dev.dma.alloc(100 * 4096, iova=0x100000, shared=False)
        while device.dma._waiting and time.monotonic() < deadline:
            time.sleep(0.005)
        assert not device.dma._waiting
        dev.regions.bar0.write32(0, memory.iova)
        assert dev.irqs.msix[0].wait(timeout=10)
        assert dev.regions.bar0.read32(4) == 0


def test_disconnect_ends_message_dma(serve):
    """The client goes while the device waits for its answer."""
    device = Device()
    path = serve(device)
    dev = vfu.Client(path)
    memory = dev.dma.alloc(4096, shared=False)
    dev.regions.bar0.write64(0, memory.iova)
    dev.regions.bar0.write64(8, memory.iova)
    dev.regions.bar0.write64(0x10, 4096)
    dev.regions.bar0.write32(0x18, 1, post=True)
    dev.close()
    with vfu.Client(path) as dev:  # and the next one finds all in order
        memory = dev.dma.alloc(4096, shared=False)
        assert copy(dev, memory.iova, memory.iova, 16) == 0


class Failing(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)

    @bar0.reg64(0).on_write
    async def go(self, address):
        try:
            await self.dma.write(address, b"x")
        except OSError as error:
            self.error = str(error)
        self.done.set()


def test_messages_say_why(connect):
    device = Failing()
    device.done = threading.Event()
    dev = connect(device, {"policy": {"bus_master": "enforce"}})

    def complaint(address):
        device.done.clear()
        dev.regions.bar0.write64(0, address)
        assert device.done.wait(30)
        return device.error

    dev.dma.alloc(4096, iova=0x1000_0000, write=False)
    assert complaint(0x5000) == "[Errno 14] DMA write at 0x5000: not all of it is mapped, or its file was cut"
    assert complaint(0x1000_0000) == "[Errno 13] DMA write at 0x10000000: the client does not allow it"
    dev.reset()
    assert complaint(0x1000_0000) == "[Errno 5] DMA write at 0x10000000: the client has bus mastering off"
    dev.dma.alloc(4096)
    assert complaint(0x1000_0000) == "[Errno 13] DMA write at 0x10000000: the client does not allow it"
