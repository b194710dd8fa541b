# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu info: what a served device is, much as lspci -v says it.

    client --describe()--> a dict, which is what --json prints --text()--> lines
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import vfu
from vfu import pci
from vfu.client.irqs import irq_name

from . import parts
from .connection import add_device, add_socket, session
from .names import Names
from .style import BOLD, paint

REGION_FLAGS = {0: "read", 1: "write", 2: "mappable"}
IRQ_FLAGS = {0: "eventfd", 1: "maskable", 2: "automasked", 3: "fixed size"}
Facts = dict[str, Any]
AREAS = 32  # of a region that are shown

EPILOG = """\
With --device its registers are listed, by the names that `vfu read` takes; they are not read.

examples:
  vfu info /tmp/counter.sock
  vfu info /tmp/counter.sock --device counter.py
  vfu info /tmp/counter.sock --json
  vfu info /tmp/counter.sock --wait 10   # it may be about to start
  vfu info /tmp/counter.sock --profile one-at-a-time   # for servers that read no command before the last is answered"""


def add_to(commands: Any) -> None:
    """The command."""
    parser = commands.add_parser("info", help="show a device", description="Shows a served device.", epilog=EPILOG)
    add_socket(parser)
    add_device(parser)
    parser.add_argument("-x", "--hex", action="store_true", help="configuration space too")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.set_defaults(function=run)


def bits(value: int, names: dict[int, str]) -> list[str]:
    """The names of those that are set."""
    return [name for bit, name in names.items() if value >> bit & 1]


def words(names: list[str]) -> str:
    """In a sentence."""
    return ", ".join(names) or "none"


def size_text(size: int) -> str:
    """4 KiB."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << shift and size % (1 << shift) == 0:
            return f"{size >> shift} {unit}"
    return f"{size} bytes"


# ---- what there is ----


def bar_kind(config: bytes, index: int) -> str:
    """What kind of BAR the header says it is."""
    value = int.from_bytes(config[0x10 + 4 * index : 0x14 + 4 * index], "little")
    if value & 1:
        return "I/O"
    return "memory, " + ("64-bit" if value >> 1 & 3 == 2 else "32-bit") + (", prefetchable" if value & 8 else "")


def describe_pci(config: bytes) -> Facts:
    """What configuration space says."""
    capabilities = [{"id": cap.id, "offset": cap.offset, "name": cap.name} | cap.fields for cap in pci.capabilities(config)]
    extended = [{"id": cap.id, "version": cap.version, "offset": cap.offset, "name": cap.name} | cap.fields
                for cap in pci.extended_capabilities(config)]
    return pci.header(config) | {"capabilities": capabilities, "extended_capabilities": extended}


def region_kind(region: Any, config: bytes) -> str | None:
    """What a BAR's header says that it is, or what the device says of one of its own."""
    if region.index < 6 and config:
        return bar_kind(config, region.index)
    return f"type {region.type:#x}, subtype {region.subtype:#x}" if region.type or region.subtype else None


def describe_region(region: Any, config: bytes) -> Facts:
    """One that has a size."""
    return {
        "index": region.index, "name": region.name, "size": region.size, "flags": bits(region.flags, REGION_FLAGS),
        "kind": region_kind(region, config),
        "mappable": [{"offset": offset, "size": size} for offset, size in region.areas],
    }


def describe_irq(irq: Any) -> Facts:
    """One that has vectors."""
    name = irq_name(irq.index)
    return {"index": irq.index, "name": name, "count": irq.count, "flags": bits(irq.flags, IRQ_FLAGS)}


def describe(dev: vfu.Client, names: Names, all_config: bool) -> Facts:
    """All that the device and its class say."""
    config = dev.config.read(0, dev.config.size) if dev.info.pci else b""
    regions = [dev.regions[index] for index in range(len(dev.regions))]
    facts: Facts = {
        "pci": describe_pci(config) if config else None,
        "regions": [describe_region(region, config) for region in regions if region.size],
        "irqs": [describe_irq(dev.irqs[i]) for i in range(len(dev.irqs)) if dev.irqs[i].count],
        "protocol": dev.limits, "reset": dev.info.reset,
    }
    if names.cls:
        facts["parts"] = parts.describe(names)
    if all_config:
        facts["config"] = config.hex()
    return facts


