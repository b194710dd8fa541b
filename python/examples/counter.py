# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A device with registers, DMA and interrupts.   vfu serve counter.py --socket-path=/tmp/counter.sock"""

import vfu


class Counter(vfu.Device):
    vendor_id, device_id, class_code = 0x1234, 0x0001, 0xFF0000
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(intx=1, msix=4)

    ticks = bar0.reg32(0x00)  # plain storage: served in C, Python does not run
    done = bar0.reg32(0x08, readonly=True)
    total = bar0.reg32(0x10, readonly=True)

    @bar0.reg32(0x04).on_write
    async def kick(self, address):  # the write is answered at once; DMA goes on
        await self.dma.write(address, b"hello")  # any length; mapped or by message
        self.done += 1
        self.irqs.msix[0].trigger()  # after the data has arrived

    @bar0.reg32(0x0C).on_write
    async def sum(self, address):
        self.total = sum(await self.dma.read(address, 64))
        self.irqs.msix[1].trigger()
