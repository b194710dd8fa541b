# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu trace: relays a connection between client and server, and shows the messages."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import sys
from typing import Any, BinaryIO, NoReturn

from ..decode import Decoder, Message, load, text
from ..decode.decoder import SIDES
from ..trace import Filter, Record, Recorder, Relay, pcapng, read
from .error import CommandError
from .explain import add_decoding, policies
from .progress import bar
from .status import BROKEN, DONE
from .style import DIM, RED, paint

PIECE = 256 << 10  # the most that is kept of a message
TICK = 256  # records between two looks at the progress bar

EPILOG = """\
The client connects to LISTEN, the server listens at SERVER. Messages go on with their descriptors as they come, also on
a twin socket. Showing them may lag behind, and holds up nothing. -w writes a file for Wireshark and --read, without
decoding; with "-" it goes to standard output, as for `| wireshark -k -i -`.

A filter names messages (dma_map), fields and their values, and words: request, reply, failed (error replies),
broken (breaks a rule), odd (all else that is wrong), client and server (who sent it), twin; connection,
descriptors, length and elapsed (seconds to the reply) are numbers:
  --filter 'dma_map or data_eventfd == true'
  --filter 'region_write and region == config and offset >= 0x10'
  --filter 'broken or failed or elapsed > 0.001'

examples:
  vfu trace /tmp/traced.sock /tmp/counter.sock     # and the client uses /tmp/traced.sock
  vfu trace /tmp/traced.sock /tmp/counter.sock --filter 'region_write or failed' --json
  vfu trace /tmp/traced.sock /tmp/counter.sock -w trace.pcapng --one-client
  vfu trace --read trace.pcapng --filter 'elapsed > 0.001' --verbose"""


def add_to(commands: Any) -> None:
    parser = commands.add_parser(
        "trace", help="show what goes between client and server", description=__doc__.partition(": ")[2].capitalize(),
        epilog=EPILOG)
    parser.add_argument("listen", metavar="LISTEN", nargs="?", help="where the client connects: a path, made here")
    parser.add_argument("server", metavar="SERVER", nargs="?", help="where the server listens")
    parser.add_argument("-r", "--read", metavar="FILE", help="show a file that -w wrote, instead")
    parser.add_argument("-w", "--write", metavar="FILE", help="write pcapng; nothing is shown unless --print")
    parser.add_argument("--print", action="store_true", help="with -w: show the messages, too")
    parser.add_argument("-f", "--filter", metavar="EXPRESSION", help="only messages for which this holds")
    parser.add_argument("-v", "--verbose", action="store_true", help="all fields, with their places")
    parser.add_argument("--snaplen", type=int, default=PIECE, metavar="N", help=f"bytes kept of a message ({PIECE})")
    parser.add_argument("--one-client", action="store_true", help="end when the first client has gone")
    add_decoding(parser)
    parser.set_defaults(function=run, usage=parser.error, log_level="warning")


class Show:
    """Prints records, those that the filter wants."""

    def __init__(self, options: argparse.Namespace, out: BinaryIO | None = None):
        self.options, self.broken = options, False
        self.start = 0  # the time of the first record
        self.prints = options.print or not options.write
        self.file = out
        self.decoders: dict[str, Decoder] = {}
        try:
            self.wanted = Filter(options.filter, load()) if options.filter else None
        except ValueError as error:
            raise CommandError(f"--filter: {error}") from None

    def record(self, r: Record) -> None:
        self.start = self.start or r.time
        if r.order not in self.decoders:
            self.decoders[r.order] = Decoder(policies(self.options), order=r.order)
        decoder = self.decoders[r.order]
        if r.kind != pcapng.MESSAGE:
            self._event(r, decoder)
            return
        m = decoder.message(r.data, sender=r.sender, twin=r.twin, connection=r.connection, nfds=r.nfds, time=r.time / 1e9,
                            length=r.length)
        if self.wanted and not self.wanted(m):
            return
        self.broken |= m.fault is not None
        self._write(r)
        if self.prints:
            self._message(m)

    def _write(self, r: Record) -> None:
        if self.file:
            self.file.write(pcapng.packet(r))

    def _message(self, m: Message) -> None:
        if self.options.json:
            print(json.dumps(text.as_dict(m)))
            return
        line = text.line(m, self.start / 1e9)
        print(paint(line, RED) if m.is_error else line)
        if self.options.verbose:
            print(*text.lines(m), sep="\n")
        for complaint in text.complaints(m):
            print(paint(f"    ! {complaint}", RED))

    def _event(self, r: Record, decoder: Decoder) -> None:
        if r.kind == pcapng.CLOSED and not r.twin and r.sender == 0:
            decoder.closed(r.connection)
        if self.wanted:
            return
        self._write(r)
        word = "opened" if r.kind == pcapng.OPENED else "closed"
        if self.prints and self.options.json:
            print(json.dumps({"event": word, "time": r.time / 1e9, "connection": r.connection,
                              "socket": "twin" if r.twin else "main", "from": SIDES[r.sender]}))
        elif self.prints:
            line = f"{(r.time - self.start) / 1e9:.6f} {r.connection}{'t' if r.twin else ''} {SIDES[r.sender]} {word}"
            print(paint(line, DIM))


