# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 5: DMA.   python3 5-dma/exercise.py /tmp/counter.sock"""

import errno  # noqa: F401
import mmap
import os
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from wire import (  # noqa: E402, F401
    DMA_MAP, DMA_READ, DMA_UNMAP, DMA_WRITE, ERROR, REGION_READ, REGION_WRITE, REPLY, SET_IRQS, ask, connect, greet,
    recv_message, send_message,
)

CONFIG = 7
READABLE, WRITEABLE = 0x01, 0x02  # flags of DMA_MAP
BUS_MASTER = 0x04  # a bit of the command register


# Exercise 1: sets the bit bus master of the command register, 2 bytes at offset 4 of configuration space, and no other. The
# register is written also if the bit is on already.
def enable_bus_master(sock):
    raise NotImplementedError("exercise 1")  # <- your code


# Exercise 2: tells the device of size bytes of memory at this address, which it may read and write. file is the
# descriptor of the memory, whose first byte is at that address; None: the device has to ask for the bytes.
def announce(sock, address, size, file=None):
    raise NotImplementedError("exercise 2")  # <- your code


# Exercise 3: waits for one command of the device, DMA_READ or DMA_WRITE, does it, and answers. memory is a
# bytearray that is announced at the address base. What is not wholly in it is answered by an error, EFAULT; then, too, answer()
# returns, and raises nothing.
def answer(sock, memory, base):
    raise NotImplementedError("exercise 3")  # <- your code


# Exercise 4: takes the memory away from the device again. ConnectionError if the reply does not repeat the range.
def withdraw(sock, address, size):
    raise NotImplementedError("exercise 4")  # <- your code


def kick(sock, address):
    """counter.py writes b"hello" to this address, and then fires vector 0."""
    ask(sock, REGION_WRITE, struct.pack("=QII", 4, 0, 4) + struct.pack("<I", address))


def main(path):
    with connect(path) as sock:
        greet(sock)
        done = os.eventfd(0)
        ask(sock, SET_IRQS, struct.pack("=IIIII", 20, 0x24, 2, 0, 1), fds=[done])
        enable_bus_master(sock)

        file = os.memfd_create("memory")  # memory that has a descriptor
        os.ftruncate(file, 4096)
        announce(sock, 0x8000_0000, 4096, file)
        kick(sock, 0x8000_0010)
        os.eventfd_read(done)
        with mmap.mmap(file, 4096) as shared:
            print("by mapped memory:", shared[0x10:0x15])
        withdraw(sock, 0x8000_0000, 4096)

        memory = bytearray(4096)  # memory that has none
        announce(sock, 0x9000_0000, 4096)
        kick(sock, 0x9000_0020)
        answer(sock, memory, 0x9000_0000)
        os.eventfd_read(done)
        print("by messages:", bytes(memory[0x20:0x25]))
        withdraw(sock, 0x9000_0000, 4096)
        os.close(file)
        os.close(done)


if __name__ == "__main__":
    main(sys.argv[1])
