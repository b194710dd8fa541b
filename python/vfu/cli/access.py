# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu read, vfu write: registers of a served device, by name or by place."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from .connection import add_device, add_enable, add_socket, complete_assignments, complete_places, completed, session
from .error import UsageError
from .names import Names, Place, number

PLACES = """\
A PLACE is
  ticks            a register or a bit field, by its name in the device's class, which --device says
  table[3]         one of an array of them; without [N] all, to be read
  dma_*            all that are called so, to be read, but for those whose reading does something: that are read by
                   a function, cleared when they are read, or to be written only
  bar0+0x10:32     a region (bar0 to bar5, rom, config, vga, region9...), an offset, and how many bits: 8, 16, 32 or
                   64, of an offset that is a multiple of so many; 32 if not said
  config.command   a field of configuration space, by its name there: vendor_id, device_id, status...

"""

READ = PLACES + """\
They are read in this order, each with one access (of configuration space those that a CPU makes). One is printed as a
number, several with their names. Reading may do something in a device, as it would for its driver.

examples:
  vfu read /tmp/counter.sock bar0+0x08
  vfu read /tmp/counter.sock --device counter.py ticks done total
  vfu read /tmp/edu.sock --device edu.py 'dma_*' status
  vfu read /tmp/counter.sock config.vendor_id config.device_id bar0+2:16 --json
  vfu read /tmp/counter.sock --enable bar0+0x08 config.command"""

WRITE = PLACES + """\
They are written in this order, each with one access. Of a bit field's register the other bits that can be written are
read before, and written as they are. What is read-only in the class of --device is written all the same, and standard
error says that the device does not take it.

examples:
  vfu write /tmp/counter.sock bar0+0x00:32=0x1234
  vfu write /tmp/counter.sock --device counter.py ticks=7 done=0
  vfu write /tmp/counter.sock config.command=0x6"""


def add_to(commands: Any) -> None:
    """Both commands."""
    read = commands.add_parser("read", help="read registers", description="Reads registers of a served device.", epilog=READ)
    add_socket(read)
    completed(read.add_argument("places", metavar="PLACE", nargs="+", help="what to read"), complete_places)
    add_device(read)
    add_enable(read)
    read.add_argument("--json", action="store_true", help="print a JSON object: numbers by their PLACE")
    read.set_defaults(function=run_read)
    write = commands.add_parser(
        "write", help="write registers", description="Writes registers of a served device.", epilog=WRITE)
    add_socket(write)
    values = write.add_argument("values", metavar="PLACE=VALUE", nargs="+", help="what to write, and where")
    completed(values, complete_assignments)
    add_device(write)
    add_enable(write)
    write.set_defaults(function=run_write)


def run_read(options: argparse.Namespace) -> None:
    """Prints what is there."""
    names = Names.of_file(options.device)
    places = [place for word in options.places for place in names.find(word)]
    with session(options, names) as dev:
        found = [(place, place.read(dev)) for place in places]
    if left_out := [name for word in options.places for name in names.left_out(word)]:
        print(f"vfu read: not read, as that does something: {', '.join(left_out)}", file=sys.stderr)
    if options.json:
        print(json.dumps({place.name: value for place, value in found}))
    elif len(found) == 1:
        print(found[0][0].text(found[0][1]))
    else:
        width = max(len(place.name) for place in places)
        for place, value in found:
            print(f"{place.name:<{width}} {place.text(value)}")


def assignment(names: Names, word: str) -> tuple[Place, int]:
    """PLACE=VALUE, of which the value fits."""
    name, equals, text = word.rpartition("=")
    if not equals:
        raise UsageError(f"{word!r} is not PLACE=VALUE")
    place, value = names.one(name), number(text)
    place.check(value)
    return place, value


def run_write(options: argparse.Namespace) -> None:
    """Writes in order, once all is known to be right."""
    names = Names.of_file(options.device)
    values = [assignment(names, word) for word in options.values]
    with session(options, names) as dev:
        for place, _ in values:
            place.region_of(dev)
        for place, value in values:
            place.write(dev, value)
            if place.readonly:
                print(f"vfu write: {place.name} is read-only, and has not changed", file=sys.stderr)
