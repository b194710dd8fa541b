# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""An NVM Express controller, a disk in a file.   vfu serve nvme.py file=/tmp/disk.img --socket-path=/tmp/nvme.sock

Any driver for NVMe drives it, Linux's own too, and what a guest writes is in the file when the guest, or this program,
has ended. A file that is not there is made, of size= bytes (64 MiB). In a guest, which makes a file system on it:

    vfu guest nvme.py file=/tmp/disk.img --driver nvme --run guest/nvme.sh
    vfu guest nvme.py file=/tmp/disk.img --driver nvme --run guest/nvme.sh --share=off

A command's way: queues are rings in the driver's memory, their doorbells are registers here.

    submission queue  . . C C . .    the driver writes commands of 64 bytes, and to the doorbell where they end: ring();
                          |          each is done by a work(), of which there are several
         data  <----------+          its PRPs say where that is: memory()
    completion queue  . . . c . .    complete(): 16 bytes, with a bit that is another in each round; then an interrupt

Where memory is reached by messages, what needs an answer before it goes on costs a round trip: reading the command, a
list of PRPs if there is one, and the data of a write. Nothing else does: data and completion are written as one list,
in this order, and the interrupt comes behind it, as on a bus. drivers/nvme.py is a driver for it.
"""

import asyncio
import dataclasses
import fcntl
import os
import struct
from typing import Any

import vfu

BLOCK, PAGE = 512, 4096
LARGEST = PAGE << 8  # of what a command moves
QUEUES, ENTRIES = 5, 1024  # pairs of queues, with the administrator's, and how long they may be
AT_ONCE, EVENTS = 16, 4  # commands of a queue that are worked on at a time; requests for events that are kept

# Bits of the configuration and of the status
ENABLE, SHUT_DOWN, NOT_ZERO = 0x1, 0xC000, 0x3FF0  # page size, arbitration, command set: we have the first alone
READY, FATAL, SHUTTING_DOWN, IS_SHUT_DOWN = 0x1, 0x2, 0x4, 0x8

# A command's status: type << 8 | code. Its driver need not try again: it would be the same.
SUCCESS, INVALID_OPCODE, INVALID_FIELD, TRANSFER_ERROR, INVALID_NAMESPACE = 0x000, 0x001, 0x002, 0x004, 0x00B
SEQUENCE_ERROR, INVALID_PRP, OUT_OF_RANGE, WRITE_FAULT, READ_ERROR = 0x00C, 0x013, 0x080, 0x280, 0x281
INVALID_COMPLETIONS, INVALID_QUEUE, INVALID_SIZE, TOO_MANY_EVENTS, INVALID_VECTOR = 0x100, 0x101, 0x102, 0x105, 0x108
INVALID_LOG, QUEUE_IN_USE, NOT_SAVEABLE, NOT_CHANGEABLE, DO_NOT_RETRY = 0x109, 0x10C, 0x10D, 0x10E, 0x4000

# Features: value at first, and bits that can be set. Queues count from 0, and without the administrator's.
WRITE_CACHE, NUMBER_OF_QUEUES, SET_FEATURES = 0x06, 0x07, 0x09
FEATURES = {
    0x01: (7, 0xFFFF_FF07), 0x02: (0, 0xE0), 0x04: (343, 0x3F_FFFF), 0x05: (0, 0xFFFF),  # arbitration...
    WRITE_CACHE: (1, 1), NUMBER_OF_QUEUES: ((QUEUES - 2) * 0x1_0001, 0),
    0x08: (0, 0xFFFF), 0x09: (0x1_0000, 0xFFFF), 0x0A: (0, 1), 0x0B: (0, 0xFFFF_FFFF),  # interrupts, atomicity, events
}  # fmt: skip


class Refused(Exception):
    """A command that ends with a status, its argument."""


def require(good: bool, status: int) -> None:
    if not good:
        raise Refused(status)


@dataclasses.dataclass
class CompletionQueue:
    address: int
    size: int
    vector: int | None  # None: it does not interrupt
    head: int = 0  # the first that the driver has not taken
    tail: int = 0
    phase: int = 1
    changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    async def place(self) -> tuple[int, int]:
        """Address and phase of the next entry, which is the caller's, when there is room; 0: it was closed."""
        while self.size and (self.tail + 1) % self.size == self.head:
            self.changed.clear()
            await self.changed.wait()
        if not self.size:
            return 0, 0
        at, phase, self.tail = self.address + 16 * self.tail, self.phase, (self.tail + 1) % self.size
        self.phase ^= self.tail == 0
        return at, phase

    def close(self) -> None:
        self.size = 0
        self.changed.set()


