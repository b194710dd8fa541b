# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The client's side of DMA: what memory it gives its device, in which way, and what it takes back."""

import asyncio
import concurrent.futures
import errno
import functools
import os
import threading

import pytest

import vfu


class Copier(vfu.Device):
    """Copies within the client's memory: source, target, length, then go; error says how it went."""

    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)
    source = bar0.reg64(0x00)
    target = bar0.reg64(0x08)
    length = bar0.reg64(0x10)
    error = bar0.reg32(0x1C)

    @bar0.reg32(0x18).on_write
    async def go(self, value):
        self.error = 0
        try:
            await self.dma.write(self.target, await self.dma.read(self.source, self.length))
        except OSError as error:
            self.error = error.errno
        self.irqs.msix[0].trigger()


def copy(dev, source, target, length):
    bar0 = dev.regions.bar0
    bar0.write64(0, source)
    bar0.write64(8, target)
    bar0.write64(0x10, length)
    bar0.write32(0x18, 1)
    assert dev.irqs.msix[0].wait(timeout=10) == 1
    return bar0.read32(0x1C)


def test_nothing_is_shared(connect):
    """What the device may do holds for each access, for it has no file that it could map."""
    device = Copier()
    dev = connect(device, shared=False)
    source = dev.dma.alloc(4096, write=False)
    target = dev.dma.alloc(4096, shared=True)
    assert not source.shared and not target.shared
    fd = os.memfd_create("test")
    os.ftruncate(fd, 4096)
    third = bytearray(4096)
    dev.dma.map(third, 0x8000_0000, fd=fd)
    os.close(fd)
    assert [(one.iova, one.writable, one.mapped) for one in dev.dma.ranges] == [
        (source.iova, False, False),
        (target.iova, True, False),
        (0x8000_0000, True, False),
    ]
    source[:4] = b"data"
    assert copy(dev, source.iova, target.iova, 4) == 0 == copy(dev, source.iova, 0x8000_0000, 4)
    assert target[:4] == third[:4] == b"data"
    target[:4] = b"more"
    assert copy(dev, target.iova, source.iova, 4) == errno.EACCES
    assert source[:4] == b"data"


@pytest.mark.parametrize("policy", ["each", "flag"])
def test_unmap_all(connect, policy):
    device = Copier()
    dev = connect(device, policy={"unmap_all": policy})
    buffers = [dev.dma.alloc(4096, shared=bool(i & 1)) for i in range(8)]
    held = bytearray(4096)
    dev.dma.map(held, 0x1_0000_0000)
    with pytest.raises(BufferError):
        held.append(0)
    assert len(device.dma.ranges) == len(dev.dma.ranges) == 9
    assert [one.mapped for one in dev.dma.ranges] == [False, True] * 4 + [False]
    dev.dma.unmap_all()
    held.append(0)  # nobody has it any more
    assert device.dma.ranges == dev.dma.ranges == []
    dev.dma.unmap_all()
    dev.dma.map(buffers[0], buffers[0].iova)
    assert len(device.dma.ranges) == 1


# ---- files ----


@pytest.mark.parametrize("shared", [None, False], ids=["mapped", "messages"])
def test_a_file(connect, tmp_path, shared):
    """What the device writes is in it, from the offset on; and one that cannot be written is for reading."""
    path = tmp_path / "disk"
    path.write_bytes(b"a" * 4096 + b"b" * 8192)
    device = Copier()
    dev = connect(device)
    buffer = dev.dma.map_file(path, offset=4096, shared=shared, align=1 << 20)
    assert len(buffer) == 8192 and buffer.shared == (shared is None) and not buffer.iova & 0xFFFFF
    with open(path, "rb") as file:
        source = dev.dma.map_file(file, iova=0x10000, size=4096, write=False, shared=shared)
    assert copy(dev, source.iova, buffer.iova + 4096, 4) == 0
    assert path.read_bytes()[8190:8198] == b"bbaaaabb"
    assert copy(dev, buffer.iova, source.iova, 4) == errno.EACCES
    with pytest.raises(TypeError):
        source[:4] = b"here"
    dev.dma.unmap(buffer)
    with pytest.raises(OSError):
        dev.dma.map_file(tmp_path / "none")
    with pytest.raises(ValueError):
        dev.dma.map_file(path, offset=1 << 20)
    assert [one.iova for one in dev.dma.ranges] == [0x10000]


