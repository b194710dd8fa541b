# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Accesses of a client that need no message: in memory, and by eventfds; and what the device is asked once."""

import errno
import mmap
import threading

import pytest

import vfu

PAGE = mmap.PAGESIZE


class Mapped(vfu.Device):
    bar0 = vfu.Bar(size=4 * PAGE, mmap=[(PAGE, PAGE)])
    bar1 = vfu.Bar(size=4096)
    status = bar0.reg32(0, readonly=True)


def messages(dev):
    return dev.stats["requests_out"]


def test_memory(connect):
    device = Mapped()
    dev = connect(device)
    bar0 = dev.regions.bar0
    bar0.read32(PAGE)
    before = messages(dev)
    bar0.write32(PAGE, 0x12345678)
    bar0.write16(PAGE + 8, 7, post=True)
    bar0.write(2 * PAGE - 5, b"hello")
    assert bytes(device.bar0[PAGE : PAGE + 10]) == b"\x78\x56\x34\x12\0\0\0\0\x07\0"
    assert bar0.read(2 * PAGE - 5, 5) == b"hello" and bar0.read8(PAGE + 1) == 0x56 and bar0.read64(PAGE) == 0x12345678
    assert messages(dev) == before
    bar0.write32(2 * PAGE, 1)  # behind the area
    assert bar0.read(2 * PAGE - 2, 4) == b"lo\1\0"  # and across its end
    assert messages(dev) == before + 2
    with pytest.raises(vfu.Error, match="bar0 at 0x4000") as caught:
        bar0.read32(4 * PAGE)
    assert caught.value.errno == errno.EINVAL


def test_messages_all_the_same(connect):
    dev = connect(Mapped(), mapped=False)
    before = messages(dev)
    dev.regions.bar0.write32(PAGE, 1)
    dev.regions.bar0.read32(PAGE)
    assert messages(dev) == before + 4  # what it is asked about bar0, too


def test_the_device_is_asked_once(connect):
    dev = connect(Mapped(), irqs=False)
    [region.size for region in dev.regions], [irq.count for irq in dev.irqs]
    before = messages(dev)
    again = type(dev.regions)(dev._h, len(dev.regions))
    assert [region.size for region in again] == [region.size for region in dev.regions]
    assert again.bar0.map()[0] == 0
    assert messages(dev) == before


class Bell(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    count = bar0.reg32(0, readonly=True)
    other = bar0.reg32(0x48)

    def __init__(self):
        super().__init__()
        self.rung = threading.Event()

    @bar0.event((0x40, 4))
    def ring(self):
        self.rung.set()


def test_eventfd(connect):
    device = Bell()
    dev = connect(device, ioevents=True)
    dev.regions.bar0.write32(0x48, 3)
    before = messages(dev)
    for post in False, True:
        dev.regions.bar0.write32(0x40, 1, post=post)
        assert device.rung.wait(timeout=60)
        device.rung.clear()
    assert messages(dev) == before
    dev.regions.bar0.write16(0x48, 1)
    assert messages(dev) == before + 1 and device.other == 1


def test_no_eventfd_unless_asked_for(connect):
    device = Bell()
    dev = connect(device)
    before = messages(dev)
    dev.regions.bar0.write32(0x40, 1)
    assert messages(dev) == before + 2 and not device.rung.is_set()
