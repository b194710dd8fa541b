# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Registers with masks, views, arrays, halves; bit fields; what a class must not declare."""

import threading

import pytest

import vfu
import vfu.testing
from vfu.cli.error import UsageError
from vfu.cli.names import Names


class Kinds(vfu.Device):
    bar0 = vfu.Bar(size=4096)

    status = bar0.reg32(0x08, w1c=0x7, reset=0xF7)
    control = bar0.reg32(0x0C, writable=0xFF, reset=0x1200)
    set_status = status.set_view(0x14)
    set_first = set_status.bit(0)
    clear_status = status.clear_view(0x18, bits=0xF0)
    secret = bar0.reg32(0x1C, writeonly=True)
    events = bar0.reg32(0x20, rc=True)
    some_events = bar0.reg16(0x24, rc=0xFF, writable=0xFF00)
    all_clear = bar0.reg16(0x26, w1c=True, reset=0xFFFF)
    mixed = bar0.reg64(0x28, w1c=0xFF << 56, writable=0xFF)

    alarm = status.bit(0)
    level = control.bits(4, width=4)

    log = bar0.memory(0x100, 0x40, readonly=True)
    inbox = bar0.memory(0x140, 0x40, writeonly=True)
    table = bar0.reg32(0x200, count=16, stride=8, reset=5)
    marks = bar0.reg16(0x300, count=8, w1c=0x00FF, reset=0xFFFF)
    mark = marks.bit(3)
    mark_sets = marks.set_view(0x320)

    @bar0.reg8(0x3F0).on_read
    def meeting(self):
        """Python in the server's thread: its lock tells a thread sanitizer of the order that messages make."""
        return 0


@pytest.fixture
def kinds():
    device = Kinds()
    with vfu.testing.plug(device) as dev:
        yield device, dev.regions.bar0


def test_write_one_to_clear(kinds):
    device, bar = kinds
    bar.write32(8, 0xFFFFFFFA)
    assert device.status == bar.read32(8) == 0xF5  # bits 0..2 alone, where ones are written
    device.status = 0xFFFFFFFF
    bar.write8(8, 0x03)
    assert bar.read32(8) == 0xFFFFFFFC
    bar.write8(9, 0xFF)  # no such bits in the other bytes
    bar.write16(0xA, 0xFFFF)
    assert bar.read32(8) == 0xFFFFFFFC
    bar.write16(0x26, 0x0FF0)
    assert bar.read16(0x26) == 0xF00F


def test_write_masks(kinds):
    device, bar = kinds
    bar.write32(0xC, 0xFFFFFFAB)
    assert bar.read32(0xC) == device.control == 0x12AB
    bar.write8(0xD, 0x55)
    assert bar.read32(0xC) == 0x12AB
    device.control = 0xFFFFFFFF
    bar.write(0xC, b"\1\2")
    assert device.control == 0xFFFFFF01
    device.mixed = 0xFFFFFFFFFFFFFFFF
    bar.write64(0x28, 0x1000000000000022)
    assert bar.read64(0x28) == 0xEFFFFFFFFFFFFF22
    bar.write(0x2F, b"\x80")
    assert device.mixed == 0x6FFFFFFFFFFFFF22


def test_views(kinds):
    device, bar = kinds
    bar.write32(0x14, 0xFF00)
    assert bar.read32(8) == bar.read32(0x14) == bar.read32(0x18) == 0xFFF7
    assert device.status == device.set_status == 0xFFF7
    bar.write32(0x18, 0xFFFFFFFF)
    assert device.status == 0xFF07
    bar.write8(0x17, 0x80)
    assert device.status == 0x8000FF07
    with pytest.raises(AttributeError, match="view of status: set that"):
        device.set_status = 1
    with pytest.raises(AttributeError, match="view of status: set that"):
        device.set_first = 1
    assert device.set_first == 1


def test_write_only_and_read_to_clear(kinds):
    device, bar = kinds
    bar.write32(0x1C, 0x1234)
    assert (bar.read32(0x1C), device.secret) == (0, 0x1234)
    bar.write8(0x1D, 0x99)
    assert device.secret == 0x9934
    device.events = 0x01020304
    assert bar.read8(0x21) == 3
    bar.write32(0x20, 0xFFFFFFFF)  # nothing
    assert (device.events, bar.read32(0x20), bar.read32(0x20)) == (0x01020004, 0x01020004, 0)
    device.some_events = 0xABCD
    assert (bar.read16(0x24), bar.read16(0x24)) == (0xABCD, 0xAB00)
    bar.write16(0x24, 0xFFFF)
    assert device.some_events == 0xFF00