# ---- addresses ----


def test_addresses(connect):
    dev = connect(Copier(), irqs=False)
    first = dev.dma.alloc(4096, shared=False)
    assert first.iova == 0x1000_0000
    assert dev.dma.alloc(8192, shared=False, align=2 << 20).iova == 0x1020_0000
    assert dev.dma.alloc(1, shared=False).iova == 0x1000_1000
    dev.dma.reserve(0x1000_2000, 0x1000)
    assert dev.dma.alloc(4096, shared=False).iova == 0x1000_3000
    held = bytearray(4096)
    dev.dma.map(held, 0x1000_4000)
    assert dev.dma.alloc(4096, shared=False).iova == 0x1000_5000
    dev.dma.map(bytearray(4096), 0x1000_2000)  # who says so may
    dev.dma.unmap(0x1000_2000)
    dev.dma.unmap(held)
    dev.dma.unmap(first)
    assert [dev.dma.alloc(4096, shared=False).iova for _ in range(3)] == [0x1000_0000, 0x1000_4000, 0x1000_6000]
    with pytest.raises(vfu.Error, match="overlaps another range") as caught:
        dev.dma.map(held, 0x1000_4000)
    assert caught.value.errno == errno.EEXIST and caught.value.field == "dma_map.address"
    with pytest.raises(vfu.Error) as caught:
        dev.dma.map(held, 0x1)
    assert caught.value.field == "dma_map.address" and caught.value.errno == errno.EINVAL
    with pytest.raises(vfu.Error) as caught:
        dev.dma.alloc(4096, bits=28)
    assert caught.value.errno == errno.ENOSPC
    dev.dma.map(bytearray(4096), 0xFFFF_FFFF_FFFF_F000)  # the last that there is


def test_interrupts_of_x86_are_not_memory(connect):
    dev = connect(Copier(), irqs=False)
    dev.dma.reserve(0, 0xFEDF_F000)
    assert dev.dma.alloc(4096, shared=False).iova == 0xFEDF_F000
    assert dev.dma.alloc(4096, shared=False).iova == 0xFEF0_0000
    dev.dma.map(bytearray(4096), 0xFEE0_0000)


def test_refused_addresses_are_free_again(connect):
    dev = connect(Copier(), irqs=False, server_options={"options": {"max_dma_maps": 1}})
    kept = dev.dma.alloc(4096)
    for _ in range(2):
        with pytest.raises(vfu.Error) as caught:
            dev.dma.alloc(4096)
        assert caught.value.errno == errno.ENOSPC
    dev.dma.unmap_all()
    assert dev.dma.alloc(4096).iova == kept.iova


# ---- many at once ----


def test_a_storm_of_maps(connect):
    """All that the protocol has room for, of one file."""
    count = 65535 if os.environ.get("FULL") else 2000
    device = Copier()
    dev = connect(device, irqs=False)
    memory = bytearray(4096)
    with dev.dma.batch():
        for i in range(count):
            dev.dma.map(memory, i * 0x2000)
    assert len(dev.dma.ranges) == len(device.dma.ranges) == count
    with pytest.raises(BufferError):
        memory.append(0)
    dev.dma.unmap_all()
    memory.append(0)
    assert device.dma.ranges == []


def test_a_storm_that_is_refused_in_part(connect):
    device = Copier()
    dev = connect(device, irqs=False, server_options={"options": {"max_dma_maps": 10}})
    memory = [bytearray(4096) for _ in range(20)]
    with pytest.raises(vfu.Error) as caught, dev.dma.batch():
        with dev.dma.batch():  # the outer one counts
            for i, one in enumerate(memory):
                dev.dma.map(one, i * 0x1000)
    assert caught.value.errno == errno.ENOSPC
    assert [one.iova for one in dev.dma.ranges] == [i * 0x1000 for i in range(10)]
    for one in memory[10:]:
        one.append(0)  # nobody has it
    with pytest.raises(BufferError):
        memory[9].append(0)
    dev.dma.unmap(memory[0])
    dev.dma.map(memory[1], 0xA000)  # waits again, and its address is free


