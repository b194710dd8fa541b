# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A client that outlives its server: memory and interrupts are there again, registers it restores itself.

    python3 reconnect.py /tmp/adder.sock
"""

import contextlib
import sys

import vfu


class Adder(vfu.Device):
    """Adds up what is written to BAR 0, and puts the sum into the client's memory."""

    vendor_id, device_id, class_code = 0x1234, 0x0ADD, 0x0B4000
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msi=1)
    total = 0

    @bar0.reg32(0).on_write
    async def add(self, value: int) -> None:
        self.total += value
        await self.dma.write(0, self.total.to_bytes(4, "little"))
        self.irqs.msi[0].trigger()


def main(path: str) -> None:
    total = 0

    def on_link(link: vfu.Link) -> None:
        print(link.event, *([f"device state {link.state}"] if link.event == "restored" else []))
        if link.event == "restored" and link.state != "kept":
            add(total)

    def add(value: int) -> None:
        dev.regions.bar0.write32(0, value)
        dev.irqs.msi.wait(10)

    server = vfu.Server(Adder(), path).start()
    with vfu.Client(path, reconnect=10, on_link=on_link) as dev:
        memory = dev.dma.alloc(4096, iova=0)
        dev.irqs.msi.enable()
        for value in (1, 2, 3):
            add(value)
            total += value
            print("sum:", int.from_bytes(memory[:4], "little"))
            if value < 3:
                server.close()
                server = vfu.Server(Adder(), path).start()
                with contextlib.suppress(vfu.Disconnected):  # what is under way then is not repeated
                    dev.config.vendor_id
    server.close()


if __name__ == "__main__":
    main(sys.argv[1])
