# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""An ACCES PCI-IDIO-16 card, for Linux's driver gpio-pci-idio-16: 16 outputs, wired to its 16 inputs."""

import vfu


class Idio16(vfu.Device):
    vendor_id, device_id, class_code = 0x494F, 0x0DC8, 0x118000
    bar2 = vfu.Bar(size=256, io=True)
    irqs = vfu.Irqs(intx=1)

    out_low = bar2.reg8(0)
    in_low = bar2.reg8(1)
    irq_control = bar2.reg8(2)
    filter = bar2.reg8(3)
    out_high = bar2.reg8(4)
    in_high = bar2.reg8(5, readonly=True)
    irq_status = bar2.reg8(6, readonly=True)
    enabled = False

    @out_low.on_write
    def set_low(self, value):
        self.set_outputs(value, self.out_high)

    @out_high.on_write
    def set_high(self, value):
        self.set_outputs(self.out_low, value)

    def set_outputs(self, low, high):
        changed = (low != self.in_low) | (high != self.in_high) << 1
        self.out_low = self.in_low = low
        self.out_high = self.in_high = high
        if changed and self.enabled:
            self.irq_status = 0x04 | changed  # an interrupt; bits 0 and 1 say which inputs
            self.irqs.intx.raise_()

    @in_low.on_write
    def clear_interrupt(self, value):
        self.irq_status = 0
        self.irqs.intx.lower()

    @irq_control.on_read
    def enable_interrupt(self):
        self.enabled = True
        return 0

    @irq_control.on_write
    def disable_interrupt(self, value):
        self.enabled = False

    def reset(self):
        self.enabled = False
        self.irqs.intx.lower()