# ---- objects in place of memory ----


class Model:
    """Memory of a simulator, which is a dict."""

    def __init__(self):
        self.bytes = {}
        self.asked = []

    def read(self, iova, size):
        self.asked.append(("read", iova, size))
        return bytes(self.bytes.get(iova + i, 0) for i in range(size))

    def write(self, iova, data):
        self.asked.append(("write", iova, len(data)))
        self.bytes |= {iova + i: byte for i, byte in enumerate(data)}


@pytest.mark.parametrize("background", [False, True], ids=["waits", "background"])
def test_a_model(connect, background):
    dev = connect(Copier(), background=background)
    model, memory = Model(), dev.dma.alloc(4096, iova=0x10000, shared=False)
    dev.dma.map_handler(model, 0x11000, 4096)
    memory[4092:] = b"data"
    assert copy(dev, 0x10FFC, 0x11FFC, 4) == 0
    assert copy(dev, 0x11FFA, 0x10000, 6) == 0
    assert memory[:6] == b"\0\0data"
    assert model.asked == [("write", 0x11FFC, 4), ("read", 0x11FFA, 6)]
    assert copy(dev, 0x10FFE, 0x10010, 4) == 0  # both of them
    assert memory[0x10:0x14] == b"ta\0\0"
    assert [(one.iova, one.writable, one.mapped) for one in dev.dma.ranges] == [
        (0x10000, True, False),
        (0x11000, True, False),
    ]
    dev.dma.unmap(model)
    assert copy(dev, 0x11000, 0x10000, 4) == errno.EFAULT


class Faulty:
    def read(self, iova, size):
        if iova & 0xFFF == 0x100:
            raise OSError(errno.ENXIO, "no such place")
        if iova & 0xFFF == 0x200:
            return b"short"
        if iova & 0xFFF == 0x300:
            return 5
        if iova & 0xFFF == 0x400:
            return self.answer(size)
        raise KeyError(iova)

    async def answer(self, size):
        return bytes(size)


def test_a_model_that_fails(connect, caplog):
    """The device has an errno, the log the exception, and what waits goes on."""
    dev = connect(Copier())
    memory = dev.dma.alloc(4096)
    dev.dma.map_handler(Faulty(), 0x20000, 4096)
    places = {0: errno.EIO, 0x100: errno.ENXIO, 0x200: errno.EIO, 0x300: errno.EIO, 0x400: errno.EIO}
    for offset, expected in places.items():
        assert copy(dev, 0x20000 + offset, memory.iova, 8) == expected
    assert copy(dev, memory.iova, 0x20000, 8) == errno.EACCES  # it has no method for that
    for text in ("KeyError", "no such place", "5 bytes were read, 8 are wanted", "event loop"):
        assert text in caplog.text
    caplog.clear()


class Slow(Model):
    """Answers when it is told to, in the order of the test."""

    def __init__(self):
        super().__init__()
        self.gates = []

    async def read(self, iova, size):
        gate = asyncio.Event()
        self.gates.append(gate)
        await gate.wait()
        if iova & 0xFFF == 0x800:
            raise OSError(errno.ENXIO, "no such place")
        return super().read(iova, size)

    async def write(self, iova, data):
        await asyncio.sleep(0)
        super().write(iova, data)


class Reader(vfu.Device):
    """Reads 8 bytes at an address, as often as it is told to; each is an interrupt."""

    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)

    def __init__(self):
        super().__init__()
        self.got = []

    @bar0.reg64(0).on_write
    async def go(self, address):
        try:
            self.got.append(await self.dma.read(address, 8))
            await self.dma.write(address, b"seen")
        except OSError as error:
            self.got.append(error.errno)
        self.irqs.msix[0].trigger()


