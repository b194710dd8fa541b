# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Coroutines as the driver of counter.py: many reads at once, interrupts as they come, a wait that is given up.

    vfu serve counter.py:Counter --socket-path=/tmp/counter.sock &
    python3 async_client.py /tmp/counter.sock
"""

import asyncio
import sys

import vfu.aio


async def look(dev, memory):
    """Ends after three interrupts; others use the device meanwhile."""
    seen = 0
    async for count in dev.irqs.msix[0]:
        seen += count
        if seen >= 3:
            break
    print(f"interrupts: {seen}, memory: {memory[:5]!r}")


async def kick(dev, memory):
    for i in range(1, 4):
        await dev.regions.bar0.write32(4, memory.iova)
        while await dev.regions.bar0.read32(8) < i:  # until it is done: interrupts add up if nobody takes them
            await asyncio.sleep(0.001)


async def main(path):
    async with vfu.aio.connect(path) as dev:
        bar0 = dev.regions.bar0
        await asyncio.gather(*(bar0.write32(0x100 + 4 * i, i * i) for i in range(16)))
        print("squares:", sum(await asyncio.gather(*(bar0.read32(0x100 + 4 * i) for i in range(16)))))
        memory = await dev.dma.alloc(4096)
        await asyncio.gather(look(dev, memory), kick(dev, memory))
        try:
            await asyncio.wait_for(dev.irqs.msix[1].wait(), timeout=0.01)
        except asyncio.TimeoutError:
            print("msix[1]: nothing")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
