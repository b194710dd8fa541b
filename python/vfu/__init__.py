# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfio-user devices and clients.

A device is a class: see Device, Bar, Irqs, and serve() or Server. A Client uses a device.
"""

import libvfu as _c

from .client import Buffer, Client
from .commands import Descriptors, Raw
from .device import Device, Gate
from .dma import DmaRange
from .errors import Denied, Disconnected, Error, NotFound, Refused, Timeout
from .irqs import Irqs
from .memory import Mapping
from .regions import Bar, Rom
from .server import Server, serve

__version__ = _c.vfu_version()

__all__ = [
    "Bar",
    "Buffer",
    "Client",
    "Denied",
    "Descriptors",
    "Device",
    "Disconnected",
    "DmaRange",
    "Error",
    "Gate",
    "Irqs",
    "Mapping",
    "NotFound",
    "Raw",
    "Refused",
    "Rom",
    "Server",
    "Timeout",
    "serve",
]