def test_a_model_that_takes_its_time(connect, caplog):
    device = Reader()
    dev = connect(device, background=True)
    model = Slow()

    async def run():
        dev.dma.map_handler(model, 0x10000, 4096)
        for i in (0, 0x100, 0x800):
            model.bytes[0x10000 + i] = i >> 8
            dev.regions.bar0.write64(0, 0x10000 + i)
        while len(model.gates) < 3:
            await asyncio.sleep(0.001)
        for i, gate in enumerate(reversed(model.gates)):  # not in the order of the questions
            gate.set()
            while len(device.got) == i:
                await asyncio.sleep(0.001)
        while model.bytes[0x10000] != ord("s"):  # what the last of them writes
            await asyncio.sleep(0.001)

    asyncio.run(run())
    assert device.got == [errno.ENXIO, b"\1" + bytes(7), bytes(8)]
    assert dev.irqs.msix[0].wait(timeout=10)
    caplog.clear()


def test_a_loop_that_ends_before_it_answers(connect, caplog):
    """The device is told so; and what comes then finds no loop."""
    device = Reader()
    dev = connect(device, background=True)
    model = Slow()

    async def run():
        dev.dma.map_handler(model, 0x10000, 4096)
        dev.regions.bar0.write64(0, 0x10000)
        while not model.gates:
            await asyncio.sleep(0.001)

    asyncio.run(run())
    assert dev.irqs.msix[0].wait(timeout=10)
    dev.regions.bar0.write64(0, 0x10000)
    assert dev.irqs.msix[0].wait(timeout=10)
    assert device.got == [errno.ECANCELED, errno.EIO]
    assert "Event loop is closed" in caplog.text
    caplog.clear()


def test_a_client_that_ends_before_it_answers(connect):
    device = Reader()
    dev = connect(device, background=True)
    model = Slow()

    async def run():
        dev.dma.map_handler(model, 0x10000, 4096)
        dev.regions.bar0.write64(0, 0x10000)
        while not model.gates:
            await asyncio.sleep(0.001)
        dev.close()
        model.gates[0].set()
        await asyncio.sleep(0.01)

    asyncio.run(run())
    assert model.asked == [("read", 0x10000, 8)]


# ---- what fails ----


class Slowly(vfu.Device):
    """Thinks about maps until go is set."""

    bar0 = vfu.Bar(size=4096)

    def __init__(self):
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self.refuses = False

    def on_gate(self, what):
        self.go.wait(60)
        if self.refuses:
            raise OSError(errno.EBUSY, "not now")


@pytest.fixture
def slowly(connect):
    """The device and its client."""
    device = Slowly()
    yield device, connect(device, irqs=False)
    device.go.set()


def is_free(memory):
    """Nobody has a bytearray."""
    try:
        memory.append(0)
    except BufferError:
        return False
    del memory[-1]
    return True


UNMAPS = {
    "unmap": lambda dev, memory: dev.dma.unmap(memory),
    "unmap with a size": lambda dev, memory: dev.dma.unmap(0x1000, 0x1000_0000),
    "unmap_all": lambda dev, memory: dev.dma.unmap_all(),
}


def unmapping_that_is_not_answered(device, dev, unmap):
    """The memory is the caller's, and known to nobody here. Its addresses may be in use at the device: alloc takes others."""
    memory = bytearray(4096)
    dev.dma.map(memory, 0x1000_0000)
    device.go.clear()
    with pytest.raises(vfu.Timeout):
        unmap(dev, memory)
    assert dev.dma.ranges == [] and is_free(memory) and repr(dev.dma) == "<vfu.ClientDma 0 ranges, 0x0 bytes>"
    with pytest.raises(ValueError):
        dev.dma.unmap(memory)
    device.go.set()
    assert dev.dma.alloc(4096).iova == 0x1000_1000
    dev.dma.unmap(0x1000_0000, 0x1000)  # whatever the device has there
    dev.dma.map(memory, 0x1000_0000)
    assert [one.iova for one in dev.dma.ranges] == [one.iova for one in device.dma.ranges] == [0x1000_0000, 0x1000_1000]


