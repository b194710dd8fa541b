# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Checks lesson 4.   ./run python3 ../doc/course/4-interrupts/check.py [FILE]"""

import contextlib
import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from judge import Wrong, example, main, protocol, same, served  # noqa: E402

INTX, MSIX = map(int, (protocol.IrqIndex.INTX, protocol.IrqIndex.MSIX))
NONE, EVENTFD = protocol.IrqSetFlags.DATA_NONE, protocol.IrqSetFlags.DATA_EVENTFD
UNMASK, TRIGGER = protocol.IrqSetFlags.ACTION_UNMASK, protocol.IrqSetFlags.ACTION_TRIGGER


def set_irqs(flags, index, start, count):
    return protocol.SetIrqsRequest(flags=flags, index=index, start=start, count=count)


@contextlib.contextmanager
def eventfds(count):
    fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(count)]
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


def signalled(fds):
    """Which of them are, and no longer then."""
    found = []
    for i, fd in enumerate(fds):
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(fd)
            found.append(i)
    return found


def fire(device, index, start, count):
    """As if the device did: a client may tell it to."""
    device.ask(set_irqs(NONE | TRIGGER, index, start, count))


def info(student):
    """exercise 1: irq_info, and a real device answers"""
    with served(example("counter")()) as device:
        for index, want in (INTX, (1, 7)), (MSIX, (4, 1)):
            request = protocol.GetIrqInfoRequest(index=index)
            with student.calls("irq_info", index) as talk:
                talk.forward(talk.expect(request), device)
            talk.returned(want, "(count, flags); in the reply flags are at offset 4, count is at offset 12")


def arms(student):
    """exercise 2: arm, and a real device signals"""
    with served(example("counter")()) as device, eventfds(3) as fds:
        with student.calls("arm", MSIX, 1, fds, 2) as talk:
            for start, count in (1, 2), (3, 1):
                title = f"SET_IRQS of the vectors from {start} on"
                talk.forward(talk.expect(set_irqs(EVENTFD | TRIGGER, MSIX, start, count), fds=count, title=title), device)
        talk.result()
        for vector in 1, 2, 3:
            fire(device, MSIX, vector, 1)
            same(f"the eventfds that are signalled when vector {vector} fires, of those for 1, 2 and 3", signalled(fds), [vector - 1])


def disarms(student):
    """exercise 3: disarm and disable, and a real device signals no more"""
    with served(example("counter")()) as device, eventfds(4) as fds:
        device.ask(set_irqs(EVENTFD | TRIGGER, MSIX, 0, 4), fds)
        with student.calls("disarm", MSIX, 1, 2) as talk:
            talk.forward(talk.expect(set_irqs(EVENTFD | TRIGGER, MSIX, 1, 2), title="SET_IRQS that disarms"), device)
        talk.result()
        fire(device, MSIX, 0, 4)
        same("the vectors that signal when 1 and 2 have been disarmed", signalled(fds), [0, 3])
        with student.calls("disable", MSIX) as talk:
            talk.forward(talk.expect(set_irqs(NONE | TRIGGER, MSIX, 0, 0), title="SET_IRQS that disables"), device)
        talk.result()
        fire(device, MSIX, 0, 4)
        same("the vectors that signal when the index has been disabled", signalled(fds), [])


def handles(student):
    """exercise 4: handle, with a real device's interrupt"""
    with served(example("edu")()) as device, eventfds(1) as (line,):
        os.set_blocking(line, True)
        device.ask(set_irqs(EVENTFD | TRIGGER, INTX, 0, 1), [line])
        for why in 5, 0x80:
            device.write(0, 0x60, why)
            with student.calls("handle", line) as talk:
                talk.forward(talk.expect(protocol.RegionReadRequest(region=0, offset=0x24, count=4)), device)
                data = why.to_bytes(4, "little")
                talk.forward(talk.expect(protocol.RegionWriteRequest(region=0, offset=0x64, data=data)), device)
                talk.forward(talk.expect(set_irqs(NONE | UNMASK, INTX, 0, 1), title="SET_IRQS that unmasks"), device)
            talk.returned(why)
        os.set_blocking(line, False)
        if signalled([line]):
            raise Wrong("handle() leaves the eventfd as it is: it has to be read, else the next wait ends at once")


EXERCISES = info, arms, disarms, handles

if __name__ == "__main__":
    sys.exit(main(__file__, EXERCISES))
