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
