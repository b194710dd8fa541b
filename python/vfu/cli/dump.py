# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu dump: a region of a served device, or a part of one, as a hex dump or as bytes."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import vfu

from ..decode import hexdump
from .connection import add_device, add_enable, add_socket, complete_regions, completed, session
from .error import CommandError
from .names import Names
from .progress import bar

PIECE = 64 << 10  # bytes
MOST = 1 << 30  # bytes of a region whose end is the device's word

EPILOG = """\
A RANGE is a region (bar0 to bar5, rom, config, vga, region9...), from an offset if one is said, to its end if no
length is said: bar0, bar0+0x800, bar0+0x100,64; or what has a name in the device's class, with --device. A line that is
the same as the one before is shown as *, as hexdump -C does. Reading may do something in a device, as it would for its
driver.

Servers may refuse accesses of a size that no CPU makes; then say --width. Configuration space is read in accesses of 32
bits at most anyway.

examples:
  vfu dump /tmp/counter.sock config
  vfu dump /tmp/counter.sock bar0+0x800,64 --width 32
  vfu dump /tmp/counter.sock bar0 --raw -o bar0.bin"""


def add_to(commands: Any) -> None:
    """The command."""
    parser = commands.add_parser(
        "dump", help="dump a region", description="Shows what is in a region of a served device.", epilog=EPILOG)
    add_socket(parser, timeout=None, about="give up after so long (never, but 5 for each answer)")
    completed(parser.add_argument("range", metavar="RANGE", help="what to read"), complete_regions)
    add_device(parser)
    add_enable(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file")
    parser.add_argument("--raw", action="store_true", help="the bytes themselves, no hex dump")
    parser.add_argument("--width", metavar="BITS", type=int, choices=(8, 16, 32, 64),
                        help="read with accesses of 8, 16, 32 or 64 bits, rather than as much as fits a message")
    parser.set_defaults(function=run)


def pieces(region: Any, places: range, width: int | None) -> Iterator[bytes]:
    """What is there, some at a time."""
    step = width // 8 if width else PIECE
    for at in range(places.start, places.stop, PIECE):
        end = min(at + PIECE, places.stop)
        yield b"".join(region.read(one, min(step, end - one)) for one in range(at, end, step))


def show(region: Any, places: range, options: argparse.Namespace, out: BinaryIO) -> None:
    """Writes it as it comes."""
    lines = hexdump.Dump(places.start)
    with bar("dump", quiet=out.isatty()) as progress:
        done = 0
        for data in pieces(region, places, options.width):
            out.write(data if options.raw else lines.feed(data).encode())
            done += len(data)
            progress(f"reading {region.name}", done / (places.stop - places.start))
    if not options.raw:
        out.write(lines.end().encode())


def check(options: argparse.Namespace, places: range) -> None:
    """Of accesses of one width all must be whole."""
    step, size = (options.width or 8) // 8, places.stop - places.start
    if places.start % step or size % step:
        raise CommandError(f"{options.range}: {places.start:#x} and {size} bytes are no multiples of {step}")


def run(options: argparse.Namespace) -> None:
    """Reads, and writes it out."""
    names = Names.of_file(options.device)
    span = names.span(options.range)
    if options.raw and not options.output and sys.stdout.isatty():
        raise CommandError("the device's bytes could be anything to a terminal: say -o FILE, or give them to a pipe")
    with contextlib.ExitStack() as stack:
        dev = stack.enter_context(session(options, names))
        region, places = span.of(dev)
        check(options, places)
        if span.length is None and places.stop - places.start > MOST:
            raise CommandError(f"{options.range} has {places.stop - places.start:#x} bytes; say how many you want, as {region.name},4096")
        out = stack.enter_context(open(options.output, "wb")) if options.output else sys.stdout.buffer
        try:
            show(region, places, options, out)
        except (vfu.Disconnected, vfu.Timeout):
            raise
        except vfu.Error as error:
            hint = "" if options.width else "; are accesses of another size than 8 to 64 bits refused? --width 32 makes such"
            raise CommandError(f"{error.strerror}{hint}") from None
