# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The NVMe controller and its driver. A Linux guest uses the controller in check-qemu."""

import contextlib
import hashlib
import importlib.util
import os
import random
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vfu
import vfu.testing

EXAMPLES = Path(__file__).resolve().parents[2] / "python" / "examples"


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


nvme, driver = load("nvme.py", "nvme"), load("drivers/nvme.py", "nvme_driver")
PAGE, DATA = driver.PAGE, driver.DATA
DATA_OF_BLOCKS = [hashlib.sha512(bytes([i])).digest() * 8 for i in range(251)]
BLOCKS = 16384  # of the disk


@pytest.fixture
def path(tmp_path):
    return tmp_path / "disk"


@pytest.fixture
def device(path):
    return nvme.Nvme(str(path), size=BLOCKS * 512)


@contextlib.contextmanager
def plugged(device, shared=True):
    """A driver that has set up its disk, in this process; .dev is its client."""
    with vfu.testing.plug(device) as dev:
        disk = driver.NvmeDriver(dev, shared=shared)
        disk.dev = dev
        yield disk
        vars(disk).clear()  # pytest keeps the object


@pytest.fixture(params=[True, False], ids=["mapped", "messages"])
def disk(request, device):
    with plugged(device, request.param) as disk:
        yield disk


@pytest.fixture
def mapped(device):
    with plugged(device) as disk:
        yield disk


def blocks(first, count):
    return b"".join(DATA_OF_BLOCKS[i % 251] for i in range(first, first + count))


def refused(disk, queue, opcode, *words, **memory):
    """The status that a command ends with."""
    try:
        disk.run(queue, opcode, *words, **memory)
    except driver.Failed as failed:
        return failed.args[0]
    return 0


def raw(disk, queue, opcode, prp1, prp2, *words, namespace=1, flags=0):
    """The status of a command with PRPs of its own."""
    command = struct.pack("<BBHI16xQQ6I", opcode, flags, queue.tail, namespace, prp1, prp2, *words, *[0] * (6 - len(words)))
    disk.memory[queue.commands + 64 * queue.tail : queue.commands + 64 * queue.tail + 64] = command
    queue.tail = (queue.tail + 1) % driver.ENTRIES
    disk.bar.write32(0x1000 + 8 * queue.number, queue.tail)
    try:
        disk.complete(queue)
    except driver.Failed as failed:
        return failed.args[0]
    return 0


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.001)


def status(disk):
    return disk.bar.read32(driver.STATUS)


# ---- what it is for ----


@pytest.mark.parametrize("first, count", [(0, 1), (3, 8), (100, 9), (5, 16), (7, 17), (1000, 64), (BLOCKS - 2048, 2048)])
def test_what_was_written_is_read(disk, path, first, count):
    disk.write(first, blocks(first, count))
    disk.memory[DATA:] = bytes(driver.DATA_SIZE)
    assert disk.read(first, count) == blocks(first, count)
    assert path.read_bytes()[512 * first : 512 * (first + count)] == blocks(first, count)
    assert disk.read((first + count) % BLOCKS, 1) == bytes(512)
    disk.flush()


def test_an_interrupt_for_each_completion(mapped):
    for i in range(200):  # three rounds of the queue, and its phase
        mapped.write(i, blocks(i, 1))
    for i in range(200):
        assert mapped.read(i, 1) == blocks(i, 1)
    mapped.io.interrupts += mapped.irqs[1].wait(timeout=0)
    assert mapped.io.interrupts == 400


def test_many_at_once(disk):
    """Their ends come in any order. Each reads to a page of its own."""
    disk.write(0, blocks(0, 2048))
    wanted = set()
    for turn in range(5):
        started = {disk.submit(disk.io, driver.READ, 8 * i, 0, 7, namespace=1, at=DATA + PAGE * i, size=PAGE): i for i in range(60)}
        assert {disk.complete(disk.io)[0] for _ in started} == set(started)
        wanted |= set(started)
        assert disk.memory[DATA : DATA + 60 * PAGE] == blocks(0, 480)
        disk.memory[DATA:] = bytes(driver.DATA_SIZE)
    assert wanted == set(range(driver.ENTRIES))


