# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The client's side of DMA: what memory it gives its device, in which way, and what it takes back."""

import errno
import os

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