def output(name: str) -> int:
    """A descriptor to write pcapng to; - is standard output."""
    try:
        return os.dup(1) if name == "-" else os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}") from None


def output_file(options: argparse.Namespace) -> BinaryIO | None:
    """A file that begins as pcapng does, or None."""
    if not options.write:
        return None
    file = os.fdopen(output(options.write), "wb")
    file.write(pcapng.head(options.snaplen))
    file.flush()
    return file


def show_file(options: argparse.Namespace) -> int:
    with contextlib.ExitStack() as stack:
        try:
            file = sys.stdin.buffer if options.read == "-" else stack.enter_context(open(options.read, "rb"))
            out = output_file(options)
            if out:
                stack.enter_context(out)
            show = Show(options, out)
            silent = options.read == "-" or (show.prints and sys.stdout.isatty())
            tick = stack.enter_context(bar("trace", quiet=silent))
            size = 0 if options.read == "-" else os.path.getsize(options.read)
            for number, record in enumerate(read(file)):
                show.record(record)
                if number % TICK == 0 and size:
                    tick(f"reading {os.path.basename(options.read)}", file.tell() / size)
        except (OSError, ValueError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise CommandError(f"{options.read}: {getattr(error, 'strerror', None) or error}") from None
    return BROKEN if show.broken else DONE


def follow(fd: int, show: Show) -> NoReturn:
    """Shows what comes through a pipe, in a process of its own; ends when there is no more."""
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(10)
    reader, status = pcapng.Reader(), 0
    try:
        while data := os.read(fd, 1 << 16):
            for record in reader.feed(data):
                show.record(record)
            sys.stdout.flush()
            if show.file:
                show.file.flush()
    except (BrokenPipeError, OSError):
        status = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        if show.file:
            show.file.close()
    os._exit(status)


def fork_reader(options: argparse.Namespace) -> tuple[int, int]:
    """(end of the pipe to write to, process that shows what comes out)"""
    show = Show(options, output_file(options))
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(writing)
        follow(reading, show)
    os.close(reading)
    return writing, child


class Ending(Exception):
    """One of ENDS."""


ENDS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def begin() -> None:
    """Signals that end it in order. SIGHUP not under nohup."""
    for number in ENDS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def end(*_: object) -> NoReturn:
    raise Ending


def relay(options: argparse.Namespace, fd: int) -> int:
    """Until it is told to end. Returns how many messages could not be noted."""
    recorder = Recorder(fd, options.snaplen)
    try:
        try:
            link = Relay(options.listen, options.server, recorder)
        except OSError as error:
            raise CommandError(error.strerror) from None
        begin()
        try:
            with contextlib.suppress(Ending):
                link.serve(options.one_client)
        finally:
            for number in ENDS:
                signal.signal(number, signal.SIG_IGN)
            link.close()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        recorder.close()
    if recorder.failed and options.write and not options.print:
        raise CommandError(f"{options.write} cannot be written")
    return recorder.lost


def run(options: argparse.Namespace) -> int:
    if bool(options.read) == bool(options.listen or options.server) or bool(options.listen) != bool(options.server):
        options.usage("give LISTEN and SERVER, or --read FILE")
    if options.listen and os.path.realpath(options.listen) == os.path.realpath(options.server):
        options.usage("LISTEN is where the client connects, SERVER where the server is: two sockets")
    options.snaplen = max(64, min(options.snaplen, PIECE))
    if options.read:
        return show_file(options)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    shows = options.print or not options.write or bool(options.filter)
    fd, child = fork_reader(options) if shows else (output(options.write), None)
    try:
        lost = relay(options, fd)
    finally:
        if child:
            with contextlib.suppress(KeyboardInterrupt):
                os.waitpid(child, 0)
                child = None
            if child:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
    if lost:
        print(f"vfu trace: {lost} messages went by unseen: they came faster than they could be shown", file=sys.stderr)
    return 0
