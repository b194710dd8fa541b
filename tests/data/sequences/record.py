#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Records what the pictures of orders of messages are drawn from, where no other recording has it.

    ./run python3 ../tests/data/sequences/record.py DIRECTORY    all, into that one

    client --> Relay of vfu trace --> Server        messages, with the times at which they went on
       +-------- notes -----------------+           what goes by no socket: memory that is written, an eventfd
                   |
                   v
               NAME.jsonl                           as tests/data/captures/README.md says, and "ev": "memory", "eventfd"

The same messages come each time, in the same order: the device waits at its gate where it is not the messages that settle
what comes first. Messages are in the byte order of the host. What is drawn is little-endian: on other machines it is recorded, but
not written down.
"""

import asyncio
import io
import json
import os
import pathlib
import socket
import sys
import tempfile
import threading
import time

import vfu
from vfu import protocol
from vfu.trace import Recorder, Relay, pcapng, read

KEPT = 256  # bytes of a payload
HEADER = protocol.Header.SIZE
REPLY = int(protocol.HeaderType.REPLY)


class Device(vfu.Device):
    """Writes five bytes into memory and tells by an interrupt; or reads 64, or a word while a register is read."""

    vendor_id, device_id = 0x1234, 0x0001
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msix=1)
    where = bar0.reg64(0x10)
    word = bar0.reg32(0x20)

    def __init__(self, note):
        super().__init__()
        self.note, self.gate = note, threading.Event()

    @bar0.reg32(0x04).on_write
    async def tell(self, address):
        while not self.gate.is_set():
            await asyncio.sleep(0.001)
        await self.dma.write(address, b"hello")
        self.note("memory", "the device writes")
        self.irqs.msix[0].trigger()

    @bar0.reg32(0x0C).on_write
    async def sum(self, address):
        await self.dma.read(address, 64)

    @word.on_read
    def word_of_memory(self):
        return int.from_bytes(self.dma.read_sync(self.where, 4), "little")


# ---- what is done ----


def interrupt(path, device, note):
    with vfu.Client(path) as dev:
        memory = dev.dma.alloc(0x1000, iova=0x8000_0000)
        dev.irqs.msix.enable()
        dev.regions.bar0.write32(4, memory.iova)
        device.gate.set()
        dev.irqs.msix[0].wait(timeout=60)
        note("eventfd", "the eventfd of msix 0")


def twin(path, device, note):
    with vfu.Client(path, options={"twin_socket": 1}) as dev:
        memory = dev.dma.alloc(0x1000, iova=0x8000_0000, shared=False)
        memory[:4] = b"abcd"
        dev.regions.bar0.write64(0x10, memory.iova)
        dev.regions.bar0.read32(0x20)


def unmap(path, device, note):
    """A client of bytes, which answers the device when it likes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)

        def receive():
            head = protocol.Header.unpack(sock.recv(HEADER, socket.MSG_WAITALL))
            return head.id, sock.recv(head.size - HEADER, socket.MSG_WAITALL)

        def send(number, part, flags=0):
            payload = part.build()
            sock.sendall(protocol.Header(number, part.COMMAND, HEADER + len(payload), flags).pack() + payload)

        memory = {"address": 0x8000_0000, "size": 0x1000}
        for number, request in enumerate((
            protocol.VersionRequest(data=protocol.Capabilities()),
            protocol.DmaMapRequest(flags=protocol.DmaMapFlags.READABLE | protocol.DmaMapFlags.WRITEABLE, **memory),
            protocol.RegionWriteRequest(region=protocol.RegionIndex.CONFIG, offset=4, data=b"\4\0"),  # bus master
            protocol.RegionWriteRequest(region=0, offset=0x0C, data=memory["address"].to_bytes(4, "little")),
        ), 1):
            send(number, request)
            receive()
        number, asked = receive()
        send(5, protocol.DmaUnmapRequest(**memory))
        receive()
        asked = protocol.DmaReadRequest.unpack(asked)
        send(number, protocol.DmaReadReply(address=asked.address, data=bytes(asked.count)), REPLY)


WORK = {work.__name__: work for work in (interrupt, twin, unmap)}


# ---- how it is recorded ----


class Notes(list):
    """(time in nanoseconds, what a line says) of what goes by no socket."""

    def __call__(self, event, what):
        self.append((time.time_ns(), {"ev": event, "what": what}))


def lines_of(records, notes):
    """What there is of one connection, in the order of time."""
    found = list(notes)
    for r in records:
        if r.kind != pcapng.MESSAGE:
            continue
        head = protocol.Header.unpack(r.data)
        kind = head.flags & protocol.HeaderFlags.TYPE_MASK
        line = {"dir": "s2c" if r.sender else "c2s", "id": head.id, "cmd": head.command, "name": head.command.name, "size": head.size,
                "flags": head.flags, "type": "reply" if kind == REPLY else "cmd", "error": head.error, "nfds": r.nfds}
        if r.twin:
            line["twin"] = True
        found.append((r.time, line | {"payload": r.data[HEADER : HEADER + KEPT].hex()}))
    found.sort(key=lambda entry: entry[0])
    return [line | {"t_us": (at - found[0][0]) // 1000} for at, line in found]


def record(name):
    """The lines of a recording, made now."""
    note = Notes()
    with tempfile.TemporaryDirectory(prefix="vfu-record.") as place:
        path, file = f"{place}/client", pathlib.Path(place, "trace")
        device = Device(note)
        with vfu.Server(device, f"{place}/server").start():
            recorder = Recorder(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC), 1 << 16)
            relay = Relay(path, f"{place}/server", recorder)
            thread = threading.Thread(target=relay.serve, args=(True,), daemon=True)
            thread.start()
            try:
                WORK[name](path, device, note)
                thread.join(60)  # it ends with the client
            finally:
                relay.close()
                thread.join()
                recorder.close()
        return lines_of(read(io.BytesIO(file.read_bytes())), note)


def shape(lines):
    """What is the same each time."""
    return [tuple(line.get(k) for k in ("ev", "dir", "cmd", "type", "flags", "error", "nfds", "twin")) for line in lines]


if __name__ == "__main__":
    if sys.byteorder != "little":
        sys.exit("record.py: recordings that are kept are little-endian, and this machine is not")
    for name in WORK:
        target = pathlib.Path(sys.argv[1], name + ".jsonl")
        target.write_text("".join(json.dumps(line) + "\n" for line in record(name)))
