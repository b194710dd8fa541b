# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Memory that is no memory: 1 TiB in a dict, which a device reaches as it does any other.

    vfu serve counter.py:Counter --socket-path=/tmp/counter.sock &
    python3 sparse.py /tmp/counter.sock
"""

import sys

import vfu


class Sparse:
    """Has only the pages that were written. These methods might be coroutines, too."""

    def __init__(self) -> None:
        self.pages: dict[int, bytearray] = {}

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.pages.get(at >> 12, bytes(4096))[at & 0xFFF] for at in range(address, address + size))

    def write(self, address: int, data: bytes) -> None:
        for at, byte in enumerate(data, address):
            self.pages.setdefault(at >> 12, bytearray(4096))[at & 0xFFF] = byte


def main(path: str) -> None:
    memory = Sparse()
    with vfu.Client(path) as dev:
        dev.dma.map_handler(memory, 0, 1 << 40)
        dev.regions.bar0.write32(0x04, 0x7FFF_FFFE)  # where the counter writes "hello"
        dev.irqs.msix[0].wait(timeout=10)
    print("memory:", memory.read(0x7FFF_FFFE, 5).decode(), "in", len(memory.pages), "pages")


if __name__ == "__main__":
    main(sys.argv[1])
