# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""PCI devices in a process of their own, and clients that use them, over a socket: the protocol vfio-user.

A device is a class:

    import vfu

    class Counter(vfu.Device):
        vendor_id, device_id, class_code = 0x1234, 0x0001, 0xFF0000
        bar0 = vfu.Bar(size=4096)
        irqs = vfu.Irqs(msix=1)
        done = bar0.reg32(0x08, readonly=True)        # storage, a number here: self.done

        @bar0.reg32(0x04).on_write                    # called for each write of the client
        async def kick(self, address):
            await self.dma.write(address, b"hello")   # the client's memory
            self.done += 1
            self.irqs.msix[0].trigger()

It is given to a client by vfu.serve(Counter(), "/tmp/counter.sock"), or by the command:

    vfu serve python/examples/counter.py --socket-path=/tmp/counter.sock

The client is a virtual machine, `vfu guest counter.py --shell` boots one, or a script:

    import vfu

    with vfu.Client("/tmp/counter.sock") as dev:
        print(dev.info, hex(dev.config.vendor_id))
        bar0, ram = dev.regions.bar0, dev.dma.alloc(4096)
        bar0.write32(0x04, ram.iova)                  # where the device reaches it
        dev.irqs.msix[0].wait(timeout=10)             # seconds
        print(bar0.read32(0x08), bytes(ram[:5]))

Where to look, each with help():

    vfu.Device        what a class declares, what its methods may be, self.dma and self.irqs
    vfu.pci, vfu.ConfigSpace   capabilities and registers in configuration space
    vfu.Bar, vfu.Register   regions and registers: storage, handlers, what is a read and what a write
    vfu.Server        serving: threads, asyncio, policies, options, capabilities
    vfu.Client        regions, configuration space, interrupts, memory for DMA; messages of any kind with call()
    vfu.aio           the same client for coroutines: awaited, iterated over, in asyncio's event loop
    vfu.Error         what fails: the errno, and which field of a message broke which rule
    vfu.protocol      the protocol as data: messages, structures, flags, enumerations, checks
    vfu.testing, vfu.pytest_plugin   tests of devices, in this process or another, or in a Linux guest
    vfu --help        the command: serve, info, read, write, trace, explain, guest...

Sizes and offsets are in bytes, times in seconds, unless it is said otherwise. What fails is an OSError of Python, all
of them vfu.Error or a subclass; wrong arguments are ValueError and TypeError. What is logged goes to logging's "vfu".
(E52) and the like, here and in what devices and clients say, are places where the protocol's text leaves a choice, or
is wrong: `vfu explain E52` says which, and what is done there.
"""

import libvfu as _c

from . import pci as pci
from .capabilities import Agreed
from .client import Client, DeviceInfo
from .client.dma import Buffer, ClientDma
from .client.irqs import ClientIrq, ClientIrqs, ClientVector
from .client.link import Link
from .client.regions import ClientMsix, Config, IoFd, Region, Regions
from .client.requests import Access
from .commands import Descriptors, Raw
from .device import Device, Gate, Peer
from .dma import DeviceDma, DmaRange, PinnedMemory
from .errors import Denied, Disconnected, Error, NotFound, Refused, Timeout
from .irqs import DeviceIrqs, Irqs, Line, Vector
from .memory import Mapping, Memory
from .pci import Capability, ClientBar, ExtendedCapability, MsixEntry
from .regions import Bar, ConfigSpace, DeviceRegion, MemoryPart, Rom
from .registers import Bits, Elements, Range, Register, View
from .server import Server, serve

__version__: str = _c.vfu_version()

__all__ = [
    "Access",
    "Agreed",
    "Bar",
    "Bits",
    "Buffer",
    "Capability",
    "Client",
    "ClientBar",
    "ClientDma",
    "ClientIrq",
    "ClientIrqs",
    "ClientMsix",
    "ClientVector",
    "Config",
    "ConfigSpace",
    "Denied",
    "Descriptors",
    "Device",
    "DeviceDma",
    "DeviceInfo",
    "DeviceIrqs",
    "DeviceRegion",
    "Disconnected",
    "DmaRange",
    "Elements",
    "Error",
    "ExtendedCapability",
    "Gate",
    "IoFd",
    "Irqs",
    "Line",
    "Link",
    "Mapping",
    "Memory",
    "MemoryPart",
    "MsixEntry",
    "NotFound",
    "Peer",
    "PinnedMemory",
    "Range",
    "Raw",
    "Refused",
    "Region",
    "Register",
    "Regions",
    "Rom",
    "Server",
    "Timeout",
    "Vector",
    "View",
    "serve",
]