def test_what_waits_for_an_answer(device, monkeypatch):
    """By messages each copy is a round trip: the command, a list of pages, data to be written; the rest goes together."""
    copies = []
    copy = type(device.dma)._copy

    async def counted(self, start, iova, data):
        copies.append(start)
        return await copy(self, start, iova, data)

    monkeypatch.setattr(type(device.dma), "_copy", counted)
    with plugged(device, shared=False) as disk:
        for call, wanted in [
            (lambda: disk.read(0, 8), 2), (lambda: disk.read(0, 2048), 3),
            (lambda: disk.write(0, blocks(0, 8)), 3), (lambda: disk.write(0, blocks(0, 2048)), 4), (disk.flush, 2),
        ]:  # fmt: skip
            copies.clear()
            call()
            assert len(copies) == wanted


def test_identify(mapped):
    controller = mapped.identify(1)
    assert struct.unpack_from("<HH", controller) == (0x1234, 0)
    assert controller[24:64].decode().rstrip() == "vfu NVMe" and controller[77] == 8
    assert controller[512:520] == b"\x66\x44\0\0\1\0\0\0"
    namespace = mapped.identify(0, namespace=1)
    assert struct.unpack_from("<QQQ", namespace) == (BLOCKS,) * 3 and namespace[128:132] == b"\0\0\x09\0"
    assert mapped.blocks == BLOCKS
    assert mapped.identify(2)[:8] == struct.pack("<II", 1, 0)
    assert mapped.identify(2, namespace=1)[:8] == bytes(8)


