# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu info: what a served device is, much as lspci -v says it."""

import vfu
from vfu import pci
from vfu.client import IRQ_NAMES

REGION_FLAGS = ((1, "read"), (2, "write"), (4, "mappable"))
IRQ_FLAGS = ((1, "eventfd"), (2, "maskable"), (4, "automasked"), (8, "fixed size"))


def add_to(commands):
    parser = commands.add_parser("info", help="show a device", description="Shows a served device.")
    parser.add_argument("socket", metavar="SOCKET", help="where it is served")
    parser.add_argument("-x", "--hex", action="store_true", help="dump configuration space too")
    parser.set_defaults(function=run)


def words(value, names):
    return ", ".join(name for bit, name in names if value & bit) or "none"


def bits(value, names):
    return ", ".join(name for bit, name in names.items() if value >> bit & 1) or "none"


def size_text(size):
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << shift and size % (1 << shift) == 0:
            return f"{size >> shift} {unit}"
    return f"{size} bytes"


def bar_text(config, index):
    """What kind of BAR the header says it is."""
    value = int.from_bytes(config[0x10 + 4 * index : 0x14 + 4 * index], "little")
    if value & 1:
        return "I/O"
    return "memory, " + ("64-bit" if value >> 1 & 3 == 2 else "32-bit") + (", prefetchable" if value & 8 else "")


def capability_text(cap):
    def at(offset, size):
        return int.from_bytes(cap.data[offset : offset + size], "little")

    if cap.id == 0x11:
        control, table, pba = at(2, 2), at(4, 4), at(8, 4)
        return (f"{(control & 0x7FF) + 1} vectors, {'on' if control >> 15 else 'off'}, "
                f"table in BAR {table & 7} at {table & ~7:#x}, pending bits in BAR {pba & 7} at {pba & ~7:#x}")
    if cap.id == 0x05:
        control = at(2, 2)
        return f"{1 << (control >> 1 & 7)} vectors, {'on' if control & 1 else 'off'}"
    return ""


def show_header(config):
    c = pci.header(config)
    kind = pci.CLASSES.get(c["class_code"] >> 16, "Class")
    print(f"{kind} [{c['class_code']:06x}]: {c['vendor_id']:04x}:{c['device_id']:04x} (rev {c['revision']:02x})")
    if c["subsystem_vendor_id"] or c["subsystem_id"]:
        print(f"  Subsystem: {c['subsystem_vendor_id']:04x}:{c['subsystem_id']:04x}")
    print(f"  Command: {bits(c['command'], pci.COMMAND_BITS)}   Status: {bits(c['status'], pci.STATUS_BITS)}")
    if c["interrupt_pin"]:
        print(f"  Interrupt pin: {'?ABCD'[c['interrupt_pin']] if c['interrupt_pin'] <= 4 else '?'}")
    for cap in pci.capabilities(config):
        text = capability_text(cap)
        print(f"  Capability {cap.offset:#04x}: {cap.name}{': ' if text else ''}{text}")


def show_regions(dev, config):
    for index in range(len(dev.regions)):
        region = dev.regions[index]
        if not region.size:
            continue
        kind = f", {bar_text(config, index)}" if index < 6 and config else ""
        print(f"  Region {index} {region.name}: {size_text(region.size)}{kind}, {words(region.flags, REGION_FLAGS)}")
        for offset, size in region.areas:
            print(f"    mappable: {offset:#x} to {offset + size:#x}")


def show_irqs(dev):
    for irq in dev.irqs:
        if irq.count:
            name = IRQ_NAMES[irq.index] if irq.index < len(IRQ_NAMES) else "?"
            print(f"  Interrupt {irq.index} {name}: {irq.count}, {words(irq.flags, IRQ_FLAGS)}")


def dump(config):
    for offset in range(0, len(config), 16):
        print(f"{offset:03x}: {config[offset:offset + 16].hex(' ')}")


def run(options):
    with vfu.Client(options.socket, irqs=False, bus_master=False) as dev:
        config = dev.config.read(0, dev.config.size if options.hex else 256) if dev.info.pci else b""
        if config:
            show_header(config)
        else:
            print("A device that is not PCI")
        show_regions(dev, config)
        show_irqs(dev)
        limits = dev.limits
        print(f"  Protocol {limits['major']}.{limits['minor']}, messages of up to "
              f"{size_text(limits['max_data_xfer_size'])} and {limits['max_msg_fds']} descriptors, "
              f"reset: {'yes' if dev.info.reset else 'no'}")
        if options.hex:
            dump(config)
