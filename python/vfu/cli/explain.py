# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu explain: what a name of the protocol, an errno or a pasted message means."""

from __future__ import annotations

import argparse
import errno
import json
import re
import sys
from typing import Any, Literal

from .. import protocol
from ..decode import Decoder, Model, describe, hexdump, load, split, text
from .connection import completed
from .error import CommandError
from .status import BROKEN
from .style import BOLD, RED, paint

ByteOrder = Literal["little", "big"]

EPILOG = """\
WHAT is one of
  a name       of a message, structure, flag set, enumeration, limit, capability or policy: dma_map, irq_set;
               a field or flag as errors name it: dma_map.flags, dma_map.flags.mmap; what lies in one alone: pre_copy,
               migration.pgsize; a message's number: 15; an erratum: E17
  an errno     ENOSPC or 28: which messages answer so, and why
  hexadecimal  of messages, header first, as digits or as a dump of xxd, hexdump -C, tcpdump or Wireshark: their
               fields, and the rule that they break. Of several messages each reply is matched with its request,
               which some rules need; and what a VERSION among them agreed holds for those behind it.
               Without one all is taken as agreed, and numbers as their defaults.
  -            the same from standard input

examples:
  vfu explain region_write
  vfu explain EEXIST
  vfu explain 0100010014000000000000000000000000000000
  xxd dump.bin | vfu explain --nfds=1 -"""


def pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    policy = protocol.POLICIES.get(name)
    if not equals or policy is None or value not in policy.choices:
        known = f"; {name} is one of {', '.join(policy.choices)}" if policy else ""
        raise argparse.ArgumentTypeError(f"{word!r} is not POLICY=CHOICE{known}")
    return name, value


def profiles() -> list[str]:
    return sorted({name for policy in protocol.POLICIES.values() for name in policy.profiles})


def profile(word: str) -> str:
    if word not in profiles():
        raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(profiles())}")
    return word


def add_decoding(parser: argparse.ArgumentParser) -> None:
    """Options of all commands that decode."""
    choice: Any = parser.add_argument("--profile", type=profile, default="default", metavar="PROFILE",
                                 help="whose rules hold: default, strict, libvfio-user, one-at-a-time")
    completed(choice, lambda **_: profiles())
    parser.add_argument("--policy", type=pair, action="append", default=[], metavar="FIELD=CHOICE", help="one of these choices")
    parser.add_argument("--json", action="store_true", help="print JSON: an object a line")


def policies(options: argparse.Namespace) -> dict[str, str]:
    chosen = {name: policy.profiles[options.profile] for name, policy in protocol.POLICIES.items()}
    return chosen | dict(options.policy)


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "explain", help="explain a message, an errno or pasted bytes", description=__doc__.partition(": ")[2].capitalize(),
        epilog=EPILOG)
    what = parser.add_argument("what", metavar="WHAT", nargs="+", help="a name, an errno, hexadecimal or -")
    completed(what, lambda **_: [*describe.names(load()), *errno.errorcode.values()])
    parser.add_argument("--from", dest="sender", choices=("client", "server"),
                        help="who sent the first message; by default whoever may")
    parser.add_argument("--nfds", type=int, default=0, metavar="N", help="descriptors that came with each message (0)")
    parser.add_argument("--order", choices=("native", "little", "big"), default="native", help="byte order of the sender's machine")
    add_decoding(parser)
    parser.set_defaults(function=run)


def errno_of(word: str) -> int | None:
    """The number that this word names, or None."""
    if re.fullmatch(r"[0-9]{1,4}", word) and 0 < int(word) < 4096:
        return int(word)
    return getattr(errno, word.upper(), None) if word.upper() in errno.errorcode.values() else None


def explain_name(model: Model, word: str, as_json: bool) -> str | None:
    """Prints it; returns what to say if nothing is known of it."""
    number = errno_of(word)
    found = list(describe.find(model, word))
    if number is None and not found:
        near = describe.like(model, word)
        return f"nothing is called {word!r}{'; is it ' + ' or '.join(near) + '?' if near else ''}"
    if as_json:
        for kind, entry in found:
            print(json.dumps({"kind": kind} | entry))
        if number is not None:
            lines = describe.error_page(model, number)
            print(json.dumps({"kind": "errno", "number": number, "name": errno.errorcode.get(number), "doc": lines}))
        return None
    pages = [describe.page(model, kind, entry) for kind, entry in found]
    for lines in pages + ([describe.error_page(model, number)] if number is not None else []):
        print(paint(lines[0], BOLD), *lines[1:], sep="\n")
    return None


def first_sender(model: Model, data: bytes, order: ByteOrder) -> int:
    """Who may send this: 0 the client, 1 the server."""
    command, flags = (int.from_bytes(data[at : at + size], order) for at, size in ((2, 2), (8, 4)))
    message = model.messages.get(command)
    of_server = message is not None and message["from"] == "server"
    return int(of_server != (flags & 15 == 1))


def explain_bytes(model: Model, data: bytes, options: argparse.Namespace) -> int:
    """Prints each message; BROKEN if one breaks a rule."""
    order: ByteOrder = sys.byteorder if options.order == "native" else options.order
    sign = {"little": "<", "big": ">"}[order]
    decoder, status = Decoder(policies(options), model, sign), 0
    for i, one in enumerate(split(data, sign)):
        sender = first_sender(model, one, order)
        if options.sender and i == 0:
            sender = ("client", "server").index(options.sender)
        said = int.from_bytes(one[4:8], order)
        m = decoder.message(one, sender=sender, nfds=options.nfds, length=max(len(one), said))
        if not m.is_whole:
            m.notes.append(f"is not whole: {len(one)} of {said} bytes, so its rules were not looked at")
        complaints = text.complaints(m)
        status = BROKEN if m.fault or len(m.data) < 16 else status
        if options.json:
            print(json.dumps(text.as_dict(m)))
            continue
        print(paint(f"{m.name or 'unknown command'} {text.kind(m)} of the {('client', 'server')[sender]}, {m.length} bytes", BOLD))
        print("  offset  size")
        print(*text.lines(m), sep="\n")
        for line in complaints:
            print(paint(("  broken: " if m.fault and line is complaints[0] else "  note: ") + line, RED))
    return status


def bytes_of(words: list[str]) -> bytes | None:
    """What is pasted, or None if this is a name."""
    joined = sys.stdin.read() if words == ["-"] else "\n".join(words)
    if words == ["-"] or re.match(r"\s*(0x)?([0-9a-fA-F]{2}[\s:,]*){4}", joined):
        try:
            return hexdump.parse(joined)
        except ValueError as error:
            raise CommandError(str(error)) from None
    return None


def run(options: argparse.Namespace) -> int:
    model, data = load(), bytes_of(options.what)
    if data is not None:
        return explain_bytes(model, data, options)
    unknown = [text for text in (explain_name(model, word, options.json) for word in options.what) if text]
    if unknown:
        raise CommandError(", ".join(unknown))
    return 0
