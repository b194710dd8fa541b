# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Lesson 4: interrupts.   python3 4-interrupts/exercise.py /tmp/edu.sock"""

import os
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from wire import GET_IRQ_INFO, REGION_READ, REGION_WRITE, SET_IRQS, ask, connect, greet  # noqa: E402, F401

INTX, MSI, MSIX, ERR, REQ = range(5)
DATA_NONE, DATA_BOOL, DATA_EVENTFD = 0x01, 0x02, 0x04  # flags of SET_IRQS: one of these,
ACTION_MASK, ACTION_UNMASK, ACTION_TRIGGER = 0x08, 0x10, 0x20  # and one of these


# Exercise 1: how many vectors an index has, and its flags: (count, flags)
def irq_info(sock, index):
    raise NotImplementedError("exercise 1")  # <- your code


# Exercise 2: the vectors from start on signal these eventfds, one each; a message has at most `most` of them.
def arm(sock, index, start, eventfds, most):
    raise NotImplementedError("exercise 2")  # <- your code


# Exercise 3: count vectors from start on lose their eventfds; and all of an index are switched off.
def disarm(sock, index, start, count):
    raise NotImplementedError("exercise 3")  # <- your code


def disable(sock, index):
    raise NotImplementedError("exercise 3")  # <- your code


# Exercise 4: one interrupt of edu.py by the line, INTx, whose eventfd this is: waits for it, reads why from the
# register at 0x24 of BAR0 (4 bytes), acknowledges these bits by writing them to 0x64, unmasks the line, and returns them.
def handle(sock, eventfd):
    raise NotImplementedError("exercise 4")  # <- your code


def main(path):
    with connect(path) as sock:
        greet(sock)
        for index, name in enumerate(("INTX", "MSI", "MSIX", "ERR", "REQ")):
            print(name, *irq_info(sock, index))
        line = os.eventfd(0)
        arm(sock, INTX, 0, [line], 1)
        for why in 5, 8:
            ask(sock, REGION_WRITE, struct.pack("=QII", 0x60, 0, 4) + struct.pack("<I", why))
            print("an interrupt, because of", handle(sock, line))
        disable(sock, INTX)
        os.close(line)


if __name__ == "__main__":
    main(sys.argv[1])
