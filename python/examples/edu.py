# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""QEMU's device for teaching how drivers are written.   vfu serve edu.py --socket-path=/tmp/edu.sock

QEMU has it built in, as -device edu; its register map is docs/specs/edu.rst there. Every driver written for that one
drives this one, and here the device is the part that can be read and changed in an afternoon. It has one of each thing
that a driver has to do with:

    0x00  identification   says 0x010000ed: "edu", version 1.0
    0x04  liveness         reads as the complement of what was written
    0x08  factorial        write n, wait until status bit 0 is clear, read n!
    0x20  status           bit 0: computing; bit 7: interrupt when done
    0x24  interrupt status why there was an interrupt: 0x001 factorial, 0x100 DMA, and what was raised by 0x60
    0x60  interrupt raise  sets bits of the interrupt status, and interrupts
    0x64  interrupt ack    clears bits of it; the line goes down when none is left
    0x80  DMA source       \\  one of them is an address in memory,
    0x88  DMA destination  /   the other one in the device's buffer: 0x40000 to 0x40fff
    0x90  DMA count        in bytes
    0x98  DMA command      bit 0: run; bit 1: 0 from memory, 1 to memory; bit 2: interrupt when done

drivers/edu.py is a driver for it, and guest/edu.sh a script for a Linux guest.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine
from typing import Any

import vfu

# Bits of status
COMPUTING, INTERRUPT_WHEN_COMPUTED = 0x01, 0x80
# Bits of the interrupt status that are the device's own
FACTORIAL_DONE, DMA_DONE = 0x001, 0x100
# Bits of the DMA command
RUN, TO_MEMORY, INTERRUPT_WHEN_COPIED = 0x01, 0x02, 0x04

BUFFER_AT, BUFFER_SIZE = 0x40000, 4096
ADDRESS_MASK = (1 << 28) - 1  # the device has so few address lines: drivers have to set their DMA mask


class Edu(vfu.Device):
    vendor_id, device_id, class_code, revision = 0x1234, 0x11E8, 0x00FF00, 0x10
    subsystem_vendor_id, subsystem_id = 0x1AF4, 0x1100
    bar0 = vfu.Bar(size=1 << 20)
    irqs = vfu.Irqs(intx=1, msi=1)
    event_loop = True  # start() below wants one

    identification = bar0.reg32(0x00, reset=0x010000ED, readonly=True)
    liveness = bar0.reg32(0x04)
    factorial = bar0.reg32(0x08)
    status = bar0.reg32(0x20)
    interrupt_status = bar0.reg32(0x24, readonly=True)
    interrupt_raise = bar0.reg32(0x60, reset=0xFFFF_FFFF)  # to be written only: reads say so
    interrupt_acknowledge = bar0.reg32(0x64, reset=0xFFFF_FFFF)
    dma_source = bar0.reg64(0x80)  # plain storage: may be written at once, or in halves
    dma_destination = bar0.reg64(0x88)
    dma_count = bar0.reg64(0x90)
    dma_command = bar0.reg32(0x98)

    def __init__(self) -> None:
        super().__init__()
        self.buffer = bytearray(BUFFER_SIZE)
        self.running: set[asyncio.Task[Any]] = set()

    @liveness.on_write
    def invert(self, value: int) -> None:
        self.liveness = ~value & 0xFFFF_FFFF

    # ---- factorial: what takes time goes on while the driver does something else ----

    @factorial.on_write
    def start_factorial(self, n: int) -> None:
        """The busy bit has to be up before the driver can look: so it is set here, and the rest comes later."""
        if not self.status & COMPUTING:
            self.status |= COMPUTING
            self.start(self.compute(n))

    async def compute(self, n: int) -> None:
        await self.take_time()
        # The product has 32 bits; from 34 on, they are all 0.
        self.factorial = math.factorial(min(n, 34)) & 0xFFFF_FFFF
        self.status &= ~COMPUTING
        if self.status & INTERRUPT_WHEN_COMPUTED:
            self.interrupt(FACTORIAL_DONE)

    @status.on_write
    def set_status(self, value: int) -> None:
        self.status = self.status & COMPUTING | value & INTERRUPT_WHEN_COMPUTED

    # ---- interrupts: the driver learns why from a register, and has to say that it has ----

    def interrupt(self, why: int) -> None:
        """By a message if the driver listens to messages, else by the line."""
        self.interrupt_status |= why
        is_bus_master = self.config_read(4, 1)[0] & 0x04  # which messages need: they are writes to memory
        if not (is_bus_master and self.irqs.msi[0].trigger()):
            self.irqs.intx.raise_()

    @interrupt_raise.on_write
    def raise_interrupt(self, why: int) -> None:
        self.interrupt(why)

    @interrupt_acknowledge.on_write
    def acknowledge(self, why: int) -> None:
        self.interrupt_status &= ~why
        if not self.interrupt_status:
            self.irqs.intx.lower()

    # ---- DMA: the device itself fetches and stores ----

    @dma_command.on_write
    def start_dma(self, command: int) -> None:
        if command & RUN and not self.dma_command & RUN:
            self.dma_command = command & (RUN | TO_MEMORY | INTERRUPT_WHEN_COPIED)
            self.start(self.copy(command, self.dma_source, self.dma_destination, self.dma_count))

    async def copy(self, command: int, source: int, destination: int, count: int) -> None:
        await self.take_time()
        try:
            if command & TO_MEMORY:
                await self.dma.write(destination & ADDRESS_MASK, self.part_of_buffer(source, count))
            else:
                part = self.part_of_buffer(destination, count)
                part[:] = await self.dma.read(source & ADDRESS_MASK, count)
        except (ValueError, vfu.Error) as error:
            logging.warning("DMA: %s", error)  # the registers cannot tell, but whoever runs the device will know
        self.dma_command &= ~RUN
        if command & INTERRUPT_WHEN_COPIED:
            self.interrupt(DMA_DONE)

    def part_of_buffer(self, address: int, count: int) -> memoryview:
        at = address - BUFFER_AT
        if not 0 <= at <= at + count <= BUFFER_SIZE:
            raise ValueError(f"{count} bytes at {address:#x} are not in the buffer; nothing is copied")
        return memoryview(self.buffer)[at : at + count]

    # ---- the rest ----

    async def take_time(self) -> None:
        """As long as work takes. Were it done at once, no driver would learn to wait."""
        await asyncio.sleep(0.01)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.spawn(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    def reset(self) -> None:
        """The registers are at their first values already."""
        for task in self.running:
            task.cancel()
        self.buffer[:] = bytes(BUFFER_SIZE)
        self.irqs.intx.lower()
