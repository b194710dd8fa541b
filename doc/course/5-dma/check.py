# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Checks lesson 5.   ./run python3 ../doc/course/5-dma/check.py [FILE]"""

import contextlib
import errno
import os
import select
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from judge import REPLY, SECONDS, Wrong, example, header, main, name_of, number, protocol, receive, same, served  # noqa: E402

BASE = 0x8000_1000
ARM = protocol.IrqSetFlags.DATA_EVENTFD | protocol.IrqSetFlags.ACTION_TRIGGER
SIZE = 0x2000  # offset in it, and the address's lower bits, are two things
HAS = f"memory is {BASE:#x} + {SIZE:#x}"


class Zero(int):
    """A descriptor that is false, as 0 is."""

    def __bool__(self):
        return False


@contextlib.contextmanager
def counter(master=True):
    """The device, and a function that waits until one of its vectors has fired."""
    with served(example("counter")()) as device:
        fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2)]
        try:
            device.ask(protocol.SetIrqsRequest(flags=ARM, index=protocol.IrqIndex.MSIX, count=2), fds)
            if master:
                device.write(7, 4, 4, size=2)

            def fires(vector):
                if not select.select([fds[vector]], [], [], SECONDS)[0]:
                    raise Wrong("the device does not say that its DMA is done")
                os.eventfd_read(fds[vector])

            yield device, fires
        finally:
            for fd in fds:
                os.close(fd)


def masters(student):
    """exercise 1: enable_bus_master, and a real device has it"""
    with counter(master=False) as (device, _):
        for was in 2, 6:  # memory space is on already; then bus master, too
            device.write(7, 4, was, size=2)
            title = f"REGION_WRITE of the register that was 0x{was:04x} (read behind 16 bytes of payload; only bit 2 is to be set)"
            with student.calls("enable_bus_master") as talk:
                talk.forward(talk.expect(protocol.RegionReadRequest(region=7, offset=4, count=2)), device)
                talk.forward(talk.expect(protocol.RegionWriteRequest(region=7, offset=4, data=b"\6\0"), title=title), device)
            talk.result()
            same(f"the command register, which was {was}", device.read(7, 4, size=2), 6, "bit 2 on, the others as they were")


def announces(student):
    """exercise 2: announce, and a real device writes there"""
    memory = os.memfd_create("memory")
    try:
        os.ftruncate(memory, 4096)
        with counter() as (device, fires):
            for address, fds in (BASE, [Zero(memory)]), (2 * BASE, []):
                request = protocol.DmaMapRequest(address=address, size=4096, flags=3)
                with student.calls("announce", address, 4096, *fds) as talk:
                    title = f"DMA_MAP of memory with{'' if fds else 'out'} a file"
                    talk.forward(talk.expect(request, fds=len(fds), title=title), device)
                talk.result()
            device.write(0, 4, BASE + 8)
            fires(0)
            same("what a real device has written to the shared memory", os.pread(memory, 5, 8), b"hello")
    finally:
        os.close(memory)


@contextlib.contextmanager
def given(student, memory, request, id):
    """answer() gets this command; the Talk that is to hold its reply, and what the command is called."""
    data, command = request.build(), int(request.COMMAND)
    address, count = struct.unpack_from("=QQ", data)
    with student.calls("answer", memory, BASE) as talk:
        talk.run.beyond = "answer() does one command; yours reads another"
        talk.send(header(command, data, id=id, flags=0) + data)
        yield talk, f"{name_of(command)} of {number(count)} bytes at {address:#x}"
    talk.result()


def succeeds(student, memory, request, id=7):
    """Its reply."""
    at = request.address - BASE
    reply = protocol.DmaWriteReply(address=request.address, count=len(request.build()) - 16)
    if isinstance(request, protocol.DmaReadRequest):
        reply = protocol.DmaReadReply(address=request.address, data=bytes(memory[at : at + request.count]))
    with given(student, memory, request, id) as (talk, what):
        title = f"{name_of(int(request.COMMAND))} reply (to {what}; {HAS})"
        answer = talk.expect(reply, id=id, flags=REPLY, title=title)
    return answer


def answers(student):
    """exercise 3: answer, to a real device's commands and to others"""
    memory = bytearray(range(256)) * (SIZE // 256)
    with counter() as (device, fires):
        device.ask(protocol.DmaMapRequest(address=BASE, size=SIZE, flags=3))
        at = BASE + 16
        asked = protocol.DmaWriteRequest(address=at, data=b"hello"), protocol.DmaReadRequest(address=at, count=64)
        for vector, (register, request) in enumerate(zip((4, 0xC), asked)):
            device.write(0, register, at)
            message = receive(device.sock)
            same("what the device asks", message.payload, request.build())
            answer = succeeds(student, memory, request, message.id)
            device.sock.sendall(answer.head.pack() + answer.payload)
            same("the memory, once DMA_WRITE is answered", bytes(memory[15:22]), b"\x0fhello\x15")
            fires(vector)
        same("the register in which the device adds up what it has read", device.read(0, 0x10), sum(memory[16:80]))
    for address, data in (BASE, b"first"), (BASE + SIZE - 4, b"last"):
        succeeds(student, memory, protocol.DmaWriteRequest(address=address, data=data))
        same(f"the memory where {len(data)} bytes were written", bytes(memory[address - BASE :][: len(data)]), data)
    before = bytes(memory)
    requests = []
    for address in BASE + SIZE - 3, BASE - 4, BASE + SIZE, 0:
        requests += protocol.DmaWriteRequest(address=address, data=b"evil"), protocol.DmaReadRequest(address=address, count=4)
    for request in [*requests, protocol.DmaReadRequest(address=BASE, count=2**32 + 4)]:
        with given(student, memory, request, 8) as (talk, what):
            talk.expect_error(int(request.COMMAND), 8, errno.EFAULT, f"{what} is not wholly in memory, and {HAS}")
    same("the memory, after writes beside it", bytes(memory), before)


def withdraws(student):
    """exercise 4: withdraw, and a real device has it no more"""
    with counter() as (device, _):
        device.ask(protocol.DmaMapRequest(address=BASE, size=4096, flags=3))
        request = protocol.DmaUnmapRequest(address=BASE, size=4096)
        with student.calls("withdraw", BASE, 4096) as talk:
            talk.forward(talk.expect(request, why={"flags": "no flag is wanted"}), device)
        talk.result()
        device.ask(protocol.DmaMapRequest(address=BASE, size=4096, flags=3))  # refused if it were there still
    for field, odd in ("address", struct.pack("=IIQQ", 24, 0, 0, 4096)), ("size", struct.pack("=IIQQ", 24, 0, BASE, 0)):
        with student.calls("withdraw", BASE, 4096) as talk:
            talk.reply(talk.expect(request), odd)
        talk.raised(ConnectionError, f"a reply with another {field}")


EXERCISES = masters, announces, answers, withdraws

if __name__ == "__main__":
    sys.exit(main(__file__, EXERCISES))
