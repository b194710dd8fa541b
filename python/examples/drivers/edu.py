#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A driver for the teaching device edu, in a program instead of in a kernel.

    vfu serve edu.py --socket-path=/tmp/edu.sock &
    python3 drivers/edu.py /tmp/edu.sock

Where a kernel maps a BAR, it has a connection; where a kernel has an interrupt handler, it waits for an eventfd; and
the memory for DMA is its own. It drives the edu.py beside this directory and, unchanged, the device that QEMU has built
in, served by QEMU itself: a QEMU configured with --enable-vfio-user-server (distributions' are not) and started so:

    qemu-system-x86_64 -nodefaults -display none -machine x-remote,vfio-user=on,auto-shutdown=off \\
        -device edu,id=edu0 -object x-vfio-user-server,id=server0,type=unix,path=/tmp/edu.sock,device=edu0

Its server has the habits that vfu.Client(profile="libvfio-user") knows: give --profile=libvfio-user.
"""

import argparse
import sys
import time

import vfu

IDENTIFICATION, LIVENESS, FACTORIAL, STATUS = 0x00, 0x04, 0x08, 0x20
INTERRUPT_STATUS, INTERRUPT_RAISE, INTERRUPT_ACKNOWLEDGE = 0x24, 0x60, 0x64
DMA_SOURCE, DMA_DESTINATION, DMA_COUNT, DMA_COMMAND = 0x80, 0x88, 0x90, 0x98

COMPUTING, INTERRUPT_WHEN_COMPUTED = 0x01, 0x80
FACTORIAL_DONE, DMA_DONE = 0x001, 0x100
RUN, TO_MEMORY, INTERRUPT_WHEN_COPIED = 0x01, 0x02, 0x04

BUFFER_AT, BUFFER_SIZE = 0x40000, 4096


class EduDriver:
    """Drives a device that a client is connected to.

    timeout: how many seconds the device may take for anything; then vfu.Timeout is raised. memory_at: the address at
    which the device sees the driver's memory. It has to be below 256 MiB, for the device has 28 address lines.
    """

    def __init__(self, dev: vfu.Client, timeout: float = 5.0, memory_at: int = 0x0800_0000) -> None:
        if (dev.config.vendor_id, dev.config.device_id) != (0x1234, 0x11E8):
            raise ValueError(f"{dev.config.vendor_id:04x}:{dev.config.device_id:04x} is no edu device (1234:11e8)")
        self.bar, self.timeout = dev.regions.bar0, timeout
        # A line has to be unmasked after each interrupt, a message has not.
        self.has_messages = dev.irqs.msi.count > 0
        self.irq = dev.irqs.msi if self.has_messages else dev.irqs.intx
        self.irq.enable()
        self.memory = dev.dma.alloc(BUFFER_SIZE, iova=memory_at)

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor. ValueError: what answers is not the device."""
        value = self.bar.read32(IDENTIFICATION)
        if value & 0xFFFF != 0x00ED:
            raise ValueError(f"identification is {value:#010x}, which does not end with 00ed")
        return value >> 24, value >> 16 & 0xFF

    def is_alive(self, value: int = 0x1234_5678) -> bool:
        """Whether it inverts a number."""
        self.bar.write32(LIVENESS, value)
        return self.bar.read32(LIVENESS) == value ^ 0xFFFF_FFFF

    # ---- interrupts ----

    def handle_interrupt(self) -> int:
        """Waits for an interrupt, acknowledges it, and returns why there was one: bits of the interrupt status."""
        if not self.irq.wait(self.timeout):
            raise TimeoutError(f"no interrupt within {self.timeout} seconds")
        why = self.bar.read32(INTERRUPT_STATUS)
        self.bar.write32(INTERRUPT_ACKNOWLEDGE, why)
        if not self.has_messages:
            self.irq.unmask()
        return why

    def raise_interrupt(self, why: int) -> None:
        """Has the device interrupt, for these bits."""
        self.bar.write32(INTERRUPT_RAISE, why)

    # ---- factorial ----

    def factorial(self, n: int) -> int:
        """n! modulo 2**32, waited for by looking again and again."""
        self.bar.write32(STATUS, 0)
        self.bar.write32(FACTORIAL, n)
        self._poll(STATUS, COMPUTING)
        return self.bar.read32(FACTORIAL)

    def factorial_with_interrupt(self, n: int) -> int:
        """The same, but asleep until the device is done."""
        self.bar.write32(STATUS, INTERRUPT_WHEN_COMPUTED)
        self.bar.write32(FACTORIAL, n)
        self._expect_interrupt(FACTORIAL_DONE)
        return self.bar.read32(FACTORIAL)

    # ---- DMA ----

    def store(self, data: bytes, at: int = 0) -> None:
        """Copies data to the device's buffer, from this byte of it on."""
        self.memory[: len(data)] = data
        self._copy(self.memory.iova, BUFFER_AT + at, len(data), 0)

    def load(self, size: int, at: int = 0) -> bytes:
        """Copies so many bytes of the device's buffer back."""
        self._copy(BUFFER_AT + at, self.memory.iova, size, TO_MEMORY)
        return bytes(self.memory[:size])

    def _copy(self, source: int, destination: int, count: int, direction: int) -> None:
        self.bar.write64(DMA_SOURCE, source)
        self.bar.write64(DMA_DESTINATION, destination)
        self.bar.write64(DMA_COUNT, count)
        self.bar.write32(DMA_COMMAND, RUN | direction | INTERRUPT_WHEN_COPIED)
        self._expect_interrupt(DMA_DONE)

    # ---- inside ----

    def _expect_interrupt(self, why: int) -> None:
        got = self.handle_interrupt()
        if got != why:
            raise RuntimeError(f"an interrupt for {got:#x} instead of {why:#x}")

    def _poll(self, register: int, bits: int) -> None:
        """Waits until none of these bits is set."""
        deadline = time.monotonic() + self.timeout
        while self.bar.read32(register) & bits:
            if time.monotonic() > deadline:
                raise TimeoutError(f"register {register:#x} still has {bits:#x} after {self.timeout} seconds")
            time.sleep(0.001)


def main() -> int:
    parser = argparse.ArgumentParser(description="Tries what an edu device can do.")
    parser.add_argument("socket", metavar="SOCKET", help="where it is served")
    parser.add_argument("--profile", help="the server's habits: default, strict, libvfio-user")
    options = parser.parse_args()
    with vfu.Client(options.socket, profile=options.profile) as dev:
        edu = EduDriver(dev)
        print("version {}.{}".format(*edu.version))
        print("alive" if edu.is_alive() else "does not invert numbers")
        print("12! is", edu.factorial(12))
        print("10! is", edu.factorial_with_interrupt(10), "with an interrupt")
        edu.raise_interrupt(0x42)
        print(f"interrupt for {edu.handle_interrupt():#x}")
        edu.store(b"through the device and back", at=100)
        print("DMA:", edu.load(27, at=100).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