def test_bits_by_name(kinds):
    device, bar = kinds
    assert (device.alarm, device.level) == (1, 0)
    device.alarm = 0
    device.level = 9
    assert (device.status, device.control) == (0xF6, 0x1290)
    bar.write8(0xC, 0x35)
    assert device.level == 3
    for value in 16, -1:
        with pytest.raises(ValueError, match="level has 4 bits: 0 to 15"):
            device.level = value
    device.mark[2] = 0
    assert (device.marks[2], list(device.mark)) == (0xFFF7, [1, 1, 0, 1, 1, 1, 1, 1])
    assert repr(Kinds.level) == "<vfu.Bits level: 4..7 of <vfu.Register control: 4 bytes at 0xc>>"
    with pytest.raises(AttributeError, match="mark is an array"):
        device.mark = 1


def test_bits_are_not_lost_between_threads(kinds):
    """A thread of the device sets a bit while the client clears others: none of them comes back, or goes."""
    device, bar = kinds
    ended = threading.Event()

    def work():
        while not ended.is_set():
            device.alarm ^= 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(2000):
            bar.write32(0x14, 0xF0)
            assert bar.read8(8) & 0xF0 == 0xF0
            bar.write32(0x18, 0xF0)
            assert bar.read8(8) & 0xF0 == 0
    finally:
        ended.set()
        thread.join()


def test_memory_by_name(kinds):
    device, bar = kinds
    device.log[:4] = b"abcd"
    bar.read8(0x3F0)
    bar.write(0x100, b"xxxxxxxx")
    assert bar.read(0x100, 6) == b"abcd\0\0"
    bar.write(0x140, b"hello")
    assert bar.read(0x140, 5) == bytes(5)
    bar.read8(0x3F0)
    assert (device.inbox[:5], len(device.inbox)) == (b"hello", 0x40)
    device.inbox.view()[63] = 1
    assert device.inbox[63] == 1


def test_an_access_over_several(kinds):
    device, bar = kinds
    device.status, device.control = 0xFF, 0
    bar.write(6, b"\x11\x22" + b"\xff" * 8 + b"\x33\x44")
    assert bar.read(6, 12) == b"\x11\x22" + b"\xf8\0\0\0" + b"\xff\0\0\0" + b"\x33\x44"
    device.events, device.some_events, device.all_clear = 0x44332211, 0x6655, 0x8877
    assert bar.read(0x22, 5) == b"\x33\x44\x55\x66\x77"
    assert (device.events, device.some_events, device.all_clear) == (0x2211, 0x6600, 0x8877)
    bar.write(0x13C, b"\xee" * 8)
    bar.read8(0x3F0)
    assert (bar.read(0x13C, 8), device.inbox[:4]) == (bytes(8), b"\xee" * 4)


def test_posted_and_gathered_writes(kinds):
    """Many posted writes travel as one message; each has the effect it has alone."""
    device, bar = kinds
    device.status = 0x7
    for bit in range(3):
        for _ in range(300):
            bar.write8(0xC, bit, post=True)
        bar.write32(0x14, 0x100 << bit, post=True)
        bar.write32(8, 1 << bit, post=True)
    assert bar.read32(8) == 0x700
    assert bar.read32(0xC) == 0x1202


