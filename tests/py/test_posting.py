# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Client.posting(): writes that go together. How they travel is in tests/unit/client/test-batches.c."""

import threading

import pytest

import vfu
from vfu.testing import plug


class Device(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(intx=1)

    def __init__(self):
        super().__init__()
        self.seen = []

    @bar0.reg32(0).on_write
    def note(self, value):
        self.seen.append(value)


class Mapped(Device):
    bar1 = vfu.Bar(size=4096, mmap=True)


@pytest.fixture
def plugged():
    device = Device()
    with plug(device) as dev:
        assert dev.regions.bar0.size == 4096 and dev.config.size
        yield device, dev


def sent(dev):
    return dev.stats["requests_out"]


def test_writes_share_messages(plugged):
    device, dev = plugged
    before = sent(dev)
    with dev.posting():
        for i in range(400):
            dev.regions.bar0.write32(0, i)
    assert sent(dev) == before + 2
    assert dev.regions.bar0.read32(4) == 0
    assert device.seen == list(range(400))


def test_without_write_multiple():
    with plug(Device(), capabilities={"write_multiple": False}) as dev:
        before = sent(dev), dev.regions.bar0.size, dev.stats["batches"]
        with dev.posting():
            for i in range(400):
                dev.regions.bar0.write32(0, i)
        assert (sent(dev), dev.stats["batches"]) == (before[0] + 401, before[2] + 1)


def test_order(plugged):
    """A read sees what was written before it; so does what waits for an answer, and configuration space."""
    device, dev = plugged
    bar0 = dev.regions.bar0
    with dev.posting():
        bar0.write(4, b"abcdefgh" * 16)
        bar0.write64(0x100, 1)
        assert bar0.read(4, 8) == b"abcdefgh" and bar0.read64(0x100) == 1
        bar0.write32(0, 1)
        bar0.write32(0, 2, post=False)
        assert device.seen == [1, 2]
        bar0.write32(0, 3)
        dev.config.command = 2
        dev.config.write16(4, 6)
        assert device.seen == [1, 2, 3]
        before = sent(dev)
        dev.config.write16(4, 2)
        assert sent(dev) == before + 1 and dev.config.command == 2


def test_an_error_is_not_told(plugged):
    """What is written past the end is refused by the device, which a posted write does not say."""
    _, dev = plugged
    with dev.posting():
        dev.regions.bar0.write32(4096, 1)
        with pytest.raises(vfu.Error):
            dev.regions.bar0.write32(4096, 1, post=False)
        with pytest.raises(OverflowError):
            dev.regions.bar0.write8(0, 256)


def test_an_exception(plugged):
    device, dev = plugged
    with pytest.raises(ZeroDivisionError), dev.posting():
        dev.regions.bar0.write32(0, 1)
        dev.regions.bar0.write32(0, 1 // 0)
    dev.regions.bar0.read32(4)
    assert device.seen == [1]


def test_in_one_another(plugged):
    device, dev = plugged
    before = sent(dev)
    with dev.posting():
        with dev.posting():
            dev.regions.bar0.write32(0, 1)
        dev.regions.bar0.write32(0, 2)
    assert sent(dev) == before + 1
    dev.regions.bar0.write32(0, 3)
    assert device.seen == [1, 2, 3]


def test_other_threads_are_not_in_it(plugged):
    device, dev = plugged
    with dev.posting():
        dev.regions.bar0.write32(0, 1)
        thread = threading.Thread(target=lambda: dev.regions.bar0.write32(0, 2))
        thread.start()
        thread.join()
        assert device.seen == [1, 2]


@pytest.mark.parametrize("client", [{"background": True}, {"client": {"options": {"posted": 0}}}, {}], ids=str)
def test_kinds_of_clients(client):
    """With a thread that reads; with posting turned off; where a region can be mapped, for then none is posted."""
    device = Device() if client else Mapped()
    with plug(device, **client) as dev:
        assert dev.regions.bar0.size and (client or dev.regions.bar1.mappable)
        before = sent(dev)
        with dev.posting():
            for i in range(100):
                dev.regions.bar0.write32(0, i)
        # The thread may still be on its way back from an earlier answer, and sends what it finds on the queue then.
        assert sent(dev) - before < 50 if "background" in client else sent(dev) - before == 100
        dev.regions.bar0.read32(4)
        assert device.seen == list(range(100))


def test_closed_clients(plugged):
    _, dev = plugged
    with pytest.raises(vfu.Disconnected), dev.posting():
        dev.regions.bar0.write32(0, 1)
        dev.close()
    with pytest.raises(RuntimeError, match="mine"), plug(Device()) as dev, dev.posting():
        dev.regions.bar0.write32(0, 1)
        dev.close()
        raise RuntimeError("mine")
    with pytest.raises((ValueError, vfu.Disconnected)), dev.posting():
        pass
