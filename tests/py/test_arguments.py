# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What a client is told that means nothing is refused, and named: attributes, arguments, handlers of memory."""

import asyncio
import socket

import pytest

import vfu
import vfu.aio
from vfu.testing import plug


class Device(vfu.Device):
    vendor_id = 0x1234
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(intx=1, msix=4)


@pytest.fixture(scope="module")
def dev():
    with plug(Device()) as dev:
        yield dev


def looped(use):
    """Runs use(dev) of a client of vfu.aio."""

    async def main():
        async with vfu.aio.connect(fd=ours) as dev:
            ours.close()
            await use(dev)

    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = vfu.Server(Device(), fd=theirs)
        theirs.close()
        with server, server.start():
            asyncio.run(asyncio.wait_for(main(), 100))


# ---- attributes ----

PARTS = {
    "Client": lambda dev: dev,
    "Regions": lambda dev: dev.regions,
    "Region": lambda dev: dev.regions.bar0,
    "Config": lambda dev: dev.config,
    "irqs": lambda dev: dev.irqs,
    "irq": lambda dev: dev.irqs.msix,
    "vector": lambda dev: dev.irqs.msix[2],
    "dma": lambda dev: dev.dma,
}


def refuses_misspelt(part):
    name = type(part).__name__
    with pytest.raises(AttributeError, match=f"^{name} has no misspelt$"):
        part.misspelt = 6
    part._mine = 6  # what begins so is anybody's own


@pytest.mark.parametrize("part", PARTS)
def test_misspelt_attributes(dev, part):
    refuses_misspelt(PARTS[part](dev))


def test_near_misses(dev):
    with pytest.raises(AttributeError, match="^Config has no comand, did you mean command[?]$"):
        dev.config.comand = 6
    with pytest.raises(AttributeError, match="did you mean"):
        dev.regions.bar0.sise = 6
    dev.config.command = 6
    assert dev.config.command == 6
    dev.config.bus_master = False
    assert dev.config.command == 2


def test_classes_of_others_have_what_they_like():
    class Mine(vfu.Client):
        def _set_up(self, *args):
            super()._set_up(*args)
            self.mine = 1

    ours, theirs = socket.socketpair()
    with ours, theirs:
        with vfu.Server(Device(), fd=theirs) as server:
            theirs.close()
            server.start()
            with Mine(fd=ours) as dev:
                ours.close()
                assert dev.mine == 1


def test_attributes_of_coroutines():
    async def use(dev):
        for part in PARTS.values():
            refuses_misspelt(part(dev))
        for name in "command", "bus_master":
            with pytest.raises(AttributeError, match=f"await dev.config.set[(]{name}=6[)]"):
                setattr(dev.config, name, 6)
        await dev.config.set(command=6)
        assert await dev.config.command == 6

    looped(use)


# ---- arguments ----

_RANGE = "is a number from"
WRONG = [
    (lambda dev: dev.call(None), TypeError, "a message is a name or a number, not None"),
    (lambda dev: dev.call(4242, data=b"", fds=["x"]), TypeError, "fd is a descriptor, or a file that has one, not 'x'"),
    (lambda dev: dev.feature_get(None), TypeError, "a feature is a name or a number, not None"),
    (lambda dev: dev.assign_bars(io=5), TypeError, "io is a range"),
    (lambda dev: dev.irqs.msix[0].use("x"), TypeError, "fd is a descriptor, or a file that has one, not 'x'"),
    (lambda dev: dev.irqs.intx.mask_on("x"), TypeError, "fd is a descriptor"),
    (lambda dev: dev.irqs.msix[0].wait("1"), TypeError, "a timeout is a number of seconds, not '1'"),
    (lambda dev: dev.irqs.msix[0].wait(float("nan")), ValueError, "a timeout of nan seconds"),
    (lambda dev: dev.dma.alloc(0), ValueError, f"size {_RANGE} 1 to"),
    (lambda dev: dev.dma.alloc("4096"), TypeError, "size is a number, not '4096'"),
    (lambda dev: dev.dma.alloc(4096, bits=99), ValueError, f"bits {_RANGE} 1 to 64, not 99"),
    (lambda dev: dev.dma.alloc(4096, align=3), ValueError, "align is a power of two from 4096 on, or 0, not 3"),
    (lambda dev: dev.dma.alloc(4096, iova=-1), ValueError, f"iova {_RANGE} 0 to 0xffffffffffffffff, not -1"),
    (lambda dev: dev.dma.alloc(4096, bits=8), vfu.Error, "no 0x1000 addresses are free in 8 bits"),
    (lambda dev: dev.dma.map(bytearray(4096), "0"), TypeError, "iova is a number, not '0'"),
    (lambda dev: dev.dma.map(bytearray(4096), 0, "x"), TypeError, "fd is a descriptor"),
    (lambda dev: dev.dma.map_file(5.5), TypeError, "file is a descriptor"),
    (lambda dev: dev.dma.reserve(-1, 4096), ValueError, f"iova {_RANGE} 0"),
    (lambda dev: dev.dma.reserve(0, 0), ValueError, f"size {_RANGE} 1"),
    (lambda dev: dev.regions.find(-1), ValueError, f"type {_RANGE} 0"),
    (lambda dev: dev.regions.bar0.read32("0"), TypeError, "offset is a number, not '0'"),
    (lambda dev: dev.regions.bar0.read32(-1), ValueError, f"offset {_RANGE} 0 to 0xffffffffffffffff, not -1"),
    (lambda dev: dev.regions.bar0.read(1 << 64, 4), ValueError, f"offset {_RANGE} 0"),
    (lambda dev: dev.regions.bar0.write(-1, b"1"), ValueError, f"offset {_RANGE} 0"),
    (lambda dev: dev.regions.bar0.write32(0, "1"), TypeError, "value is a number, not '1'"),
    (lambda dev: dev.regions.bar0.write16(0, 1 << 16), OverflowError, "value has 16 bits, 65536 does not fit"),
    (lambda dev: dev.config.write16(4, -1), OverflowError, "value has 16 bits, -1 does not fit"),
    (lambda dev: dev.config.write16(4, 0.5), TypeError, "value is a number, not 0.5"),
]