def test_arrays(kinds):
    device, bar = kinds
    assert list(device.table) == [5] * 16 and len(device.table) == 16
    bar.write32(0x200 + 8 * 3, 77)
    device.table[-1] = 99
    assert (device.table[3], bar.read32(0x200 + 8 * 15)) == (77, 99)
    bar.write32(0x204, 1)  # memory between them
    assert bar.read64(0x200) == 0x100000005
    with pytest.raises(IndexError, match="table has 16 elements, 0 to 15: there is no 16"):
        device.table[16]
    assert device.table[2:4] == [5, 77] and device.table[::-1][0] == 99
    device.table[4:6] = 8, 9
    assert device.table[3:7] == [77, 8, 9, 5]
    with pytest.raises(ValueError, match="1 values for 2 elements of table"):
        device.table[4:6] = [1]
    with pytest.raises(AttributeError, match=r"table is an array of registers: set table\[index\]"):
        device.table = 3
    bar.write32(0x302, 0xFFFF00F0)  # two of them, w1c
    assert list(device.marks)[:4] == [0xFFFF, 0xFF0F, 0xFF00, 0xFFFF]
    bar.write16(0x324, 0x00FF)
    assert list(device.marks)[:4] == [0xFFFF, 0xFF0F, 0xFFFF, 0xFFFF]


def test_names_on_the_command_line():
    names = Names(Kinds)
    place = names.one("table[3]")
    assert (place.region, place.offset, place.width) == ("bar0", 0x218, 4)
    assert [*names.registers][:4] == ["status", "alarm", "control", "level"] and len(names.find("table")) == 16
    with pytest.raises(UsageError, match=r"table has 16 elements: say which, as table\[0\]"):
        names.one("table")
    assert "acknowledged" not in Names(Handlers).registers


def test_reset():
    device = Kinds()
    with vfu.testing.plug(device) as dev:
        bar = dev.regions.bar0
        bar.write32(8, 7)
        bar.write(0x1FC, b"\xff" * 0x100)
        dev.reset()
        assert (bar.read32(8), bar.read32(0xC)) == (0xF7, 0x1200)
        assert list(device.table) == [5] * 16 and list(device.marks) == [0xFFFF] * 8
        assert bar.read32(0x1FC) == 0xFFFFFFFF  # memory is no register


