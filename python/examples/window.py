# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""All that configuration space may have.   vfu serve window.py --socket-path=/tmp/window.sock

The vendor-specific capability at 0x80 is a window into BAR 0, as firmware likes it that cannot map a BAR yet: an address
at 0x84, and at 0x88 the 4 bytes that are there.

    0x80  09 | next | 0c | 0
    0x84  address            0 to 0xffc, a multiple of 4
    0x88  data               of BAR 0 at address

In a guest: setpci -s $DEV0 84.l=120 && setpci -s $DEV0 88.l
"""

import vfu
from vfu import pci

ADDRESS, DATA = 0x84, 0x88


class Window(vfu.Device):
    vendor_id, device_id, class_code = 0x1234, 0x0006, 0xFF0000
    capabilities = (
        pci.Vendor(bytes(9), offset=0x80),
        pci.PowerManagement(no_soft_reset=True),
        pci.Express(flr=True, speed=3, width=4),
        pci.SerialNumber(0x0102030405060708),
        pci.ExtendedVendor(0x0815, b"abcd", revision=2),
    )
    bar0 = vfu.Bar(size=4096)
    rom = vfu.Rom(b"\x55\xaa\x04")
    irqs = vfu.Irqs(msi=4, msix=2, msi_maskable=True)
    config = vfu.ConfigSpace()

    address = config.reg32(ADDRESS, writable=0xFFC)
    data = config.range(DATA, 4)

    @data.on_read
    def look(self, offset, size):
        start = self.address + offset - DATA
        return self.bar0[start : start + size]

    @data.on_write
    def change(self, offset, data):
        start = self.address + offset - DATA
        self.bar0[start : start + len(data)] = data