# ---- what is said of it ----


def capability_line(cap: Facts) -> str:
    """One of PCI's."""
    text = ""
    if "vectors" in cap:
        text = f": {cap['vectors']} vectors, {'on' if cap['on'] else 'off'}"
    if "table_bar" in cap:
        text += (f", table in BAR {cap['table_bar']} at {cap['table_offset']:#x}, "
                 f"pending bits in BAR {cap['pending_bar']} at {cap['pending_offset']:#x}")
    return f"  Capability {cap['offset']:#04x}: {cap['name']}{text}"


def pci_lines(c: Facts) -> Iterator[str]:
    """The header and the capabilities."""
    kind = pci.CLASSES.get(c["class_code"] >> 16, "Class")
    yield paint(f"{kind} [{c['class_code']:06x}]: {c['vendor_id']:04x}:{c['device_id']:04x} (rev {c['revision']:02x})", BOLD)
    if c["subsystem_vendor_id"] or c["subsystem_id"]:
        yield f"  Subsystem: {c['subsystem_vendor_id']:04x}:{c['subsystem_id']:04x}"
    command, status = bits(c["command"], pci.COMMAND_BITS), bits(c["status"], pci.STATUS_BITS)
    yield f"  Command: {words(command)}   Status: {words(status)}"
    if c["interrupt_pin"]:
        yield f"  Interrupt pin: {'?ABCD'[c['interrupt_pin']] if c['interrupt_pin'] <= 4 else '?'}"
    yield from map(capability_line, c["capabilities"])
    yield from (f"  Extended capability {cap['offset']:#05x}: {cap['name']}" for cap in c["extended_capabilities"])


def region_lines(region: Facts, inside: list[Facts]) -> Iterator[str]:
    """A region, and what is known to be in it."""
    kind = f", {region['kind']}" if region["kind"] else ""
    yield f"  Region {region['index']} {region['name']}: {size_text(region['size'])}{kind}, {words(region['flags'])}"
    for area in region["mappable"][:AREAS]:
        yield f"    mappable: {area['offset']:#x} to {area['offset'] + area['size']:#x}"
    if len(region["mappable"]) > AREAS:
        yield f"    mappable: {len(region['mappable']) - AREAS} areas more, which --json lists"
    for part in inside:
        if part["region"] == region["name"]:
            yield from (f"    {line}" for line in parts.lines(part))


def text(facts: Facts) -> Iterator[str]:
    """Lines."""
    yield from pci_lines(facts["pci"]) if facts["pci"] else ["A device that is not PCI"]
    for region in facts["regions"]:
        yield from region_lines(region, facts.get("parts", []))
    for irq in facts["irqs"]:
        yield f"  Interrupt {irq['index']} {irq['name']}: {irq['count']}, {words(irq['flags'])}"
    limits = facts["protocol"]
    yield (f"  Protocol {limits['major']}.{limits['minor']}, messages of up to {size_text(limits['max_data_xfer_size'])} "
           f"and {limits['max_msg_fds']} descriptors, reset: {'yes' if facts['reset'] else 'no'}"
           f"{', twin socket' if limits['twin_socket'] else ''}")
    config = bytes.fromhex(facts.get("config", ""))
    for offset in range(0, len(config), 16):
        yield f"{offset:03x}: {config[offset:offset + 16].hex(' ')}"


def run(options: argparse.Namespace) -> None:
    """Prints it."""
    names = Names.of_file(options.device)
    with session(options, names) as dev:
        facts = describe(dev, names, options.hex)
    print(json.dumps(facts) if options.json else "\n".join(text(facts)))
