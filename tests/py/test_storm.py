# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Everything at once, in both directions: registers, late answers, posted writes, message DMA, interrupts."""

import asyncio
import os
import random
import threading
import time

import pytest

import vfu

SECONDS = float(os.environ.get("VFU_STORM_SECONDS", 1))
SIZE, HALF = 65536, 32768


class Device(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)

    @bar0.reg32(0x00).on_write
    async def copy(self, address):
        await self.dma.write(address + HALF, await self.dma.read(address, HALF))
        self.irqs.msix[0].trigger()

    @bar0.reg32(0x04).on_write
    def copy_and_wait(self, address):
        self.dma.write_sync(address + HALF, self.dma.read_sync(address, HALF))

    @bar0.reg32(0x08).on_read
    async def late(self):
        await asyncio.sleep(random.random() / 500)
        return 5

    @bar0.reg32(0x0C).on_read
    def now(self):
        return 6


class Storm:
    def __init__(self, dev):
        self.dev, self.bar0 = dev, dev.regions.bar0
        self.end = time.monotonic() + SECONDS
        self.done = []

    def repeat(self, step):
        try:
            count = 0
            while time.monotonic() < self.end:
                step(count)
                count += 1
            self.done.append((step.__name__, count))
        except BaseException as error:
            self.done.append((step.__name__, error))
            raise

    def registers(self, i):
        self.bar0.write32(0x100, i)
        assert (self.bar0.read32(0x100), self.bar0.read32(0x0C)) == (i, 6)

    def late_answers(self, i):
        assert self.bar0.read32(0x08) == 5

    def posts(self, i):
        for k in range(50):
            self.bar0.write32(0x200, k, post=True)
        assert self.bar0.read32(0x200) == 49

    def copies(self, i):
        ram = self.ram
        ram[HALF:] = bytes(HALF)
        self.bar0.write32(0x00, ram.iova)
        assert self.dev.irqs.msix[0].wait(timeout=10) == 1
        assert ram[:HALF] == ram[HALF:]
        ram[HALF:] = bytes(HALF)
        self.bar0.write32(0x04, ram.iova)
        assert ram[:HALF] == ram[HALF:]


@pytest.mark.parametrize("background", [False, True], ids=["waits", "background"])
def test_storm(connect, background):
    storm = Storm(connect(Device(), background=background))
    storm.ram = storm.dev.dma.alloc(SIZE, shared=False)
    storm.ram[:HALF] = os.urandom(HALF)
    steps = (storm.registers, storm.late_answers, storm.posts, storm.copies)
    threads = [threading.Thread(target=storm.repeat, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results = dict(storm.done)
    assert len(results) == 4 and all(isinstance(count, int) and count > 0 for count in results.values()), results
    assert storm.dev.stats["violations"] == 0
