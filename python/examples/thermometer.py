# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A thermometer, in six steps from one register to a device that a Linux guest uses.

    vfu serve thermometer.py period=0.1 seed=7 --socket-path=/tmp/thermometer.sock &
    vfu write /tmp/thermometer.sock --device thermometer.py threshold=20000 enable_set=1
    vfu wait /tmp/thermometer.sock 'msix[0]' --device thermometer.py --write running=1
    vfu read /tmp/thermometer.sock --device thermometer.py temperature samples alarm

Its registers, by the step that brings them:

    1  0x00  identity     reads as "TEMP"
       0x04  temperature  in 1/1000 degrees Celsius
    2  0x08  threshold    above it there is an alarm
       0x0c  status       what has happened, bit by bit: 0 alarm, 1 reported, 2 failed; write ones to clear
    3  0x10  enable       the bits of status that interrupt: each by an MSI-X vector of its own, or all by INTx
       0x14  enable_set   write ones to set bits of it
       0x18  enable_clear write ones to clear bits of it
    4  0x1c  control      bit 0, running: take a sample each period
       0x20  samples      how many there have been
    5  0x28  ring         an address in memory: of records of 8 bytes, the number of a sample and its temperature
       0x30  ring_size    how many records there is room for; 0: none, then samples go nowhere
       0x34  ring_head    which of them is the next to be written: all before it have arrived
       0x38  doorbell     an address in memory: a record is written there, and bit 1 of status says so

Addresses are 64 bits, in one write or in two halves. The same seed gives the same temperatures, for tests.
Step 6 is a guest, with guest/thermometer.sh as its driver.
"""

import asyncio
import random
import struct

import vfu

ALARM, REPORTED, FAILED = 0, 1, 2  # bits of status and enable, and vectors
RECORD = struct.Struct("<II")


class Thermometer(vfu.Device):
    # ---- step 1: what it is, and a register ----

    vendor_id, device_id, class_code = 0x1234, 0x7E39, 0x118000
    bar0 = vfu.Bar(size=4096)

    identity = bar0.reg32(0x00, readonly=True, reset=int.from_bytes(b"TEMP", "little"))
    temperature = bar0.reg32(0x04, readonly=True)

    # ---- step 2: a threshold, and what has happened, until the driver says that it has seen it ----

    threshold = bar0.reg32(0x08, reset=30_000)
    status = bar0.reg32(0x0C, w1c=0b111)
    alarm, reported, failed = status.bit(ALARM), status.bit(REPORTED), status.bit(FAILED)

    def measured(self, temperature: int) -> None:
        """The sensor has something new. From any thread: bits that have names change alone."""
        self.temperature = temperature
        if temperature > self.threshold and not self.alarm:
            self.alarm = 1
            self.interrupt(ALARM)

    # ---- step 3: interrupts, for those that want them ----

    irqs = vfu.Irqs(intx=1, msix=3)
    enable = bar0.reg32(0x10, readonly=True)
    enable_set = enable.set_view(0x14, bits=0b111)
    enable_clear = enable.clear_view(0x18)

    def interrupt(self, event: int) -> None:
        """By the event's message if the driver listens to messages, else by the line."""
        if self.enable >> event & 1:
            is_bus_master = self.config_read(4, 1)[0] & 0x04  # which messages need: they are writes to memory
            if not (is_bus_master and self.irqs.msix[event].trigger()):
                self.irqs.intx.raise_()

    @enable_set.on_write
    def catch_up(self, enable: int) -> None:
        """What happened before it was enabled interrupts now."""
        for event in range(3):
            if self.status >> event & 1:
                self.interrupt(event)

    @status.on_write
    @enable_clear.on_write
    def calm_down(self, value: int) -> None:
        """The line stays up until nothing is left that is enabled."""
        if not self.status & self.enable:
            self.irqs.intx.lower()

    # ---- step 4: time goes by ----

    control = bar0.reg32(0x1C, writable=1)
    running = control.bit(0)
    samples = bar0.reg32(0x20, readonly=True)

    def __init__(self, period: float = 1.0, seed: int = 0) -> None:
        super().__init__()
        self.period, self.seed = period, seed
        self.sampling: asyncio.Task[None] | None = None
        self.reset()

    def reset(self) -> None:
        """Registers have their first values already, and coroutines have been cancelled."""
        self.weather, self.outside = random.Random(self.seed), 20_000
        self.irqs.intx.lower()

    def on_disconnect(self) -> None:
        """So they have then."""
        self.running = 0

    @control.on_write
    async def sample(self, control: int) -> None:
        """The write is answered at once, and this goes on until it is cancelled: by a reset, or by the next write."""
        if self.sampling:
            self.sampling.cancel()
        self.sampling = asyncio.current_task()
        while self.running:
            self.outside += (20_000 - self.outside) // 10 + self.weather.randint(-1000, 1000)
            self.samples += 1
            self.measured(self.outside)
            await self.store()
            await asyncio.sleep(self.period)

    # ---- step 5: DMA, to a ring of records and wherever the driver says ----

    ring = bar0.reg64(0x28)
    ring_size = bar0.reg32(0x30)
    ring_head = bar0.reg32(0x34, readonly=True)
    doorbell = bar0.reg64(0x38)

    async def put_record(self, address: int) -> bool:
        try:
            await self.dma.write(address, RECORD.pack(self.samples, self.temperature))
            return True
        except vfu.Error:  # no such memory, or not for the device to write
            self.failed = 1
            self.interrupt(FAILED)
            return False

    async def store(self) -> None:
        if size := self.ring_size:
            at = self.ring_head % size  # the driver may have made it smaller
            if await self.put_record(self.ring + at * RECORD.size):
                self.ring_head = (at + 1) % size

    @doorbell.on_write(whole=True)
    async def report(self, address: int) -> None:
        """Called for the second half, not for each."""
        if await self.put_record(address):
            self.reported = 1
            self.interrupt(REPORTED)