def test_log_pages_and_features(mapped):
    def log(number, size):
        mapped.memory[DATA : DATA + PAGE] = b"x" * PAGE
        mapped.run(mapped.admin, 0x02, number | size // 4 - 1 << 16, at=DATA, size=size)
        assert mapped.memory[DATA + size] == ord("x")
        return bytes(mapped.memory[DATA : DATA + size])

    assert log(1, 64) == bytes(64)
    assert log(2, 512)[:6] == b"\0\x2c\x01\x64\x0a\0"
    assert log(3, 512)[:16] == b"\1" + bytes(7) + b"1       "
    assert log(3, 4) == b"\1\0\0\0"
    assert mapped.run(mapped.admin, 0x0A, 0x07) == 0x0003_0003
    assert mapped.run(mapped.admin, 0x09, 0x06, 0) == 0  # no write cache: the same, only slower
    mapped.write(0, blocks(0, 1))
    assert mapped.read(0, 1) == blocks(0, 1)
    assert mapped.run(mapped.admin, 0x09, 0x04, 350) == mapped.run(mapped.admin, 0x0A, 0x04) == 350


def test_of_lists_of_pages(disk):
    """The first PRP begins inside a page; a list begins inside a page and goes on in another one."""
    disk.write(0, blocks(0, 2048))
    base = disk.memory.iova + DATA
    for offset, count in (0, 8), (512, 8), (512, 15), (512, 16), (2048, 64):
        pages = [base + PAGE * i for i in range(1, 20)][::-1]  # none is behind the one before it
        here, there = disk.memory.iova + driver.LIST + PAGE - 24, base + 200 * PAGE
        struct.pack_into("<QQQ", disk.memory, driver.LIST + PAGE - 24, pages[0], pages[1], there)
        struct.pack_into(f"<{len(pages) - 2}Q", disk.memory, DATA + 200 * PAGE, *pages[2:])
        first = 30 * PAGE + offset
        second = here if offset + 512 * count > 3 * PAGE else pages[0]
        if 2 * PAGE < offset + 512 * count <= 3 * PAGE:
            second = disk.memory.iova + driver.LIST + PAGE - 16
            struct.pack_into("<QQ", disk.memory, driver.LIST + PAGE - 16, pages[0], pages[1])
        assert raw(disk, disk.io, driver.READ, base + first, second, 5, 0, count - 1) == 0
        got = bytes(disk.memory[DATA + first : DATA + 31 * PAGE])
        for page in pages:
            got += disk.memory[page - disk.memory.iova : page - disk.memory.iova + PAGE]
        assert got[: 512 * count] == blocks(5, count), (offset, count)


def test_by_a_served_device(serve, device, path):
    command = [sys.executable, EXAMPLES / "drivers" / "nvme.py", serve(device)]
    for more in [], ["--messages"]:
        said = subprocess.run([*command, *more], stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
        assert said == "vfu NVMe of 8 MiB\n4 of 4 MiB read as they were written\n"
    assert path.read_bytes()[1 << 20 : 2 << 20] == hashlib.sha256(b"\1").digest() * (1 << 15)


# ---- being turned on and off ----


def test_reset_by_the_driver(disk):
    disk.write(9, blocks(9, 9))
    disk.reset()
    assert disk.read(9, 9) == blocks(9, 9)
    disk.shut_down()
    assert status(disk) == 0x9
    disk.reset()
    assert status(disk) == 0x1 and disk.read(9, 9) == blocks(9, 9)


def test_reset_of_the_device(disk):
    disk.write(9, blocks(9, 9))
    disk.submit(disk.io, driver.READ, 0, 0, 2047, namespace=1, size=1 << 20)
    disk.dev.reset()
    assert (status(disk), disk.bar.read32(driver.CONFIGURATION), disk.bar.read32(driver.ADMIN_SIZES)) == (0, 0, 0)
    disk.reset()
    assert disk.read(9, 9) == blocks(9, 9)


def test_turned_off_in_the_middle(disk):
    """When it is not ready any more the memory is the driver's: nothing of it changes."""
    disk.write(0, blocks(0, 2048))
    for _ in range(10):
        for i in range(20):
            disk.submit(disk.io, driver.READ, 0, 0, 2047, namespace=1, size=1 << 20)
        disk.bar.write32(driver.CONFIGURATION, 0)
        until(lambda: not status(disk) & 1)
        disk.memory[:] = bytes(len(disk.memory))
        disk.bar.read32(driver.STATUS)
        assert disk.memory[:] == bytes(len(disk.memory))
        for at in range(0, driver.DATA_SIZE, PAGE):
            struct.pack_into("<Q", disk.memory, driver.LIST + at // PAGE * 8, disk.memory.iova + DATA + at)
        disk.reset()
    assert disk.read(9, 9) == blocks(9, 9)


def test_another_client_finds_the_disk_off(serve, device):
    where = serve(device)
    for turn in range(3):
        with vfu.Client(where) as dev:
            assert dev.regions.bar0.read32(driver.STATUS) == 0
            disk = driver.NvmeDriver(dev)
            assert disk.read(0, 8) == (blocks(turn - 1, 8) if turn else bytes(PAGE))
            disk.write(0, blocks(turn, 8))
            disk.submit(disk.io, driver.READ, 0, 0, 7, namespace=1, size=PAGE)


def test_one_disk_is_in_one_machine(path, device):
    with pytest.raises(BlockingIOError):
        nvme.Nvme(str(path))
    device.on_close()


def test_a_file_keeps_its_size(path):
    path.write_bytes(blocks(0, 3) + b"and less than a block")
    with vfu.testing.plug(nvme.Nvme(str(path))) as dev:
        disk = driver.NvmeDriver(dev)
        assert disk.blocks == 3 and disk.read(0, 3) == blocks(0, 3)
        assert refused(disk, disk.io, driver.READ, 3, 0, 0, namespace=1, size=512) == 0x080
    assert path.stat().st_size == 3 * 512 + 21


# ---- what it refuses ----

READ, WRITE = driver.READ, driver.WRITE
ADMIN, IO = "admin", "io"


@pytest.mark.parametrize("queue, opcode, words, namespace, wanted", [
    (IO, 0x7F, (), 1, 0x001), (ADMIN, 0x7F, (), 0, 0x001), (ADMIN, 0x03, (), 0, 0x001),
    (IO, READ, (BLOCKS, 0, 0), 1, 0x080), (IO, READ, (BLOCKS - 1, 0, 1), 1, 0x080), (IO, WRITE, (0, 1, 0), 1, 0x080),
    (IO, WRITE, (0xFFFFFFFF, 0xFFFFFFFF, 0), 1, 0x080), (IO, READ, (0, 0, 2048), 1, 0x002), (IO, READ, (0, 0, 0xFFFF), 1, 0x002),
    (IO, READ, (0, 0, 0), 0, 0x00B), (IO, WRITE, (0, 0, 0), 2, 0x00B), (IO, READ, (0, 0, 0), 0xFFFFFFFF, 0x00B),
    (IO, 0x00, (), 2, 0x00B), (IO, 0x00, (), 0xFFFFFFFF, 0),
    (ADMIN, 0x06, (0,), 0, 0x00B), (ADMIN, 0x06, (0,), 2, 0x00B), (ADMIN, 0x06, (2,), 0xFFFFFFFE, 0x00B),
    (ADMIN, 0x06, (0xFF,), 1, 0x002), (ADMIN, 0x06, (0x10,), 1, 0x002),
    (ADMIN, 0x02, (0x00,), 0, 0x109), (ADMIN, 0x02, (0xC0,), 0, 0x109),
    (ADMIN, 0x0A, (0x00,), 0, 0x002), (ADMIN, 0x09, (0x7F,), 0, 0x002), (ADMIN, 0x09, (0x80000004, 1), 0, 0x10D),
    (ADMIN, 0x09, (0x06, 2), 0, 0x10E), (ADMIN, 0x09, (0x02, 1), 0, 0x10E), (ADMIN, 0x09, (0x07, 0), 0, 0x00C),
    (ADMIN, 0x09, (0x07, 0xFFFF), 0, 0x002),
    # Queues: number | size - 1 << 16, then in one piece and interrupts, and the vector or the other queue.
    (ADMIN, 0x05, (0 | 7 << 16, 1), 0, 0x101), (ADMIN, 0x05, (1 | 7 << 16, 1), 0, 0x101), (ADMIN, 0x05, (5 | 7 << 16, 1), 0, 0x101),
    (ADMIN, 0x05, (2 | 0 << 16, 1), 0, 0x102), (ADMIN, 0x05, (2 | 1024 << 16, 1), 0, 0x102), (ADMIN, 0x05, (0xFFFF0002, 1), 0, 0x102),
    (ADMIN, 0x05, (2 | 7 << 16, 0), 0, 0x002), (ADMIN, 0x05, (2 | 7 << 16, 5 << 16 | 3), 0, 0x108),
    (ADMIN, 0x05, (2 | 7 << 16, 0xFFFF0003), 0, 0x108), (ADMIN, 0x05, (2 | 7 << 16, 5 << 16 | 1), 0, 0),
    (ADMIN, 0x01, (0 | 7 << 16, 1 << 16 | 1), 0, 0x101), (ADMIN, 0x01, (1 | 7 << 16, 1 << 16 | 1), 0, 0x101),
    (ADMIN, 0x01, (2 | 7 << 16, 0 << 16 | 1), 0, 0x101), (ADMIN, 0x01, (2 | 7 << 16, 3 << 16 | 1), 0, 0x100),
    (ADMIN, 0x01, (2 | 0 << 16, 1 << 16 | 1), 0, 0x102), (ADMIN, 0x01, (2 | 7 << 16, 1 << 16), 0, 0x002),
    (ADMIN, 0x00, (0,), 0, 0x101), (ADMIN, 0x00, (2,), 0, 0x101), (ADMIN, 0x04, (0,), 0, 0x101), (ADMIN, 0x04, (0xFFFF,), 0, 0x101),
    (ADMIN, 0x04, (1,), 0, 0x10C),
])
def test_refused_commands(mapped, queue, opcode, words, namespace, wanted):
    assert refused(mapped, getattr(mapped, queue), opcode, *words, namespace=namespace) == wanted
    mapped.write(1, blocks(1, 1))
    assert mapped.read(1, 1) == blocks(1, 1) and status(mapped) == 1


@pytest.mark.parametrize("flags", [0x01, 0x02, 0x40, 0x80])
def test_fused_commands_and_other_lists(mapped, flags):
    base = mapped.memory.iova + DATA
    assert raw(mapped, mapped.io, READ, base, 0, 0, 0, 0, flags=flags) == 0x002


def test_deleted_queues(mapped):
    for _ in range(3):
        assert refused(mapped, mapped.admin, 0x00, 1) == 0
        assert refused(mapped, mapped.admin, 0x00, 1) == 0x101
        mapped.bar.write32(0x1008, 1)  # nobody's
        assert refused(mapped, mapped.admin, 0x04, 1) == 0
        assert refused(mapped, mapped.admin, 0x04, 1) == 0x101
        mapped.memory[mapped.io.completions : mapped.io.completions + PAGE] = bytes(PAGE)
        mapped.io = driver.Queue(1)
        for opcode, at in (0x05, mapped.io.completions), (0x01, mapped.io.commands):
            mapped.run(mapped.admin, opcode, 1 | 63 << 16, 1 << 16 | 3, at=at)
        mapped.write(1, blocks(1, 1))
        assert mapped.read(1, 1) == blocks(1, 1)


NOWHERE = 1 << 47


@pytest.mark.parametrize("opcode", [READ, WRITE])
def test_memory_that_is_not_there(disk, opcode):
    base = disk.memory.iova + DATA
    disk.write(0, blocks(0, 64))
    struct.pack_into("<QQQ", disk.memory, DATA + 100 * PAGE, base + PAGE, NOWHERE, base + 3 * PAGE)
    for prp1, prp2, count, wanted in [
        (NOWHERE, 0, 1, 0x004), (base, NOWHERE, 16, 0x004), (base, NOWHERE, 32, 0x004), (base, base + 100 * PAGE, 32, 0x004),
        (base + driver.DATA_SIZE - 512, 0, 2, 0x004), ((1 << 64) - PAGE, (1 << 64) - PAGE, 16, 0x004),
        (base + 1, 0, 1, 0x013), (base, base + 512, 16, 0x013), (base, base + 100 * PAGE + 4, 32, 0x013),
    ]:  # fmt: skip
        disk.memory[DATA : DATA + 4 * PAGE] = b"x" * (4 * PAGE)
        assert raw(disk, disk.io, opcode, prp1, prp2, 0, 0, count - 1) == wanted, (hex(prp1), hex(prp2), count)
        assert disk.memory[DATA : DATA + 4 * PAGE] == b"x" * (4 * PAGE)  # nothing of it
    assert disk.read(0, 64) == blocks(0, 64)


def test_a_list_that_has_no_end(mapped):
    """Its one entry says that it goes on where it is."""
    here = mapped.memory.iova + DATA + PAGE - 8
    struct.pack_into("<Q", mapped.memory, DATA + PAGE - 8, here)
    assert raw(mapped, mapped.io, READ, mapped.memory.iova + DATA, here, 0, 0, 63) == 0x013


@pytest.mark.parametrize("sizes, submission, configuration", [
    (0, 0, 1), (1, 0, 1), (1 << 16, 0, 1), (63 | 0x400 << 16, 0, 1), (0xFFF | 63 << 16, 0, 1),
    (63 | 63 << 16, 0, 1 | 1 << 7), (63 | 63 << 16, 0, 1 | 1 << 4), (63 | 63 << 16, 0, 1 | 1 << 11),
])
def test_is_not_turned_on(mapped, sizes, submission, configuration):
    mapped.bar.write32(driver.CONFIGURATION, 0)
    until(lambda: status(mapped) == 0)
    mapped.bar.write32(driver.ADMIN_SIZES, sizes)
    mapped.bar.write32(driver.CONFIGURATION, configuration)
    assert status(mapped) == 2
    mapped.reset()
    assert status(mapped) == 1


@pytest.mark.parametrize("which", [driver.ADMIN_SUBMISSION, driver.ADMIN_COMPLETION])
def test_queues_that_are_nowhere(mapped, which):
    mapped.bar.write32(driver.CONFIGURATION, 0)
    until(lambda: status(mapped) == 0)
    mapped.bar.write64(which, NOWHERE)
    mapped.bar.write32(driver.CONFIGURATION, 1)
    mapped.bar.write32(0x1000, 1)
    until(lambda: status(mapped) == 3)
    mapped.reset()
    assert status(mapped) == 1


def test_doorbells_that_mean_nothing(mapped):
    for offset in range(0x1000, 0x2000, 4):
        if offset not in (0x1000, 0x1004, 0x1008, 0x100C):
            mapped.bar.write32(offset, 1, post=True)
    for offset in 0x1000, 0x1004, 0x1008, 0x100C:
        for value in driver.ENTRIES, 0xFFFF, 0xFFFFFFFF:
            mapped.bar.write32(offset, value, post=True)
    with pytest.raises(vfu.Error):
        mapped.bar.write8(0x1008, 1)
    mapped.write(1, blocks(1, 1))
    assert mapped.read(1, 1) == blocks(1, 1) and status(mapped) == 1


def test_a_full_completion_queue_waits(disk):
    """A queue of 4 entries has room for 3. What has to wait is not lost, and other queues go on."""

    def is_new(i):
        status(disk)  # whoever waits for an answer serves the device's DMA
        return disk.memory[queue.completions + 16 * (i % 4) + 14] & 1 == (i // 4 + 1) % 2

    disk.write(0, blocks(0, 480))
    queue = driver.Queue(2)
    queue.commands, queue.completions = DATA + 100 * PAGE, DATA + 101 * PAGE
    disk.memory[DATA + 100 * PAGE : DATA + 102 * PAGE] = bytes(2 * PAGE)
    disk.run(disk.admin, 0x05, 2 | 3 << 16, 2 << 16 | 3, at=queue.completions)
    disk.run(disk.admin, 0x01, 2 | 63 << 16, 2 << 16 | 1, at=queue.commands)
    started = {disk.submit(queue, READ, 8 * i, 0, 7, namespace=1, at=DATA + PAGE * i, size=PAGE) for i in range(60)}
    assert disk.read(1, 1) == blocks(1, 1)
    ended = set()
    for i in range(60):
        until(lambda: is_new(i))
        ended.add(struct.unpack_from("<H", disk.memory, queue.completions + 16 * (i % 4) + 12)[0])
        disk.bar.write32(0x1004 + 16, (i + 1) % 4)
    assert ended == started


def test_requests_for_events_are_kept(mapped):
    for _ in range(4):
        mapped.submit(mapped.admin, 0x0C)
    assert refused(mapped, mapped.admin, 0x0C) == 0x105
    assert mapped.run(mapped.admin, 0x08, 0) == 1  # not aborted
    mapped.reset()
    assert refused(mapped, mapped.admin, 0x08, 0) == 0


def test_bus_master_is_off(mapped):
    """It cannot reach the queue; on again, and reset, it can."""
    mapped.dev.config.bus_master = False
    mapped.bar.write32(0x1000, 1)
    until(lambda: status(mapped) == 3)
    mapped.dev.config.bus_master = True
    mapped.reset()
    assert status(mapped) == 1


def test_nonsense(disk):
    """Commands and doorbells of random bits, of which the device makes what it can."""
    random.seed(8)
    for turn in range(4):
        for queue in disk.admin, disk.io:
            for slot in range(driver.ENTRIES):
                command = bytearray(random.randbytes(64))
                command[0] = random.choice((0, 1, 2, 4, 5, 6, 8, 9, 10, 12))
                command[1], command[4:8] = 0, struct.pack("<I", random.choice((0, 1, 0xFFFFFFFF)))
                where = disk.memory.iova + random.randrange(0, len(disk.memory) + PAGE, random.choice((1, 512, PAGE)))
                struct.pack_into("<QQ", command, 24, where, disk.memory.iova + driver.LIST)
                if random.random() < 0.7:
                    struct.pack_into("<III", command, 40, random.randrange(BLOCKS), 0, random.randrange(64))
                disk.memory[queue.commands + 64 * slot : queue.commands + 64 * slot + 64] = bytes(command)
        for _ in range(200):
            disk.bar.write32(0x1000 + random.choice((0, 4, 8, 12, 16)), random.randrange(driver.ENTRIES), post=True)
        with contextlib.suppress(TimeoutError):
            disk.reset()
        for at in range(0, driver.DATA_SIZE, PAGE):
            struct.pack_into("<Q", disk.memory, driver.LIST + at // PAGE * 8, disk.memory.iova + DATA + at)
        disk.write(9, blocks(9, 9))
        assert disk.read(9, 9) == blocks(9, 9)


def test_a_file_that_was_cut(mapped, path):
    os.truncate(path, 512)
    assert refused(mapped, mapped.io, READ, 1, 0, 0, namespace=1, size=512) == 0x281
    assert mapped.read(0, 1) == bytes(512)


@pytest.mark.parametrize("which", [driver.ADMIN_SUBMISSION, driver.ADMIN_COMPLETION])
def test_queues_behind_the_last_address(mapped, quiet, which):
    mapped.bar.write32(driver.CONFIGURATION, 0)
    until(lambda: status(mapped) == 0)
    mapped.bar.write32(driver.ADMIN_SIZES, 1023 | 1023 << 16)
    mapped.bar.write64(which, (1 << 64) - PAGE)
    mapped.bar.write32(driver.CONFIGURATION, 1)
    for tail in range(64, 1024, 64):  # it is never behind what failed
        mapped.bar.write32(0x1000, tail)
    until(lambda: status(mapped) == 3)
    mapped.reset()
    assert status(mapped) == 1