# Of one client alone.
PLAIN = [
    (lambda dev: setattr(dev.config, "command", "x"), TypeError, "command is a number, not 'x'"),
    (lambda dev: setattr(dev.config, "command", 1 << 16), OverflowError, "command has 16 bits, 65536 does not fit"),
    (lambda dev: dev.process(-1), ValueError, f"most {_RANGE} 0"),
    (lambda dev: dev.serve("1"), TypeError, "a timeout is a number of seconds"),
    (lambda dev: dev.regions.bar0.read(0, 1 << 60), MemoryError, f"no memory for {1 << 60} bytes"),
    (lambda dev: vfu.Client("/nowhere", irqs="some"), ValueError, 'irqs is True, False or "all", not \'some\''),
    (lambda dev: vfu.Client("/nowhere", on_link=5), TypeError, "on_link is a function, not 5"),
    (lambda dev: vfu.Client("/nowhere", wait="1"), TypeError, "a timeout is a number of seconds, not '1'"),
    (lambda dev: vfu.Client(fd="x"), TypeError, "fd is a descriptor, or a file that has one, not 'x'"),
    (lambda dev: vfu.aio.connect("/nowhere", tiemout=1), TypeError, "got an unexpected keyword argument .tiemout"),
]
AWAITED = [
    (lambda dev: dev.config.set(command="x"), TypeError, "command is a number, not 'x'"),
]


@pytest.mark.parametrize("number", range(len(WRONG + PLAIN)))
def test_arguments(dev, number):
    call, kind, text = (WRONG + PLAIN)[number]
    with pytest.raises(kind, match=f"^{text}" if kind is not vfu.Error else text):
        call(dev)
    assert dev.regions.bar0.read32(0) == 0 and not dev.dma.ranges


def test_arguments_of_coroutines():
    async def use(dev):
        for call, kind, text in WRONG + AWAITED:
            with pytest.raises(kind, match=text):
                await call(dev)

    looped(use)


# ---- handlers of memory ----


class Wrong:
    def read(self, iova):
        return b""


class Yields:
    def read(self, iova, size):
        yield


class Later:
    async def read(self, iova, size):
        return bytes(size)


class Reads:
    def read(self, iova, size):
        return bytes(size)


HANDLERS = {
    "none": (object(), {}, "a handler has a method read[(]iova, size[)]"),
    "arguments": (Wrong(), {}, r"Wrong.read is declared as read\(self, iova\), but called with \(self, iova, size\)"),
    "yields": (Yields(), {}, "Yields.read yields"),
    "coroutine": (Later(), {}, "Later.read is a coroutine, which needs an event loop"),
    "promised": (Reads(), {"write": True}, r"write=True wants a handler with a method write\(iova, data\)"),
}


@pytest.mark.parametrize("name", HANDLERS)
def test_handlers(dev, name):
    handler, how, text = HANDLERS[name]
    with pytest.raises(TypeError, match=text):
        dev.dma.map_handler(handler, 0x10000, 4096, **how)
    assert not dev.dma.ranges


def test_handlers_of_coroutines():
    async def use(dev):
        with pytest.raises(TypeError, match="Wrong.read"):
            await dev.dma.map_handler(Wrong(), 0x10000, 4096)
        await dev.dma.map_handler(Later(), 0x10000, 4096)

    looped(use)
