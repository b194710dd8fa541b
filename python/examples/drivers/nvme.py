#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A driver for NVMe disks, in a program instead of in a kernel.

    vfu serve nvme.py file=/tmp/disk.img --socket-path=/tmp/nvme.sock &
    python3 drivers/nvme.py /tmp/nvme.sock

Of its memory two pages are for each queue, one lists those of data, which follow: of any part the list is a part of that.
"""

import argparse
import hashlib
import struct
import sys
import time

import vfu

PAGE, ENTRIES = 4096, 64
LIST, DATA, DATA_SIZE = 4 * PAGE, 5 * PAGE, 1 << 20
CONFIGURATION, STATUS, ADMIN_SIZES, ADMIN_SUBMISSION, ADMIN_COMPLETION = 0x14, 0x1C, 0x24, 0x28, 0x30
# Of the configuration, and of the status
ENABLE, SHUT_DOWN, ENTRY_SIZES, READY, SHUTDOWN, IS_SHUT_DOWN = 0x1, 0x4000, 0x46_0000, 0x1, 0xC, 0x8
FLUSH, WRITE, READ = 0x00, 0x01, 0x02
CREATE_SUBMISSION_QUEUE, CREATE_COMPLETION_QUEUE, IDENTIFY, SET_FEATURES = 0x01, 0x05, 0x06, 0x09


class Failed(Exception):
    """A command ended with a status, its argument: type << 8 | code."""


class Queue:
    """Commands, and what became of them. Its number is that of its interrupt."""

    def __init__(self, number: int) -> None:
        self.number, self.commands, self.completions = number, 2 * number * PAGE, (2 * number + 1) * PAGE
        self.tail, self.head, self.phase, self.interrupts = 0, 0, 1, 0


class NvmeDriver:
    """timeout: how many seconds the disk may take for anything. shared=False: it reaches our memory by messages."""

    def __init__(self, dev: vfu.Client, timeout: float = 10.0, shared: bool = True) -> None:
        if dev.config.class_code != 0x010802:
            raise ValueError(f"class {dev.config.class_code:06x} is no NVMe disk (010802)")
        self.config, self.bar, self.irqs, self.timeout = dev.config, dev.regions.bar0, dev.irqs.msix, timeout
        self.irqs.enable()
        self.memory = dev.dma.alloc(DATA + DATA_SIZE, shared=shared)
        for at in range(0, DATA_SIZE, PAGE):
            struct.pack_into("<Q", self.memory, LIST + at // PAGE * 8, self.memory.iova + DATA + at)
        self.reset()

    def reset(self) -> None:
        """Turns the controller off and on, and makes the queues."""
        self.config.bus_master = True
        self.bar.write32(CONFIGURATION, 0)
        self._wait(READY, 0)
        self.memory[:LIST] = bytes(LIST)
        self.admin, self.io = Queue(0), Queue(1)
        self.bar.write32(ADMIN_SIZES, ENTRIES - 1 | ENTRIES - 1 << 16)
        self.bar.write64(ADMIN_SUBMISSION, self.memory.iova + self.admin.commands)
        self.bar.write64(ADMIN_COMPLETION, self.memory.iova + self.admin.completions)
        self.bar.write32(CONFIGURATION, ENABLE | ENTRY_SIZES)
        self._wait(READY, READY)
        self.run(self.admin, SET_FEATURES, 0x07, 0)
        queue = 1 | ENTRIES - 1 << 16
        self.run(self.admin, CREATE_COMPLETION_QUEUE, queue, 1 << 16 | 3, at=self.io.completions)
        self.run(self.admin, CREATE_SUBMISSION_QUEUE, queue, 1 << 16 | 1, at=self.io.commands)
        (self.blocks,) = struct.unpack_from("<Q", self.identify(0, namespace=1))

    def shut_down(self) -> None:
        self.bar.write32(CONFIGURATION, ENABLE | ENTRY_SIZES | SHUT_DOWN)
        self._wait(SHUTDOWN, IS_SHUT_DOWN)

    def _wait(self, bits: int, wanted: int) -> None:
        deadline = time.monotonic() + self.timeout
        while self.bar.read32(STATUS) & bits != wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the controller's status is {self.bar.read32(STATUS):#x} for too long")
            time.sleep(0.001)

    def submit(self, queue: Queue, opcode: int, *words: int, namespace: int = 0, at: int = DATA, size: int = 0) -> int:
        """Starts a command, with words 10 to 15, for size bytes of memory from at on; returns its number."""
        number, first = queue.tail, self.memory.iova + at
        is_long, second = first % PAGE + size > 2 * PAGE, at // PAGE + 1
        second = self.memory.iova + (LIST + 8 * (second - DATA // PAGE) if is_long else second * PAGE)
        numbers = opcode, 0, number, namespace, first, second, *words, *[0] * (6 - len(words))
        struct.pack_into("<BBHI16xQQ6I", self.memory, queue.commands + 64 * number, *numbers)
        queue.tail = (queue.tail + 1) % ENTRIES
        self.bar.write32(0x1000 + 8 * queue.number, queue.tail, post=True)
        return number

    def complete(self, queue: Queue) -> tuple[int, int]:
        """Waits until a command has ended, and returns its number and result."""
        entry = queue.completions + 16 * queue.head
        while self.memory[entry + 14] & 1 != queue.phase:
            if not (came := self.irqs[queue.number].wait(self.timeout)):
                raise TimeoutError(f"no interrupt within {self.timeout} seconds")
            queue.interrupts += came
        result, _, _, number, status = struct.unpack_from("<I4xHHHH", self.memory, entry)
        queue.head = (queue.head + 1) % ENTRIES
        queue.phase ^= queue.head == 0
        self.bar.write32(0x1004 + 8 * queue.number, queue.head, post=True)
        if status >> 1:
            raise Failed(status >> 1 & 0x7FF)
        return number, result

    def run(self, queue: Queue, opcode: int, *words: int, **memory: int) -> int:
        self.submit(queue, opcode, *words, **memory)
        return self.complete(queue)[1]

    def identify(self, what: int, namespace: int = 0) -> bytes:
        """0: of a namespace, 1: of the controller, 2: which namespaces there are."""
        self.run(self.admin, IDENTIFY, what, namespace=namespace, size=PAGE)
        return bytes(self.memory[DATA : DATA + PAGE])

    def read(self, block: int, count: int) -> bytes:
        """count blocks of 512 bytes, 2048 at most."""
        self.run(self.io, READ, block & 0xFFFF_FFFF, block >> 32, count - 1, namespace=1, size=512 * count)
        return bytes(self.memory[DATA : DATA + 512 * count])

    def write(self, block: int, data: bytes) -> None:
        self.memory[DATA : DATA + len(data)] = data
        self.run(self.io, WRITE, block & 0xFFFF_FFFF, block >> 32, len(data) // 512 - 1, namespace=1, size=len(data))

    def flush(self) -> None:
        self.run(self.io, FLUSH, namespace=1)


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes and reads an NVMe disk, whose first 4 MiB are lost.")
    parser.add_argument("socket", metavar="SOCKET", help="where it is served")
    parser.add_argument("--messages", action="store_true", help="do not let it map the memory")
    options = parser.parse_args()
    with vfu.Client(options.socket) as dev:
        disk = NvmeDriver(dev, shared=not options.messages)
        print(disk.identify(1)[24:64].decode().strip(), f"of {disk.blocks // 2048} MiB")
        data = [hashlib.sha256(bytes([i])).digest() * (DATA_SIZE // 32) for i in range(4)]
        for i, part in enumerate(data):
            disk.write(2048 * i, part)
        disk.flush()
        same = [disk.read(2048 * i, 2048) == part for i, part in enumerate(data)]
        print(f"{sum(same)} of {len(same)} MiB read as they were written")
        disk.shut_down()
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