@pytest.mark.parametrize("unmap", UNMAPS.values(), ids=UNMAPS)
def test_unmapping_that_is_refused(slowly, unmap):
    device, dev = slowly
    memory = bytearray(4096)
    dev.dma.map(memory, 0x1000_0000)
    device.refuses = True
    with pytest.raises(vfu.Error):
        unmap(dev, memory)
    assert len(dev.dma.ranges) == 1 and not is_free(memory)
    device.refuses = False
    unmap(dev, memory)
    assert dev.dma.ranges == device.dma.ranges == [] and is_free(memory)
    assert dev.dma.alloc(4096).iova == 0x1000_0000


@pytest.mark.parametrize("unmap", UNMAPS.values(), ids=UNMAPS)
def test_unmapping_when_the_device_has_gone(tmp_path, unmap):
    memory = bytearray(4096)
    path = tmp_path / "sock"
    with vfu.Server(Slowly(), path).start() as server, vfu.Client(path, irqs=False) as dev:
        dev.dma.map(memory, 0x1000_0000)
        server.close()
        with pytest.raises(vfu.Disconnected):
            unmap(dev, memory)
        assert dev.dma.ranges == [] and is_free(memory)


def a_map_that_is_not_answered(device, dev):
    """Nobody here has the memory; the device has it, until it is told."""
    memory = bytearray(4096)
    device.go.clear()
    with pytest.raises(vfu.Timeout):
        dev.dma.map(memory, 0x1000_0000)
    assert dev.dma.ranges == [] and is_free(memory)
    device.go.set()
    assert dev.dma.alloc(4096).iova == 0x1000_1000
    assert len(device.dma.ranges) == 2
    with pytest.raises(vfu.Error) as caught:
        dev.dma.map(memory, 0x1000_0000)
    assert caught.value.errno == errno.EEXIST
    dev.dma.unmap(0x1000_0000, 0x1000)
    dev.dma.map(memory, 0x1000_0000)
    assert [one.iova for one in dev.dma.ranges] == [one.iova for one in device.dma.ranges] == [0x1000_0000, 0x1000_1000]


def test_what_is_not_answered(connect):
    """Each in its thread: the time that clients wait, which is enough for what is answered, passes once for all."""
    ways = [functools.partial(unmapping_that_is_not_answered, unmap=unmap) for unmap in UNMAPS.values()]
    ways.append(a_map_that_is_not_answered)
    places = [(way, device := Slowly(), connect(device, irqs=False)) for way in ways]
    try:
        with concurrent.futures.ThreadPoolExecutor(len(places)) as pool:
            for one in [pool.submit(*place) for place in places]:
                one.result()
    finally:
        for _, device, _ in places:
            device.go.set()


@pytest.mark.parametrize("raised", [ZeroDivisionError, KeyboardInterrupt])
def test_a_batch_that_fails_half_way(connect, raised):
    """What was mapped by then is, what is refused is not, and the batch's own exception is what goes on."""
    device = Copier()
    dev = connect(device, irqs=False, server_options={"options": {"max_dma_maps": 4}})
    memory = [bytearray(4096) for _ in range(8)]
    with pytest.raises(raised), dev.dma.batch():
        for i, one in enumerate(memory):
            dev.dma.map(one, i * 0x1000)
        raise raised
    if raised is KeyboardInterrupt:  # which has not waited
        with pytest.raises(vfu.Error), dev.dma.batch():
            pass
    assert [one.iova for one in dev.dma.ranges] == [one.iova for one in device.dma.ranges] == [0, 0x1000, 0x2000, 0x3000]
    assert [is_free(one) for one in memory] == [False] * 4 + [True] * 4


def test_a_batch_is_left_without_waiting(slowly):
    """KeyboardInterrupt ends one of a device that does not answer."""
    device, dev = slowly
    memory = bytearray(4096)
    dev.dma.alloc(4096)
    device.go.clear()
    before = dev.stats["requests_out"]
    with pytest.raises(KeyboardInterrupt), dev.dma.batch():
        dev.dma.map(memory, 0)
        raise KeyboardInterrupt
    assert dev.stats["requests_out"] == before + 1 and not is_free(memory)
    device.go.set()
    dev.dma.unmap(memory)
    assert is_free(memory) and len(dev.dma.ranges) == 1
