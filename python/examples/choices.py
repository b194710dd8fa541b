# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What a client may choose when it connects: each on a connection of its own.

    vfu serve choices.py --socket-path=/tmp/choices.sock &
    python3 choices.py /tmp/choices.sock
"""

import sys

import vfu


class Bell(vfu.Device):
    """Counts how often its doorbell was rung, and writes that to memory when it is told an address."""

    vendor_id, device_id, class_code = 0x1234, 0xBE11, 0xFF0000
    bar0 = vfu.Bar(size=4096)
    rung = bar0.reg32(0)

    @bar0.event((0x40, 4))
    def bell(self) -> None:
        self.rung += 1

    @bar0.reg32(0x04).on_write
    async def tell(self, address: int) -> None:
        await self.dma.write(address, self.rung.to_bytes(4, "little"))


def ioeventfd(path: str) -> None:
    """Writes for which the device has given an eventfd signal that: no message is sent."""
    with vfu.Client(path, wait=10, ioevents=True) as dev:
        bar0 = dev.regions.bar0
        bar0.write32(0x40, 1)  # which asks for the eventfds of the region first
        before = dev.stats["requests_out"]
        for _ in range(3):
            bar0.write32(0x40, 1)
        print("doorbell: messages:", dev.stats["requests_out"] - before)
        while not bar0.read32(0):  # the device hears of it soon: several may be one
            pass


def never_share(path: str) -> None:
    """The device does not get the file behind memory: all it does there comes by message, and is checked."""
    with vfu.Client(path, wait=10, shared=False) as dev:
        memory = dev.dma.alloc(4096, iova=0x10000)
        dev.regions.bar0.write32(0x04, 0x10000)
        while not any(memory[:4]):
            dev.serve(0.01)
        print("memory: file:", "yes" if dev.dma.ranges[0].mapped else "no")


def profile(path: str) -> None:
    """A server that reads one command at a time has none posted."""
    with vfu.Client(path, wait=10, profile="one-at-a-time") as dev:
        bar0 = dev.regions.bar0
        before = dev.stats["replies_in"]
        bar0.write32(0x80, 1, post=True)
        print("posted: 1, answered:", dev.stats["replies_in"] - before)


def twin(path: str) -> None:
    """The device's DMA goes by a second socket."""
    with vfu.Client(path, wait=10, options={"twin_socket": 1}) as dev:
        print("twin socket:", "yes" if dev.limits["twin_socket"] else "no")


def main(path: str) -> None:
    for choice in ioeventfd, never_share, profile, twin:
        choice(path)


if __name__ == "__main__":
    main(sys.argv[1])