class Handlers(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    status = bar0.reg32(0x00, w1c=0xFF)
    enable = bar0.reg32(0x04, readonly=True)
    enable_set = enable.set_view(0x08)
    plain = bar0.reg32(0x0C)
    wide = bar0.reg64(0x10)
    wide_kept = bar0.reg64(0x18, writable=0xFFFFFFFFFFFF)
    twice = bar0.reg64(0x20)
    all = bar0.reg8(0x28, readonly=True)
    set_all, clear_all = all.set_view(0x29), all.clear_view(0x2A)
    table = bar0.reg32(0x100, count=4, stride=8)
    clock = bar0.reg16(0x200, count=4)
    bells = bar0.reg64(0x400, count=3, stride=16)
    received = bar0.reg8(0x300, readonly=True, reset=0x41)
    send = bar0.reg8(0x300, writeonly=True)

    def __init__(self):
        super().__init__()
        self.seen = []

    @status.on_write
    def acknowledged(self, value):
        self.seen.append(("status", value, self.status))

    @enable_set.on_write
    def enabled(self, value):
        self.seen.append(("enable", value))

    @plain.on_write
    def plain_written(self, value):
        self.seen.append(("plain", value, self.plain))

    @wide.on_write(whole=True)
    def wide_written(self, value):
        self.seen.append(("wide", value))

    @wide_kept.on_write(whole=True)
    def wide_kept_written(self, value):
        self.seen.append(("kept", value))

    @twice.on_write
    def twice_written(self, value):
        self.seen.append(("twice", value))

    @set_all.on_write
    @clear_all.on_write
    def all_written(self, value):
        self.seen.append(("all", value))

    @table.on_write
    def entry_written(self, index, value):
        self.seen.append(("table", index, value))
        self.table[index] = value + 1

    @bells.on_write(whole=True)
    def bell_written(self, index, value):
        self.seen.append(("bell", index, value))

    @clock.on_read
    def clock_read(self, index):
        return 0x100 + index

    @send.on_write
    def sent(self, value):
        self.seen.append(("send", value))


@pytest.fixture
def handlers():
    device = Handlers()
    with vfu.testing.plug(device) as dev:
        device.dev = dev
        yield device, dev.regions.bar0


def test_handlers_after_the_store(handlers):
    device, bar = handlers
    device.status = 0x1FF
    bar.write32(0, 0x10F)
    bar.write8(0, 0x10)
    bar.write32(8, 0x30)
    bar.write32(4, 0xFF)
    bar.write32(0xC, 9)
    assert device.seen == [
        ("status", 0x1F0, 0x1F0),
        ("status", 0x1E0, 0x1E0),
        ("enable", 0x30),
        ("plain", 9, 0),
    ]
    assert (device.enable, bar.read32(0xC)) == (0x30, 0)


def test_a_handler_of_two(handlers):
    device, bar = handlers
    bar.write8(0x29, 0xFF)
    bar.write8(0x2A, 0x0F)
    assert device.seen == [("all", 0xFF), ("all", 0xF0)]


def test_registers_with_names_as_methods_have():
    class Lamp(vfu.Device):
        bar0 = vfu.Bar(size=4096)
        on_off = bar0.reg32(0, reset=1)
        on_air = bar0.range(8, 4)
        feature_get_lost = bar0.reg32(4, reset=2)

    assert (Lamp().on_off, Lamp().on_air[0], Lamp().feature_get_lost) == (1, 0, 2)


def test_a_handler_of_several_without_names():
    class Doors(vfu.Device):
        bar0 = vfu.Bar(size=4096)
        mailbox = bar0.range(0x40, 4)

        @bar0.reg32(0).on_write
        @bar0.reg32(4).on_write(whole=True)
        @bar0.reg32(8).on_write
        def opened(self, value):
            self.seen = value

        @mailbox.on_read
        @bar0.range(0x80, 4).on_read
        def letter(self, offset, size):
            return offset

        @bar0.on_access(0x100, 4)
        @bar0.on_access(0x200, 4)
        def both(self, offset, size, data):
            return offset

    class More(Doors):
        @Doors.opened.on_write
        @Doors.bar0.reg32(0xC).on_write
        def shut(self, value):
            self.seen = -value

    with vfu.testing.plug(device := More()) as dev:
        bar, seen = dev.regions.bar0, []
        for offset in range(0, 16, 4):
            bar.write32(offset, 1 + offset)
            seen.append(device.seen)
        assert seen == [-1, 5, 9, -13]
        places = 0x40, 0x80, 0x100, 0x200
        assert tuple(map(bar.read32, places)) == places


def test_halves(handlers):
    device, bar = handlers
    bar.write32(0x10, 0x11111111)
    assert device.seen == []
    bar.write32(0x10, 0x22222222)  # the same half again
    assert device.seen == []
    bar.write32(0x14, 0x33333333)
    bar.write32(0x14, 0x44444444)  # the other order
    bar.write32(0x10, 0x55555555)
    bar.write64(0x10, 0x6666666677777777)
    for at in range(8):
        bar.write8(0x10 + at, at)
    bar.write32(0x18, 0xAAAAAAAA)
    bar.write32(0x1C, 0xBBBBBBBB)
    bar.write32(0x20, 1)
    bar.write32(0x24, 2)
    assert device.seen == [
        ("wide", 0x3333333322222222),
        ("wide", 0x4444444455555555),
        ("wide", 0x6666666677777777),
        ("wide", 0x0706050403020100),
        ("kept", 0xBBBBAAAAAAAA),
        ("twice", 1),
        ("twice", 2 << 32),
    ]
    assert (bar.read64(0x10), bar.read64(0x18)) == (0, 0xBBBBAAAAAAAA)


def test_a_reset_forgets_halves(handlers):
    device, bar = handlers
    bar.write32(0x10, 1)
    device.dev.reset()
    bar.write32(0x14, 2)
    assert device.seen == []
    bar.write32(0x10, 3)
    assert device.seen == [("wide", 0x200000003)]


def test_the_next_client_does_not_complete_halves(serve):
    device = Handlers()
    path = serve(device)
    for offset in 0x10, 0x14:
        with vfu.Client(path) as dev:
            dev.regions.bar0.write32(offset, 1)
    assert device.seen == []


def test_halves_of_one_access(handlers):
    """An access that spans registers gives each its part."""
    device, bar = handlers
    bar.write(0x14, bytes(range(8)))
    assert device.seen == []
    bar.write32(0x10, 0)
    bar.write32(0x1C, 0)
    assert device.seen == [("wide", 0x0302010000000000), ("kept", 0x07060504)]


def test_array_handlers(handlers):
    device, bar = handlers
    bar.write32(0x110, 6)
    bar.write64(0x118, 7)
    bar.write16(0x100, 1)
    assert device.seen == [("table", 2, 6), ("table", 3, 7), ("table", 0, 1)]
    assert list(device.table) == [2, 0, 7, 8]
    assert bar.read(0x201, 6) == bytes([1, 1, 1, 2, 1, 3])


def test_halves_of_arrays(handlers):
    """Each has halves of its own."""
    device, bar = handlers
    for offset, value in (0x400, 1), (0x424, 4), (0x420, 3), (0x414, 9), (0x404, 2):
        bar.write32(offset, value)
    assert device.seen == [("bell", 2, 0x400000003), ("bell", 0, 0x200000001)]


def test_two_sides(handlers):
    device, bar = handlers
    assert bar.read8(0x300) == 0x41
    bar.write8(0x300, 0x42)
    device.received = 0x43
    assert (bar.read8(0x300), device.seen) == (0x43, [("send", 0x42)])
    with pytest.raises(AttributeError, match="send has no value"):
        device.send
    with pytest.raises(AttributeError, match="send has no value"):
        device.send = 1


def test_subclass_replaces_one_side(handlers):
    class Sub(Handlers):
        @Handlers.send.on_write
        def shouted(self, value):
            self.seen.append(("shout", value))

    device = Sub()
    with vfu.testing.plug(device) as dev:
        dev.regions.bar0.write8(0x300, 1)
        assert (dev.regions.bar0.read8(0x300), device.seen) == (0x41, [("shout", 1)])


BAR = "bar0 = vfu.Bar(size=4096)\n"

BAD = {
    # registers
    BAR + "a = bar0.reg32(0, w1c=1 << 32)": "w1c=0x100000000 does not fit a 4-byte register",
    BAR + "a = bar0.reg32(0, writable=3, w1c=2)": "bits 0x2 are either writable or w1c",
    BAR + "a = bar0.reg32(0, readonly=True, writable=1)": "a readonly register has no writable bits",
    BAR + "a = bar0.reg32(0, writeonly=True, rc=1)": "one of readonly, writeonly, and w1c or rc",
    BAR + "a = bar0.reg32(0, count=0)": "an array of 0 registers",
    BAR + "a = bar0.reg32(0, count=4, stride=6)": "a stride of 6 bytes is no multiple of the register's 4",
    BAR + "a = bar0.reg32(0xFF8, count=3)": "no room for 3 4-byte registers at 0xff8",
    BAR + "a = bar0.reg32(0, wlc=3)": "wlc",
    BAR + "a = bar0.reg8(0).bits(6, 3)": r"bits 6\.\.8 are not in a register of 8 bits",
    BAR + "a = bar0.reg8(0).bit(8)": "bit 8 is not in a register of 8 bits",
    BAR + "a = bar0.reg32(0, w1c='x')": "w1c is a number, not 'x'",
    BAR + "a = bar0.reg32('0')": "offset is a number, not '0'",
    BAR + "a = bar0.reg32(0, count='4')": "count is a number, not '4'",
    BAR + "a = bar0.memory(0, '4')": "size is a number, not '4'",
    BAR + "a = bar0.range('0', 4)": "offset is a number, not '0'",
    BAR + "a = bar0.reg8(0).bit('3')": "position is a number, not '3'",
    "bar0 = vfu.Bar(size='4k')": "size is a number, not '4k'",
    "bar1 = 4096": r"X.bar1: a region is vfu.Bar\(\.\.\.\), not 4096",
    "rom = b'text'": r"X.rom: a region is vfu.Rom\(\.\.\.\), not b'text'",
    "irqs = vfu.Irqs(intx=5)": "intx is a pin, 1 to 4, or 0 for none, not 5",
    "irqs = vfu.Irqs(msi=3)": "msi is 1, 2, 4, 8, 16 or 32 vectors, not 3",
    "irqs = vfu.Irqs(msix='4')": "msix is a number, not '4'",
    BAR + "a = bar0.reg8(0, rc=1).on_read(print)": "not a function's to say",
    BAR + "a = bar0.memory(4095, 2)": "leaves the region",
    BAR + "a = bar0.memory(0, 2, readonly=True, writeonly=True)": "not both",
    # overlaps
    BAR + "a = bar0.reg32(0)\nb = bar0.reg16(2)": r"a \(0x0 to 0x3\) and b \(0x2 to 0x3\) of bar0 overlap",
    BAR + "a = bar0.reg32(0)\nb = bar0.reg32(0)": "a and b are two declarations for 0x0 .* a readonly one and a writeonly",
    BAR + "a = bar0.reg32(0, readonly=True)\nb = bar0.reg32(0, writeonly=True)": "a and b are two declarations",
    BAR + "a = bar0.reg32(8, count=4)\nb = bar0.reg32(16)": r"a \(0x10 to 0x13\) and b|b \(0x10 to 0x13\) and a",
    BAR + "r = bar0.on_access(0, 64)(print)\na = bar0.reg32(32)": r"r \(0x0 to 0x3f\) and a \(0x20 to 0x23\)",
    BAR + "m = bar0.memory(0, 64)\na = bar0.reg32(32)": r"m \(0x0 to 0x3f\) and a",
    BAR + "a = bar0.reg32(0)\nb = a.set_view(0)": "two declarations",
    BAR + "irqs = vfu.Irqs(msix=2, msix_bar=0)\na = bar0.reg32(16)": "MSI-X table",
    # names
    "vendorid = 1": "X.vendorid means nothing to a device, did you mean vendor_id",
    "vendor_id, vendorid = 1, 2": "X.vendorid means nothing to a device, did you mean vendor_id",
    "def on_reset(self): pass": r"X.on_reset: the client's RESET calls reset\(self\)",
    BAR + "a = bar0.reg32(2)": "0x2 is no multiple of 4, as the place of a 4-byte register is",
    "Vendor_ID = 1": "did you mean vendor_id",
    "devce_id = 1": "did you mean device_id",
    "def preset(self): pass": r"did you mean reset\? If it is your own, call it _preset",
    "class_cod = 1": "did you mean class_code",
    "bar_0 = 4": "did you mean bar0",
    "bar_0 = vfu.Bar(size=16)": "X.bar_0: a region is called bar0 to bar5, or rom, did you mean bar0",
    "irq = vfu.Irqs(msix=1)": "X.irq: a device's interrupts are called irqs",
    BAR + "bar1 = bar0": "X.bar1: this region is called bar0 already",
    "a = vfu.Bar(size=4096).reg32(0)": "X.a lies in a region that the class does not have",
    BAR + "@bar0.range(0, 4).on_read\n@bar0.range(4, 4).on_write\ndef r(self, offset, size): pass": "on_read wants a function",
    "irqs = 4": r"X.irqs: a device's interrupts are vfu.Irqs\(\.\.\.\), not 4",
    "capabilites = ()": "did you mean capabilities",
    "eventloop = True": "did you mean event_loop",
    "def resett(self): pass": "did you mean reset",
    "def on_acess(self, *a): pass": "X.on_acess: no message and no hook has that name.*registers and ranges",
    "def on_access(self, *a): pass": "X.on_access: .*registers and ranges",
    "def on_write(self, *a): pass": "X.on_write: .*registers and ranges",
    "def on_conect(self): pass": "did you mean on_connect",
    # handlers that take other arguments
    BAR + "@bar0.reg32(0).on_write\ndef w(self): pass": r"w is declared as w\(self\), but called with \(self, value\)",
    BAR + "@bar0.reg32(0).on_read\nasync def r(self, value): pass": r"called with \(self\)",
    BAR + "@bar0.reg32(0, count=2).on_write\ndef w(self, value): pass": r"called with \(self, index, value\)",
    BAR + "@bar0.reg32(0, count=2).on_read\ndef r(self): pass": r"called with \(self, index\)",
    BAR + "a = bar0.reg32(0).on_write(lambda value: 0)": r"<lambda>\(value\), but called with \(self, value\)",
    BAR + "@bar0.on_access\ndef r(self, offset, size): pass": r"called with \(self, offset, size, data\)",
    BAR + "@bar0.range(0, 4).on_read\ndef r(self): pass": r"called with \(self, offset, size\)",
    BAR + "@bar0.range(0, 4, raw=True).on_write\ndef w(self): pass": r"called with \(self, offset, view\)",
    "def reset(self, hard): pass": r"X.reset is declared as reset\(self, hard\), but called with \(self\)",
    "def on_gate(self): pass": r"called with \(self, what\)",
    "def on_config_write(self, data): pass": r"called with \(self, offset, size\)",
    "def on_get_irq_info(self): pass": r"called with \(self, request\)",
    "def feature_get_logging_start(self): pass": r"called with \(self, data\)",
    # handlers that would never be called
    BAR + "a = bar0.reg32(0)\na.on_write(lambda self, v: 0)\na.on_write(lambda self, v: 1)": "is the on_write of this already",
    BAR + "a = bar0.range(8, 4)\na.on_read(lambda *_: 0)\na.on_read(lambda *_: 1)": "is the on_read of this already",
    BAR + "@bar0.reg32(0)\ndef w(self, value): pass": "its on_read and its on_write are",
    BAR + "@bar0.range(0, 4)\ndef w(self, value): pass": "its on_read and its on_write are",
    # handlers that yield
    BAR + "@bar0.reg32(0).on_write\ndef w(self, value): yield": "w yields",
    BAR + "@bar0.reg32(0).on_write(whole=True)\nasync def w(self, value): yield": "w yields",
    BAR + "@bar0.reg32(0).on_read\ndef r(self): yield 1": "r yields",
    BAR + "a = bar0.reg32(0).on_write(5)": "on_write wants a function, not 5",
    BAR + "a = bar0.reg32(0).on_read(bar0.reg32(4))": "on_read wants a function, not <vfu.Register without a name: 4 bytes",
    BAR + "@bar0.on_access\ndef r(self, *a): yield 1": "r yields",
    BAR + "@bar0.on_access(0, 4)\nasync def r(self, *a): yield 1": "r yields",
    "def reset(self): yield": "reset yields",
    "def on_connect(self): yield": "on_connect yields",
    "async def on_disconnect(self): yield": "on_disconnect yields",
    "async def on_gate(self, what): yield": "on_gate yields",
    "def on_get_irq_info(self, request): yield {}": "on_get_irq_info yields",
    "def on_close(self): yield": "on_close yields",
    "def onclose(self): pass": "did you mean on_close",
    "def on_4242(self, request): yield {}": "on_4242 yields",
    "def feature_get_logging_start(self, data): yield b''": "feature_get_logging_start yields",
}


@pytest.mark.parametrize("body", BAD)
def test_refused(body):
    text = "class X(vfu.Device):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    space = {"vfu": vfu}
    with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
        exec(text, space)
        space["X"]()
    said = f"{caught.value} {caught.value.__cause__}"  # before 3.12 what __set_name__ raises is the cause
    caught.value.args = (said,)
    caught.match(BAD[body])


def test_not_refused():
    class Mixin:
        barr0 = "not a device's class"

    class Good(Mixin, vfu.Device):
        bar0 = vfu.Bar(size=64)
        resets = 0  # a number, and reset is a method
        device_ids = bar0.reg32(0)  # a register
        connected = status = region = False
        _vendorid = 1
        VENDOR_ID = 0x1234  # besides the right one
        vendor_id = VENDOR_ID

        class Reset:
            """A class of its own."""

        def revise(self): ...

    Good()


def test_a_generator_that_hides():
    class Hidden(vfu.Device):
        bar0 = vfu.Bar(size=16)
        a = bar0.reg32(0).on_write(lambda self, value: (one for one in [value]))
        b = bar0.on_access(8, 4)(lambda self, offset, size, value: (one for one in [value]))

    with vfu.testing.plug(Hidden()) as dev:
        for offset in 0, 8:
            with pytest.raises(OSError):
                dev.regions.bar0.write32(offset, 1)


def test_undeclared_interrupts():
    class One(vfu.Device):
        irqs = vfu.Irqs(msi=2)

    irqs = One().irqs
    assert len(irqs.msi) == 2 and len(irqs.msix) == 0 and not irqs.intx
    with pytest.raises(IndexError, match=r"no msix\[0\]: the device's class declares no msix: say irqs = vfu.Irqs\(msix=1\)"):
        irqs.msix[0]
    with pytest.raises(IndexError, match=r"no msi\[2\]: it has msi=2"):
        irqs.msi[2]
    for name in "raise_", "lower", "trigger":
        with pytest.raises(AttributeError, match=r"no intx: say irqs = vfu.Irqs\(intx=1\)"):
            getattr(irqs.intx, name)()
