# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A discrete-event simulator as the client of counter.py: its time is its own, and so is the memory that the device uses.

    vfu serve counter.py:Counter --socket-path=/tmp/counter.sock &
    python3 simulator.py /tmp/counter.sock

A process is a generator: it yields how many nanoseconds pass until it goes on, or an interrupt for which it waits. Time
jumps from event to event; between them, and while none is due, the device's accesses to memory are served.
"""

import heapq
import itertools
import select
import sys

import vfu


class Simulator:
    def __init__(self, dev):
        self.dev, self.now = dev, 0
        self._events, self._waiting, self._order = [], [], itertools.count()
        dev.set_reader()  # Memory is used in this thread alone

    def say(self, text):
        print(f"{self.now} ns: {text}")

    def start(self, process, delay=0):
        heapq.heappush(self._events, (self.now + delay, next(self._order), process))

    def run(self):
        while self._events or self._waiting:
            self.dev.process()
            if self._events:
                self.now, _, process = heapq.heappop(self._events)
                self._step(process)
            else:
                self._wait()

    def _step(self, process):
        wanted = next(process, None)
        if isinstance(wanted, vfu.ClientVector):
            self._waiting.append((wanted, process))
        elif wanted is not None:
            self.start(process, wanted)

    def _wait(self):
        """Nothing happens by itself: until the device does something."""
        select.select([self.dev, *(vector.fd for vector, _ in self._waiting)], [], [], self.dev.poll_timeout)
        raised = [one for one in self._waiting if one[0].wait(timeout=0)]
        for vector, process in raised:
            self._waiting.remove((vector, process))
            self.start(process)


class Memory:
    """What the simulated machine has at an address: a line for each access of the device."""

    def __init__(self, simulator, base, size):
        self.simulator, self.base, self.data = simulator, base, bytearray(size)

    def read(self, iova, size):
        self.simulator.say(f"the device reads {size} bytes at {iova:#x}")
        return self.data[iova - self.base :][:size]

    def write(self, iova, data):
        self.simulator.say(f"the device writes {len(data)} bytes at {iova:#x}")
        self.data[iova - self.base : iova - self.base + len(data)] = data


def driver(simulator, dev, memory):
    """What a processor would do: 500 ns from one access to the next."""
    bar0 = dev.regions.bar0
    bar0.write32(0x00, 42)
    yield 500
    simulator.say(f"ticks: {bar0.read32(0x00)}")
    yield 500
    bar0.write32(0x04, memory.base)
    yield dev.irqs.msix[0]
    simulator.say(f"interrupt, memory has {bytes(memory.data[:5])!r}")
    memory.data[:64] = bytes(range(64))
    yield 500
    bar0.write32(0x0C, memory.base)
    yield dev.irqs.msix[1]
    simulator.say(f"interrupt, the sum is {bar0.read32(0x10)}")


def main(path):
    with vfu.Client(path, irqs="all") as dev:
        simulator = Simulator(dev)
        memory = Memory(simulator, 0x8000_0000, 4096)
        dev.dma.map_handler(memory, memory.base, len(memory.data))
        simulator.start(driver(simulator, dev, memory))
        simulator.run()


if __name__ == "__main__":
    main(sys.argv[1])