@dataclasses.dataclass
class SubmissionQueue:
    id: int
    address: int
    size: int
    completions: CompletionQueue
    head: int = 0  # the first that nobody works on
    tail: int = 0
    workers: set[asyncio.Task[Any]] = dataclasses.field(default_factory=set)

    async def close(self) -> None:
        """Waits until no command is worked on, but that of the caller."""
        self.tail = self.head
        while others := self.workers - {asyncio.current_task()}:
            await asyncio.wait(others)


class Command:
    """What a driver wants, and the answer: a number, and data for pieces of memory, room behind it for an entry."""

    def __init__(self, queue: SubmissionQueue, raw: bytes) -> None:
        self.queue, self.result, self.data = queue, 0, bytearray(16)
        self.pieces: list[tuple[int, int]] = []
        fields = struct.unpack("<BBHI16xQQ6I", raw)
        self.opcode, self.flags, self.id, self.namespace, self.prp1, self.prp2, *self.words = fields

    def word(self, number: int, low: int = 0, bits: int = 32) -> int:
        """Bits of one of the words 10 to 15."""
        return int(self.words[number - 10]) >> low & (1 << bits) - 1


class Nvme(vfu.Device):
    vendor_id, device_id, class_code = 0x1234, 0x0007, 0x010802
    capabilities = (vfu.pci.PowerManagement(), vfu.pci.Express(flr=True))
    bar0 = vfu.Bar(size=0x2000, is64=True, widths=(4, 8))
    irqs = vfu.Irqs(msix=QUEUES)
    event_loop = True

    # Capabilities: entries, in one piece, 10 s to get ready, the NVM command set.
    abilities = bar0.reg64(0x00, reset=ENTRIES - 1 | 1 << 16 | 20 << 24 | 1 << 37, readonly=True)
    version = bar0.reg32(0x08, reset=0x0001_0200, readonly=True)
    configuration = bar0.reg32(0x14)
    status = bar0.reg32(0x1C, readonly=True)
    admin_sizes = bar0.reg32(0x24, writable=0x0FFF_0FFF)
    admin_submission = bar0.reg64(0x28, writable=(1 << 64) - PAGE)
    admin_completion = bar0.reg64(0x30, writable=(1 << 64) - PAGE)

    def __init__(self, file: str, size: int = 64 << 20) -> None:
        super().__init__()
        self.disk = open(os.open(file, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        fcntl.flock(self.disk, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a disk is in one machine
        self.blocks = (self.disk.seek(0, os.SEEK_END) or self.disk.truncate(size)) // BLOCK
        self.serial = b"%x" % os.fstat(self.disk.fileno()).st_ino
        self.reset()

    def on_close(self) -> None:
        self.disk.close()

    def reset(self) -> None:
        self.submissions: dict[int, SubmissionQueue] = {}
        self.completions: dict[int, CompletionQueue] = {}
        self.features = {number: value for number, (value, _) in FEATURES.items()}
        self.events: list[Command] = []  # requests for them
        self.status = 0

    on_disconnect = reset  # the machine was turned off

    @configuration.on_write
    def configure(self, value: int) -> None:
        was, self.configuration = self.configuration, value
        if value & ~was & ENABLE:
            self.enable()
        if was & ~value & ENABLE:
            self.spawn(self.disable(), at_reset="cancel")
        if value & ~was & SHUT_DOWN:
            self.status = self.status & ~IS_SHUT_DOWN | SHUTTING_DOWN
            self.spawn(self.shut_down(), at_reset="cancel")

    def enable(self) -> None:
        sizes = [(self.admin_sizes >> shift & 0xFFF) + 1 for shift in (0, 16)]
        if self.status & READY or self.configuration & NOT_ZERO or not 2 <= min(sizes) <= max(sizes) <= ENTRIES:
            self.status |= FATAL
            return
        self.completions[0] = CompletionQueue(self.admin_completion, sizes[1], 0)
        self.submissions[0] = SubmissionQueue(0, self.admin_submission, sizes[0], self.completions[0])
        self.status |= READY

    async def disable(self) -> None:
        """When it is no longer ready the memory is the driver's alone, so nothing may be under way."""
        for completions in self.completions.values():
            completions.close()
        for queue in list(self.submissions.values()):
            await queue.close()
        self.reset()

    async def shut_down(self) -> None:
        await self.sync()
        if self.status & SHUTTING_DOWN:
            self.status ^= SHUTTING_DOWN | IS_SHUT_DOWN

    @bar0.reg32(0x1000, count=QUEUES, stride=8).on_write
    def ring(self, index: int, tail: int) -> None:
        queue = self.submissions.get(index)
        if queue and tail < queue.size and self.configuration & ENABLE:
            queue.tail = tail
            for _ in range(min((tail - queue.head) % queue.size, AT_ONCE - len(queue.workers))):
                worker = self.spawn(self.work(queue), at_reset="cancel")
                queue.workers.add(worker)
                worker.add_done_callback(queue.workers.discard)

    @bar0.reg32(0x1004, count=QUEUES, stride=8).on_write
    def take(self, index: int, head: int) -> None:
        queue = self.completions.get(index)
        if queue and head < queue.size:
            queue.head = head
            queue.changed.set()

    async def work(self, queue: SubmissionQueue) -> None:
        while queue.head != queue.tail:
            at, queue.head = queue.address + 64 * queue.head, (queue.head + 1) % queue.size
            try:  # all is copied in its order: before what tells the driver that the head went on
                command = Command(queue, await self.dma.read(at, 64))
            except vfu.Error:
                self.status |= FATAL  # there is no command that could be told of it
                return
            status = await self.execute(command)
            if command not in self.events:
                await self.complete(command, status)

    async def execute(self, command: Command) -> int:
        commands = IO_COMMANDS if command.queue.id else ADMIN_COMMANDS
        try:
            require(command.opcode in commands, INVALID_OPCODE)
            require(not command.flags & 0xC3, INVALID_FIELD)  # half of a fused one, or with another kind of lists
            await commands[command.opcode](self, command)
        except Refused as refused:
            return int(refused.args[0]) | DO_NOT_RETRY
        except vfu.Error:
            return TRANSFER_ERROR | DO_NOT_RETRY
        except OSError:  # of the file
            return READ_ERROR if command.opcode == 0x02 else WRITE_FAULT
        return SUCCESS

    async def complete(self, command: Command, status: int) -> None:
        queue, completions = command.queue, command.queue.completions
        address, phase = await completions.place()
        if not address:
            return
        entry = [(address, 8), (address + 8, 8)]  # 8 bytes are one access: the phase is in the last to be written
        pieces = [] if status else command.pieces
        for said in status, TRANSFER_ERROR | DO_NOT_RETRY:
            numbers = command.result, queue.head, queue.id, command.id, said << 1 | phase
            command.data[-16:] = struct.pack("<I4xHHHH", *numbers)
            try:
                await self.dma.write_list([*pieces, *entry], command.data if pieces else command.data[-16:])
                break
            except vfu.Error:  # and nothing is written, if one of the pieces cannot be
                pieces = []
        else:
            self.status |= FATAL
        if completions.vector is not None:
            self.irqs.msix[completions.vector].trigger()

    async def memory(self, command: Command, size: int) -> list[tuple[int, int]]:
        """Pieces of memory, as few as there can be: the first PRP begins anywhere, all others are whole pages."""
        first = min(size, PAGE - command.prp1 % PAGE)
        count = (size - first + PAGE - 1) // PAGE
        pages = [command.prp2][:count] if count < 2 else await self.listed_pages(command.prp2, count)
        require(command.prp1 % 4 == 0 and not any(page % PAGE for page in pages), INVALID_PRP)
        pieces = [(command.prp1, first)]
        for number, page in enumerate(pages):
            (start, length), more = pieces[-1], min(PAGE, size - first - PAGE * number)
            if start + length == page:
                pieces[-1] = start, length + more
            else:
                pieces.append((page, more))
        return pieces

    async def listed_pages(self, at: int, count: int, unit: int = 8) -> list[int]:
        """A list goes to the end of its page, where it says in which page it goes on if it does."""
        require(at % unit == 0, INVALID_PRP)
        here = min(count, (PAGE - at % PAGE) // 8)
        pages = list(struct.unpack(f"<{here}Q", await self.dma.read(at, 8 * here)))
        return pages if here == count else pages[:-1] + await self.listed_pages(pages[-1], count - here + 1, PAGE)

    async def answer(self, command: Command, size: int, fields: Any = ()) -> None:
        """Data of a size, zeros but for fields: offset, format, values."""
        command.pieces = await self.memory(command, size)
        command.data = bytearray(max(size, PAGE) + 16)
        for at, form, *values in fields:
            struct.pack_into("<" + form, command.data, at, *values)
        del command.data[size:-16]

    # ---- commands for the disk ----

    def span(self, command: Command) -> tuple[int, int]:
        """Offset and size, in bytes."""
        first, count = command.word(10) | command.word(11) << 32, command.word(12, 0, 16) + 1
        require(command.namespace == 1, INVALID_NAMESPACE)
        require(count * BLOCK <= LARGEST, INVALID_FIELD)
        require(first + count <= self.blocks, OUT_OF_RANGE)
        return first * BLOCK, count * BLOCK

    async def read(self, command: Command) -> None:
        offset, size = self.span(command)
        await self.answer(command, size)
        require(os.preadv(self.disk.fileno(), [memoryview(command.data)[:size]], offset) == size, READ_ERROR)

    async def write(self, command: Command) -> None:
        offset, size = self.span(command)
        data = await self.dma.read_list(await self.memory(command, size))
        require(os.pwrite(self.disk.fileno(), data, offset) == size, WRITE_FAULT)
        if command.word(12, 30, 1) or not self.features[WRITE_CACHE]:
            await self.sync()

    async def flush(self, command: Command) -> None:
        require(command.namespace in (1, 0xFFFF_FFFF), INVALID_NAMESPACE)
        await self.sync()

    async def sync(self) -> None:
        await asyncio.to_thread(os.fdatasync, self.disk.fileno())  # meanwhile the machine goes on

    # ---- the administrator's commands ----

    async def create_completion_queue(self, command: Command) -> None:
        number, size = self.new_queue(command, self.completions)
        interrupts, vector = command.word(11, 1, 1), command.word(11, 16, 16)
        require(vector < QUEUES or not interrupts, INVALID_VECTOR)
        self.completions[number] = CompletionQueue(command.prp1, size, vector if interrupts else None)

    async def create_submission_queue(self, command: Command) -> None:
        number, size = self.new_queue(command, self.submissions)
        completions = command.word(11, 16, 16)
        require(completions > 0, INVALID_QUEUE)
        require(completions in self.completions, INVALID_COMPLETIONS)
        self.submissions[number] = SubmissionQueue(number, command.prp1, size, self.completions[completions])

    def new_queue(self, command: Command, queues: dict[int, Any]) -> tuple[int, int]:
        number, size = command.word(10, 0, 16), command.word(10, 16, 16) + 1
        require(0 < number < QUEUES and number not in queues, INVALID_QUEUE)
        require(1 < size <= ENTRIES and self.configuration >> 16 & 0xFF == 0x46, INVALID_SIZE)  # entries of 2^4, 2^6
        require(command.word(11, 0, 1) == 1, INVALID_FIELD)  # in one piece
        require(command.prp1 % PAGE == 0, INVALID_PRP)
        return number, size

    async def delete_submission_queue(self, command: Command) -> None:
        await self.old_queue(command, self.submissions).close()

    async def delete_completion_queue(self, command: Command) -> None:
        users = [id(queue.completions) for queue in self.submissions.values() if queue.id]
        require(id(self.completions.get(command.word(10, 0, 16))) not in users, QUEUE_IN_USE)
        self.old_queue(command, self.completions).close()

    def old_queue(self, command: Command, queues: dict[int, Any]) -> Any:
        number = command.word(10, 0, 16)
        require(number in queues and number > 0, INVALID_QUEUE)
        return queues.pop(number)

    async def identify(self, command: Command) -> None:
        what, namespace = command.word(10, 0, 8), command.namespace
        fields = {
            0: [(0, "QQQ", self.blocks, self.blocks, self.blocks), (128, "HBB", 0, 9, 0)],  # of 2^9 bytes
            1: [
                (0, "HH20s40s8s", self.vendor_id, 0, self.serial.ljust(20), b"vfu NVMe".ljust(40), b"1       "),
                (77, "BHI", 8, 0, self.version),  # a command moves 2^8 pages; controller 0
                (259, "BB", EVENTS - 1, 0x03),  # one firmware, for good
                (266, "HH", 343, 353),  # kelvins to warn of
                (512, "BBHI", 0x66, 0x44, 0, 1),  # entries of 2^6 and 2^4 bytes, one namespace
                (525, "B", 0x01),  # there is a write cache
            ],
            2: [(0, "I", 1)] if namespace == 0 else [],  # those above namespace
        }
        require(what in fields, INVALID_FIELD)
        require({0: namespace == 1, 1: True, 2: namespace < 0xFFFF_FFFE}[what], INVALID_NAMESPACE)
        await self.answer(command, PAGE, fields[what])

    async def get_log_page(self, command: Command) -> None:
        number, size = command.word(10, 0, 8), 4 * command.word(10, 16, 12) + 4
        logs = {1: (), 2: [(1, "HBB", 300, 100, 10)], 3: [(0, "B7x8s", 1, b"1       ")]}  # errors, health, firmware
        require(number in logs, INVALID_LOG)
        await self.answer(command, size, logs[number])

    async def features_command(self, command: Command) -> None:
        number, value = command.word(10, 0, 8), command.word(11)
        require(number in FEATURES, INVALID_FIELD)
        if command.opcode == SET_FEATURES:
            require(not command.word(10, 31, 1), NOT_SAVEABLE)
            if number == NUMBER_OF_QUEUES:  # whatever is asked for: there are as many as there are
                require(0xFFFF not in (value & 0xFFFF, value >> 16), INVALID_FIELD)
                require(len(self.completions) == 1, SEQUENCE_ERROR)
            else:
                require(not (value ^ self.features[number]) & ~FEATURES[number][1], NOT_CHANGEABLE)
                self.features[number] = value
        command.result = self.features[number]

    async def abort(self, command: Command) -> None:
        command.result = 1  # it was not: all ends soon by itself, but for requests for events

    async def request_event(self, command: Command) -> None:
        require(len(self.events) < EVENTS, TOO_MANY_EVENTS)
        self.events.append(command)  # it is kept, for there are none


ADMIN_COMMANDS = {
    0x00: Nvme.delete_submission_queue, 0x01: Nvme.create_submission_queue, 0x02: Nvme.get_log_page,
    0x04: Nvme.delete_completion_queue, 0x05: Nvme.create_completion_queue, 0x06: Nvme.identify, 0x08: Nvme.abort,
    SET_FEATURES: Nvme.features_command, 0x0A: Nvme.features_command, 0x0C: Nvme.request_event,
}  # fmt: skip
IO_COMMANDS = {0x00: Nvme.flush, 0x01: Nvme.write, 0x02: Nvme.read}
