# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Nothing is left behind by a request, however many there are: neither at the client nor at the server.

Each kind of request is run a little, so that what is kept for good is there, and then for its share of all; what has
grown meanwhile is compared, in both processes. The server is a child, which tells what it holds as a feature:

    test (client)                                   child (server)
     | kind, n times      ---------------------->    handlers in Python, in C, or coroutines in an event loop
     | measure()
     | feature_get(1000)  ---------------------->    measure()

So a leak has a name: the kind, the side, and what grew. VFU_LEAK_REQUESTS says how many requests, `make check-leak`
a million.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import signal
import sys
import time

import pytest

import vfu
from vfu.testing import open_descriptors

REQUESTS = int(os.environ.get("VFU_LEAK_REQUESTS", 100_000))

# ---- what is held ----


class _MallInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "used", "free", "keepcost")]  # fmt: skip


def allocated():
    """Bytes that C holds, where the C library says."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return 0
    mallinfo2.restype = _MallInfo
    info = mallinfo2()
    return info.used + info.hblkhd


def references():
    """To what everybody uses, and so is not counted by blocks."""
    shared = [None, True, False, 0, 1, b"", "", (), vfu.Client, vfu.Region, vfu.Error, OSError]
    return sum(map(sys.getrefcount, shared))


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(device=None):
    gc.collect()
    held = [device, device._handle, *vars(type(device)).values()] if device else []
    return {
        "blocks of Python": sys.getallocatedblocks(),
        "bytes of C": allocated(),
        "references": references() + sum(map(sys.getrefcount, held)),
        "descriptors": len(open_descriptors()),
        "resident bytes": resident(),
    }


# Most that may come without having to do with the number of requests: what Python and the C library keep for the next
# time. Freed memory stays resident here and there, and with a sanitizer for long.
SLACK = {
    "blocks of Python": 500,
    "bytes of C": 3 << 15,  # a buffer of 64 KiB may be kept for the next time
    "references": 500,
    "descriptors": 0,
    "resident bytes": 4 << 20 if not os.environ.get("LD_PRELOAD") else 1 << 30,
}


def grown(before, after):
    return {name: after[name] - value for name, value in before.items() if after[name] - value > SLACK[name]}


# ---- the server ----


class Device(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=2)
    address = bar0.reg64(0x10)

    @bar0.reg32(0).on_read
    def read(self):
        return 0x12345678

    @bar0.reg32(4).on_write
    def write(self, value):
        self.written = value

    @bar0.on_access(0x100, 0x100)
    def access(self, offset, size, value):
        return bytes(size) if value is None else None

    @bar0.on_access(0x200, 0x100, raw=True)
    def raw(self, offset, size, value):
        self.seen = value[:1]

    @bar0.reg32(0x20).on_write
    def copy(self, size):
        self.dma.write_sync(self.address + 2048, self.dma.read_sync(self.address, size))

    @bar0.reg32(0x24).on_write
    def pin(self, size):
        memory = self.dma.map(self.address, size)
        with memory.view() as view:
            view[0] = 1
        memory.release()

    @bar0.reg32(0x28).on_write
    def interrupt(self, vector):
        self.irqs.msix[vector].trigger()

    @bar0.reg32(0x30).on_read
    def fails(self):
        raise ValueError("no such thing")

    @bar0.reg32(0x34).on_write
    def fails_with_an_errno(self, value):
        self.dma.read_sync(1 << 40, 4)

    def feature_get_77(self, data):
        return data or b"77"

    def feature_set_77(self, data):
        return None

    def feature_get_1000(self, data):
        return json.dumps(measure(self)).encode()

    def on_4242(self, request):
        return request.data, request.fds


class Loop(Device):
    """The same by coroutines, as far as there may be any."""

    @Device.bar0.reg32(0).on_read
    async def read(self):
        await asyncio.sleep(0)
        return 0x12345678

    @Device.bar0.reg32(4).on_write
    async def write(self, value):
        self.written = value

    @Device.bar0.reg32(0x20).on_write
    async def copy(self, size):
        await self.dma.write(self.address + 2048, await self.dma.read(self.address, size))
        self.irqs.msix[0].trigger()

    @Device.bar0.reg32(0x30).on_read
    async def fails(self):
        raise ValueError("no such thing")

    async def on_4242(self, request):
        await asyncio.sleep(0)
        return request.data, request.fds

    async def on_gate(self, what):
        await asyncio.sleep(0)

    async def feature_get_1000(self, data):
        while self._writers:  # of writes that came just before
            await asyncio.sleep(0)
        return super().feature_get_1000(data)


@contextlib.contextmanager
def child_serves(kind, path):
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            vfu.Server(kind(), path).run()
        os._exit(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


class Rig:
    """The client, and what it needs for all kinds."""

    def __init__(self, path):
        self.path = path
        self.connect()

    def connect(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                self.dev = vfu.Client(self.path, timeout=60)
                break
            except (vfu.NotFound, vfu.Refused):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        self.bar0 = self.dev.regions.bar0
        self.messages = self.dev.dma.alloc(4096, iova=0x10000, shared=False)
        self.mapped = self.dev.dma.alloc(4096, iova=0x20000)

    def close(self):
        self.dev.close()

    def measures(self):
        return {"client": measure(), "server": json.loads(self.dev.feature_get(1000))}


# ---- the kinds ----


def fails(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except OSError:
        return
    raise AssertionError("no error")


def all_failures(rig):
    fails(rig.bar0.read32, 0x30)
    fails(rig.bar0.write32, 0x34, 1)
    fails(rig.bar0.read, 4095, 2)
    fails(rig.dev.call, 4243)
    fails(rig.dev.feature_get, 78)


def copy(rig, memory):
    rig.bar0.write64(0x10, memory.iova)
    rig.bar0.write32(0x20, 64)


def copy_later(rig, memory):
    copy(rig, memory)
    assert rig.dev.irqs.msix[0].wait(60)


def pin(rig):
    rig.bar0.write64(0x10, rig.mapped.iova)
    rig.bar0.write32(0x24, 64)


def interrupt(rig):
    rig.bar0.write32(0x28, 1)
    assert rig.dev.irqs.msix[1].wait(60)


def arm(rig):
    rig.dev.irqs.msix.disable()
    rig.dev.irqs.msix.enable()


def features(rig):
    rig.dev.feature_set(77, b"7")
    assert rig.dev.feature_get(77) == b"77"


def map_and_unmap(rig):
    rig.dev.dma.unmap(rig.dev.dma.alloc(4096))


def configure(rig):
    rig.dev.config.bus_master = rig.dev.config.vendor_id == 0


def reconnect(rig):
    rig.close()
    rig.connect()


def post_some(rig):
    with rig.dev.posting():
        for i in range(10):
            rig.bar0.write32(0x40, i)


def with_descriptors(rig):
    assert len(rig.dev.call(4242, data=b"abc", fds=[0, 0]).fds) == 2


# What is done, how many requests that is for either side, and how much of all.
KINDS = {
    "posted writes": (lambda rig: rig.bar0.write32(0x40, 1, post=True), 1, 0.2),
    "posted writes of a register": (lambda rig: rig.bar0.write32(4, 1, post=True), 1, 0.1),
    "batches": (post_some, 1, 0.02),
    "reads of a register": (lambda rig: rig.bar0.read32(0), 1, 0.2),
    "writes of a register": (lambda rig: rig.bar0.write32(4, 0xFFFFFFFF), 1, 0.08),
    "bytes": (lambda rig: (rig.bar0.read(0x40, 64), rig.bar0.write(0x40, bytes(64))), 2, 0.06),
    "accesses": (lambda rig: (rig.bar0.read(0x100, 64), rig.bar0.write64(0x140, 1)), 2, 0.05),
    "raw accesses": (lambda rig: (rig.bar0.read(0x200, 64), rig.bar0.write(0x200, bytes(64))), 2, 0.03),
    "DMA by messages": (lambda rig: copy(rig, rig.messages), 4, 0.05),
    "DMA of mapped memory": (lambda rig: copy(rig, rig.mapped), 2, 0.03),
    "pins": (pin, 2, 0.02),
    "interrupts": (interrupt, 1, 0.02),
    "arming": (arm, 2, 0.01),
    "calls": (lambda rig: rig.dev.call("get_irq_info", index=0), 1, 0.01),
    "calls with descriptors": (with_descriptors, 1, 0.02),
    "features": (features, 2, 0.02),
    "failures": (all_failures, 5, 0.02),
    "maps": (map_and_unmap, 2, 0.02),
    "configuration": (configure, 4, 0.01),
    "resets": (lambda rig: rig.dev.reset(), 1, 0.01),
    "connections": (reconnect, 12, 0.03),
}
LOOP_KINDS = {name: KINDS[name] for name in (
    "reads of a register", "writes of a register", "posted writes of a register", "calls with descriptors", "failures",
    "maps", "resets", "connections")}  # fmt: skip
LOOP_KINDS["DMA by messages"] = (lambda rig: copy_later(rig, rig.messages), 4, 0.03)


def run_all(rig, kinds, requests):
    """What grew in which kind: {(kind, side): {what: by how much}}."""
    leaks = {}
    whole = sum(share for _, _, share in kinds.values())
    for name, (function, each, share) in kinds.items():
        for _ in range(2):  # what grows once is kept for the next time; what grows again with each request is a leak
            before = rig.measures()
            for _ in range(int(requests * share / whole / each)):
                function(rig)
            after = rig.measures()
            grew = {(name, side): more for side in after if (more := grown(before[side], after[side]))}
            if not grew:
                break
        leaks |= grew
    return leaks


@pytest.mark.parametrize("kind, kinds, part", [(Device, KINDS, 0.9), (Loop, LOOP_KINDS, 0.1)])
def test_requests_leave_nothing(tmp_path, caplog, kind, kinds, part):
    caplog.set_level(logging.CRITICAL, logger="vfu")
    with contextlib.ExitStack() as stack:
        stack.enter_context(child_serves(kind, str(tmp_path / "sock")))
        rig = stack.enter_context(contextlib.closing(Rig(str(tmp_path / "sock"))))
        run_all(rig, kinds, 2000)
        assert run_all(rig, kinds, REQUESTS * part) == {}
