# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Memory that is handed out as a buffer stays for as long as anything made of it: slices, casts, arrays of ctypes."""

import contextlib
import ctypes
import gc
import os
import signal
import threading

import pytest

import libvfu as c
import vfu

KEEP = {
    "view": lambda view: view,
    "slice": lambda view: view[1:],
    "cast": lambda view: view[:8].cast("H"),
    "ctypes": lambda view: (ctypes.c_ubyte * len(view)).from_buffer(view),
    "memoryview": memoryview,
}
keep = pytest.mark.parametrize("how", KEEP)


class Device(vfu.Device):
    bar0 = vfu.Bar(size=1 << 20)
    address = bar0.reg64(0xFF000)
    how = kept = None

    @bar0.on_access(0, 0xFF000, raw=True)
    def access(self, offset, size, value):
        if not value.readonly:
            value[:] = b"?" * size
        if self.how:
            # ctypes refuses what is read-only
            how = "memoryview" if value.readonly and self.how == "ctypes" else self.how
            self.kept, self.how = KEEP[how](value), None

    @bar0.reg32(0xFF008).on_write
    def pin(self, size):
        self.memory = self.dma.map(self.address, size)


def contents(kept):
    """None: released."""
    try:
        return bytes(kept)
    except ValueError:
        return None


@keep
@pytest.mark.parametrize("size", [8, 900_000])
def test_data_of_a_write(connect, how, size):
    device = Device()
    bar0 = connect(device).regions.bar0
    device.how = how
    bar0.write(0, b"A" * size)
    kept, device.kept = device.kept, None
    bar0.write(0, b"B" * size)
    bar0.read(0, size)
    assert set(contents(kept) or b"A") == {ord("A")}
    assert (how == "view") == (contents(kept) is None)


@keep
@pytest.mark.parametrize("size", [8, 900_000])
def test_data_of_a_read(connect, how, size):
    """What is kept is filled in vain once the handler has returned."""
    device = Device()
    bar0 = connect(device).regions.bar0
    device.how = how
    assert bar0.read(0, size) == b"?" * size
    kept, device.kept = device.kept, None
    assert set(contents(kept) or b"?") == {ord("?")}
    if how != "view":
        memoryview(kept).cast("B")[0] = 1
    assert bar0.read(0, size) == b"?" * size


@keep
@pytest.mark.parametrize("end", ["unmap", "close"])
def test_client_memory(serve, how, end):
    """An unmap waits until the last of it is gone; the end of a connection leaves it."""
    device = Device()
    path = serve(device)
    dev = vfu.Client(path)
    ram = dev.dma.alloc(4096, iova=0x10000)
    ram[:] = b"A" * 4096
    dev.regions.bar0.write64(0xFF000, 0x10000)
    dev.regions.bar0.write32(0xFF008, 64)
    kept = KEEP[how](memoryview(device.memory))
    with pytest.raises(BufferError):
        device.memory.release()
    ended = threading.Thread(target=dev.close if end == "close" else lambda: dev.dma.unmap(ram))
    ended.start()
    if end == "close":
        ended.join()
        del ram, dev
        gc.collect()
        with vfu.Client(path) as other:
            other.dma.alloc(4096, iova=0x10000)
            assert other.regions.bar0.read32(0xFF000) == 0x10000
    assert set(bytes(kept)) == {ord("A")}
    if end == "unmap":
        assert ended.is_alive()
    del kept
    device.memory.release()
    ended.join()
    if end == "unmap":
        dev.close()


@keep
def test_memory_of_a_region(how):
    device = Device()
    device.bar0[:4096] = b"A" * 4096
    kept = KEEP[how](device.bar0.view())
    with pytest.raises(BufferError, match="in use"):
        c.device_set_region(device._handle, 0, 16, 3, 0, -1, [], 0, [])
    del device
    gc.collect()
    with memoryview(kept) as view:
        assert view.cast("B")[2] == ord("A")


def test_a_smaller_region_in_a_subclass():
    class Small(Device):
        bar0 = vfu.Bar(size=4096)

    with pytest.raises(ValueError, match="Small: its region 0 ends before"):
        Small()

    class Plain(vfu.Device):
        bar0 = vfu.Bar(size=1 << 20)

    class Smaller(Plain):
        bar0 = vfu.Bar(size=16)

    device = Smaller()
    assert len(super(Smaller, device).bar0) == 16
    with pytest.raises(IndexError):
        Plain.bar0.reg32(0xF000).__get__(device)
    with pytest.raises(IndexError):
        Plain.bar0.reg32(0xF000).__set__(device, 1)


class Mapping(vfu.Device):
    """A signal comes while it maps memory, which it then writes to, by message."""

    bar0 = vfu.Bar(size=16)
    result = bar0.reg32(4)

    def on_dma_map(self, range):
        os.kill(os.getpid(), signal.SIGALRM)

    @bar0.reg32(0).on_write
    def put(self, address):
        try:
            self.dma.write_sync(address, b"A" * 4096)
        except OSError as error:
            self.result = error.errno


def test_a_map_that_a_signal_interrupts(connect):
    """Either it is mapped, and then held, or it is not."""

    class Enough(BaseException):
        pass

    def handler(*_):
        raise Enough

    dev = connect(Mapping())
    old = signal.signal(signal.SIGALRM, handler)
    try:
        for i in range(50):
            with contextlib.suppress(Enough):
                dev.dma.alloc(4096, iova=0x10000 + i * 4096, shared=False)
                while True:  # the signal is under way
                    pass
    finally:
        signal.signal(signal.SIGALRM, old)
    gc.collect()
    for i in range(50):
        dev.regions.bar0.write32(0, 0x10000 + i * 4096)


def test_a_close_that_a_signal_interrupts(serve):
    """What a thread copies meanwhile stays until it has ended, and close() can be called again."""

    class Enough(BaseException):
        pass

    dev = vfu.Client(serve(Device()), background=True)
    ram = dev.dma.alloc(4096, iova=0x10000, shared=False)
    join, dev._thread.join = dev._thread.join, lambda: (_ for _ in ()).throw(Enough)
    with pytest.raises(Enough):
        dev.close()
    dev._thread.join = join
    with pytest.raises(BufferError):
        ram.close()  # it is still mapped
    dev.close()
    assert not dev.dma._maps
    ram.close()
