# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A client in a loop that is neither the library's nor asyncio's: fileno(), poll_timeout, process()."""

import concurrent.futures
import errno
import os
import select
import socket
import threading

import pytest

import vfu
from vfu.testing import leaves_nothing, plug


class Device(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)

    @bar0.reg64(0x00).on_write
    async def copy(self, address):
        await self.dma.write(address + 64, await self.dma.read(address, 64))
        self.irqs.msix[0].trigger()

    @bar0.reg32(0x08).on_read
    def seven(self):
        return 7

    @bar0.reg32(0x0C).on_write
    def refuse(self, value):
        raise OSError(errno.EDOM, "no")

    @bar0.reg32(0x10).on_read
    def slow(self):
        assert self.go.wait(60)
        return 1


def turn(dev, longest=1.0):
    """One round of the loop."""
    timeout = dev.poll_timeout
    select.select([dev], [], [], longest if timeout is None else min(longest, timeout))
    return dev.process()


def test_dma_is_served():
    """While the loop runs, and nothing else waits."""
    with leaves_nothing(), plug(Device()) as dev:
        memory = bytearray(os.urandom(64) + bytes(4032))
        dev.dma.map(memory, 0x10000)
        dev.regions.bar0.write64(0, 0x10000, post=True)
        while memory[64:128] != memory[:64]:
            turn(dev)
        assert dev.irqs.msix[0].wait(60)


def test_nothing_to_do():
    with plug(Device()) as dev:
        fd = dev.fileno()
        assert fd == dev.fileno() and dev.process() == 0 and dev.poll_timeout is None
        dev.flush()
    with pytest.raises(ValueError):
        dev.fileno()


def test_end():
    """It is readable, and process() says so, as often as it is asked."""
    ours, theirs = socket.socketpair()
    with leaves_nothing(), ours, theirs, vfu.Server(Device(), fd=theirs) as server:
        theirs.close()
        server.start()
        with vfu.Client(fd=ours) as dev:
            dev.fileno()
            server.disconnect()
            for _ in range(2):
                with pytest.raises(vfu.Disconnected):
                    while True:
                        turn(dev)
            assert not dev.connected


def test_one_reader():
    """Other threads' calls are read by the loop, in which alone functions run; afterwards by themselves again."""
    with leaves_nothing(), plug(Device()) as dev:
        bar0, values = dev.regions.bar0, []
        dev.set_reader()
        threads = [threading.Thread(target=lambda: values.append(bar0.read32(8))) for _ in range(8)]
        for thread in threads:
            thread.start()
        while len(values) < 8:
            turn(dev, 0.01)
        for thread in threads:
            thread.join()
        assert values == [7] * 8 and bar0.read32(8) == 7
        dev.set_reader(False)
        thread = threading.Thread(target=lambda: values.append(bar0.read32(8)))
        thread.start()
        thread.join()
        assert len(values) == 9


def test_silent_loop():
    """A loop that does not turn holds others up to their time, no longer."""
    with plug(Device(), timeout=0.05) as dev:
        bar0, said = dev.regions.bar0, []
        dev.set_reader()

        def read():
            try:
                bar0.read32(8)
            except vfu.Timeout as error:
                said.append(error.errno)

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        assert said == [errno.ETIMEDOUT]
        assert bar0.read32(8) == 7


# ---- accesses that a loop begins ----


@pytest.mark.parametrize("background", [False, True])
def test_accesses_are_begun(background):
    """Their ends are told in turns of the loop, or by the thread; whoever asks for a result reads itself."""
    with leaves_nothing(), plug(Device(), background=background) as dev:
        bar0, buffer, told = dev.regions.bar0, bytearray(4), []
        begun = [bar0.read_async(8, 4), bar0.read_async(8, buffer), bar0.write_async(0x20, b"abcd"), bar0.read_async(0x20, 4)]
        for one in begun:
            one.add_done_callback(told.append)
        while len(told) < len(begun):
            if background:
                concurrent.futures.wait(begun, 60)
            else:
                turn(dev)
        assert [one.result() for one in begun] == [b"\7\0\0\0", 4, None, b"abcd"] and buffer == b"\7\0\0\0"
        refused = bar0.write_async(0x0C, bytes(4))
        with pytest.raises(vfu.Error, match="bar0 at 0xc: ") as raised:
            refused.result(60)
        assert raised.value.errno == errno.EDOM and refused.exception() is raised.value
        assert [bar0.read_async(8, 4).result()[0] for _ in range(100)] == [7] * 100
        with pytest.raises(ValueError, match="offset"):
            bar0.read_async(-1, 4)


def test_accesses_are_given_up():
    device = Device()
    device.go = threading.Event()
    with leaves_nothing(), plug(device) as dev:
        bar0, buffer = dev.regions.bar0, bytearray(b"mine")
        given_up, kept = bar0.read_async(0x10, buffer), bar0.read_async(0x10, 4)
        late = bar0.read_async(0x10, 4, timeout=0.01)
        with pytest.raises(concurrent.futures.TimeoutError):
            kept.result(0.01)
        assert given_up.cancel() and given_up.cancelled() and "given up" in repr(given_up)
        buffer.extend(b" again")  # no export is left
        with pytest.raises(concurrent.futures.CancelledError):
            given_up.result()
        with pytest.raises(vfu.Timeout):
            late.result()
        waiting = [threading.Thread(target=kept.result) for _ in range(3)]
        for one in waiting:
            one.start()
        device.go.set()
        assert kept.result() == b"\1\0\0\0" and not kept.cancel()
        for one in waiting:
            one.join()
        assert buffer == b"mine again"
        device.go.clear()
        end = bar0.read_async(0x10, 4)
        dev.close()
        device.go.set()
        with pytest.raises(vfu.Disconnected):
            end.result()
