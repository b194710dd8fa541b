# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu read, vfu write: single accesses to a region of a served device."""

import argparse

import vfu
from vfu.client import REGION_NAMES

from .error import CommandError


def number(text):
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 2**64 - 1")
    return value


def add_to(commands):
    read = commands.add_parser("read", help="read a register", description="Reads from a region and prints it.")
    write = commands.add_parser("write", help="write a register", description="Writes a number to a region.")
    for parser in (read, write):
        parser.add_argument("socket", metavar="SOCKET", help="where the device is served")
        parser.add_argument("region", metavar="REGION", help="bar0 to bar5, rom, config, or an index")
        parser.add_argument("offset", metavar="OFFSET", type=number)
    read.add_argument("length", metavar="LENGTH", type=number, nargs="?", default=4,
                      help="bytes (4); 1, 2, 4 and 8 are printed as a number")
    write.add_argument("value", metavar="VALUE", type=number)
    write.add_argument("--width", type=int, choices=(1, 2, 4, 8), default=4, help="bytes (4)")
    read.set_defaults(function=run_read)
    write.set_defaults(function=run_write)


def connect(options):
    return vfu.Client(options.socket, irqs=False, bus_master=False)


def find(dev, name):
    try:
        return dev.regions[REGION_NAMES.index(name) if name in REGION_NAMES else int(name)]
    except (ValueError, IndexError):
        raise CommandError(f"there is no region {name}") from None


def run_read(options):
    with connect(options) as dev:
        region = find(dev, options.region)
        if options.offset + options.length > region.size:
            raise CommandError(f"{region.name} has {region.size} bytes")
        data = region.read(options.offset, options.length)
    if len(data) in (1, 2, 4, 8):
        print(f"{int.from_bytes(data, 'little'):#0{2 + 2 * len(data)}x}")
    else:
        for at in range(0, len(data), 16):
            print(f"{options.offset + at:08x}: {data[at:at + 16].hex(' ')}")


def run_write(options):
    if not 0 <= options.value < 1 << 8 * options.width:
        raise CommandError(f"{options.value:#x} does not fit {options.width} bytes")
    with connect(options) as dev:
        find(dev, options.region).write(options.offset, options.value.to_bytes(options.width, "little"))
