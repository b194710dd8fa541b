# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Regions, registers and their handlers."""

import errno
import sys

import pytest

import vfu


class Device(vfu.Device):
    vendor_id, device_id, class_code, revision = 0x1234, 0x5678, 0x020000, 7
    subsystem_vendor_id, subsystem_id = 0xABCD, 0x0042
    bar0 = vfu.Bar(size=4096)
    bar2 = vfu.Bar(size=0x2000, is64=True, prefetch=True)
    bar5 = vfu.Bar(size=32, io=True)
    rom = vfu.Rom(b"\x55\xaa rom")

    a8 = bar0.reg8(0x00, reset=0x11)
    a16 = bar0.reg16(0x02)
    a32 = bar0.reg32(0x04, reset=0xCAFE)
    a64 = bar0.reg64(0x08)
    fixed = bar0.reg32(0x10, reset=0x77, readonly=True)
    io = bar5.reg8(3)
    resets = 0

    def __init__(self):
        super().__init__()
        self.writes = []

    status = bar0.reg32(0x20)

    @status.on_write
    def status_written(self, value):
        self.writes.append(value)
        self.status = value ^ 0xFFFFFFFF

    @bar0.reg32(0x24).on_read
    def clock(self):
        return 0x8899AABB

    @bar0.reg16(0x28).on_read
    def negative(self):
        return -1

    @bar2.on_access(0x1000, 0x100)
    def window(self, offset, size, data):
        self.writes.append((offset, size, data))
        return None if data is not None else 0x0102030405060708 if size <= 8 else bytes(range(size))

    @bar2.on_access(0x1100, 0x100, raw=True)
    def raw(self, offset, size, view):
        if view.readonly:
            self.writes.append((offset, bytes(view)))
        else:
            view[:] = bytes([size]) * size
        self.kept = view
        if offset == 0x1180:
            raise OSError(errno.EBUSY, "busy")

    def reset(self):
        self.resets += 1


def test_identity(connect):
    dev = connect(Device())
    config = dev.config
    assert (config.vendor_id, config.device_id) == (0x1234, 0x5678)
    assert (config.class_code, config.revision) == (0x020000, 7)
    assert (config.subsystem_vendor_id, config.subsystem_id) == (0xABCD, 0x0042)
    assert dev.info.pci and dev.info.reset
    with pytest.raises(AttributeError):
        config.no_such_field


def test_regions(connect):
    dev = connect(Device())
    assert [dev.regions[i].size for i in range(7)] == [4096, 0, 0x2000, 0, 0, 32, 2048]
    assert dev.regions.config.size == 256
    assert dev.regions.rom.read(0, 6) == b"\x55\xaa rom"
    assert not dev.regions.rom.writable
    assert repr(dev.regions.bar0) == "<vfu.Region bar0: 0x1000 bytes, read, write>"
    with pytest.raises(IndexError):
        dev.regions[99]
    with pytest.raises(AttributeError):
        dev.regions.bar9


def test_storage(connect):
    device = Device()
    dev = connect(device)
    bar0 = dev.regions.bar0
    assert (bar0.read8(0), bar0.read32(4)) == (0x11, 0xCAFE)
    bar0.write8(0, 0x22)
    bar0.write16(2, 0x3344)
    bar0.write32(4, 0x55667788)
    bar0.write64(8, 0x99AABBCCDDEEFF00)
    assert (device.a8, device.a16, device.a32, device.a64) == (0x22, 0x3344, 0x55667788, 0x99AABBCCDDEEFF00)
    assert bar0.read(0, 16) == bytes.fromhex("22004433887766550 0ffeeddccbbaa99".replace(" ", ""))
    device.a32 = 5
    assert bar0.read32(4) == 5
    device.a8 = 0x1FF  # wraps, as hardware does
    assert bar0.read8(0) == 0xFF
    device.a8 += 1
    assert bar0.read8(0) == 0
    dev.regions.bar5.write8(3, 9)
    assert device.io == 9


def test_readonly(connect):
    device = Device()
    bar0 = connect(device).regions.bar0
    bar0.write32(0x10, 1)
    assert bar0.read32(0x10) == 0x77
    device.fixed = 3
    assert bar0.read32(0x10) == 3


def test_handlers(connect):
    device = Device()
    bar0 = connect(device).regions.bar0
    bar0.write32(0x20, 0x12345678)
    assert device.writes == [0x12345678]
    assert bar0.read32(0x20) == 0xEDCBA987
    assert bar0.read32(0x24) == 0x8899AABB
    assert bar0.read8(0x25) == 0xAA
    assert bar0.read16(0x28) == 0xFFFF


def test_partial_write_is_made_whole(connect):
    device = Device()
    bar0 = connect(device).regions.bar0
    device.status = 0x11223344
    bar0.write8(0x22, 0xFF)
    assert device.writes == [0x11FF3344]


def test_access_across_handlers(connect):
    device = Device()
    bar0 = connect(device).regions.bar0
    bar0.write(0x1E, bytes(range(8)))
    assert device.writes == [0x05040302]
    assert bar0.read(0x1C, 4) == b"\0\0\0\1"
    assert bar0.read64(0x20) == 0x8899AABB << 32 | 0x05040302 ^ 0xFFFFFFFF


def test_range(connect):
    device = Device()
    bar2 = connect(device).regions.bar2
    bar2.write32(0x1010, 0xABCD)
    bar2.write(0x1020, b"0123456789")
    assert device.writes == [(0x1010, 4, b"\xcd\xab\0\0"), (0x1020, 10, b"0123456789")]
    assert bar2.read64(0x1000) == 0x0102030405060708
    assert bar2.read32(0x1000) == 0x05060708
    assert bar2.read(0x1000, 20) == bytes(range(20))


def test_raw_range(connect):
    device = Device()
    bar2 = connect(device).regions.bar2
    bar2.write(0x1104, b"xyz")
    assert device.writes == [(0x1104, b"xyz")]
    with pytest.raises(ValueError):
        bytes(device.kept)
    assert bar2.read(0x1100, 9) == b"\t" * 9
    # Also when it fails.
    with pytest.raises(vfu.Error) as caught:
        bar2.read(0x1180, 9)
    assert caught.value.errno == errno.EBUSY
    with pytest.raises(ValueError):
        bytes(device.kept)


def test_own_memory(connect):
    device = Device()
    dev = connect(device)
    device.bar2[0x10:0x14] = b"abcd"
    assert dev.regions.bar2.read(0x10, 4) == b"abcd"
    dev.regions.bar2.write(0x12, b"XY")
    assert device.bar2[0x10:0x14] == b"abXY"
    assert device.bar2[0x10] == ord("a")
    assert len(device.bar2) == 0x2000
    with device.bar2.view() as view:
        view[0] = 9
    assert dev.regions.bar2.read8(0) == 9


def test_reset(connect):
    device = Device()
    dev = connect(device)
    dev.regions.bar0.write32(4, 1)
    device.fixed = 1
    dev.reset()
    assert (device.resets, device.a32, device.fixed) == (1, 0xCAFE, 0x77)


def test_bad_accesses(connect):
    dev = connect(Device())
    for action in (
        lambda: dev.regions.bar0.read32(4096),
        lambda: dev.regions.bar0.write(4090, bytes(10)),
        lambda: dev.regions.bar1.read8(0),
    ):
        with pytest.raises(vfu.Error) as caught:
            action()
        assert caught.value.errno == errno.EINVAL
    assert dev.regions.bar0.read8(0) == 0x11


def test_mapped_bar(connect):
    class Mapped(vfu.Device):
        bar0 = vfu.Bar(size=8192, mmap=True)
        bar1 = vfu.Bar(size=16384, mmap=[(4096, 4096), (12288, 4096)])
        first = bar0.reg32(0)

    device = Mapped()
    dev = connect(device)
    with dev.regions.bar0.map() as memory:
        memory[0:4] = b"\1\2\3\4"
        assert device.first == 0x04030201
        assert dev.regions.bar0.read32(0) == 0x04030201
    assert dev.regions.bar1.areas == [(4096, 4096), (12288, 4096)]
    with dev.regions.bar1.map(1) as memory:
        memory[0:2] = b"hi"
    assert device.bar1[12288:12290] == b"hi"
    with pytest.raises(ValueError):
        dev.regions.config.map()


class Ranged(vfu.Device):
    """A range with a function for each, one with half of them, one whose data is not copied."""

    bar0 = vfu.Bar(4096)
    mailbox = bar0.range(0x100, 0x40)
    half = bar0.range(0x200, 0x40)
    rest = bar0.range(0xF00, raw=True)

    def __init__(self):
        super().__init__()
        self.seen = []

    @mailbox.on_read
    def sent(self, offset, size):
        self.seen.append((offset, size))
        return {0x100: bytes(range(size)), 0x110: 0x1234, 0x120: b"no"}[offset]

    @mailbox.on_write
    async def received(self, offset, data):
        self.seen.append((offset, data))

    @half.on_write
    def heard(self, offset, data):
        self.seen.append((offset, data))

    @rest.on_read
    def fill(self, offset, view):
        view[:] = bytes([offset & 0xFF]) * len(view)

    @rest.on_write
    def look(self, offset, view):
        self.seen.append((offset, bytes(view), view.readonly))


class Other(Ranged):
    @Ranged.half.on_read
    def said(self, offset, size):
        return b"s" * size


@pytest.mark.parametrize("size", [1, 2, 4, 8, 9, 16])
def test_ranges(connect, size):
    device = Ranged()
    bar0 = connect(device).regions.bar0
    assert bar0.read(0x100, size) == bytes(range(size))
    bar0.write(0x104, b"x" * size)
    bar0.write(0x200, b"y" * size)
    assert bar0.read(0x200, size) == bytes(size)
    device.half[:size] = b"z" * size
    assert bar0.read(0x200, size) == b"z" * size
    assert bar0.read(0xF10, size) == b"\x10" * size
    bar0.write(0xF20, b"w" * size)
    assert device.seen == [(0x100, size), (0x104, b"x" * size), (0x200, b"y" * size), (0xF20, b"w" * size, True)]
    with pytest.raises(vfu.Error):
        bar0.read(0x120, size if size != 2 else 3)
    assert connect(Other()).regions.bar0.read(0x200, size) == b"s" * size


def test_numbers_of_ranges(connect, caplog):
    bar0 = connect(Ranged()).regions.bar0
    assert (bar0.read8(0x110), bar0.read64(0x110)) == (0x34, 0x1234)
    with pytest.raises(vfu.Error):
        bar0.read(0x110, 16)
    assert "a read of 16 bytes must return bytes, not int" in caplog.text


def test_range_that_leaves_its_region():
    bar0 = vfu.Bar(4096)
    for arguments in [(4000, 100), (-1, 4), (0, 0), (4096,)]:
        with pytest.raises(ValueError, match="leaves the region"):
            bar0.range(*arguments)


@pytest.mark.skipif(sys.maxsize < 1 << 40, reason="needs an address space of 64 bits")
def test_large_bars_cost_what_is_touched(connect):
    class Large(vfu.Device):
        bar0 = vfu.Bar(size=1 << 38, is64=True)
        bar2 = vfu.Bar(size=1 << 37, is64=True)
        bar4 = vfu.Bar(size=1 << 63, is64=True)

        @bar0.on_access
        def handled(self, offset, size, value):
            return offset & 0xFF

        @bar4.on_access
        def larger_than_memory(self, offset, size, value):
            return offset >> 56

    dev = connect(Large())
    assert dev.regions.bar0.read32((1 << 38) - 4) == 0xFC
    dev.regions.bar2.write32((1 << 37) - 4, 5)
    assert dev.regions.bar2.read64((1 << 37) - 8) == 5 << 32
    assert dev.regions.bar4.read8(1 << 62) == 0x40


def test_config_writes(connect):
    seen = []

    class Watching(vfu.Device):
        capabilities = [(0x09, b"\x08vendor!")]

        def on_config_write(self, offset, size):
            seen.append((offset, size))

    device = Watching()
    dev = connect(device, bus_master=False)
    dev.config.bus_master = True
    assert seen == [(4, 2)]
    assert dev.config.bus_master
    (cap,) = dev.config.capabilities
    assert (cap.id, cap.name, cap.data[2:10]) == (0x09, "Vendor Specific", b"\x08vendor!")
    assert device.config_read(0, 2) == b"\0\0"
    device.config_write(0, b"\x34\x12")
    assert dev.config.vendor_id == 0x1234


def test_subclass_changes_a_handler(connect):
    class Child(Device):
        vendor_id = 0x4321

        @Device.status.on_write
        def quiet(self, value):
            self.status = value

    child, parent = Child(), Device()
    for device in (child, parent):
        connect(device).regions.bar0.write32(0x20, 1)
    assert (child.status, child.writes) == (1, [])
    assert (parent.status, parent.writes) == (0xFFFFFFFE, [1])


def test_bad_declarations():
    with pytest.raises(ValueError, match="power of two"):
        vfu.Bar(size=100)
    with pytest.raises(ValueError, match="from 16 to 2\\^63"):
        vfu.Bar(size=1 << 64, is64=True)
    for area in ((1 << 64) + 4096, 4096), (4096, 1 << 64), (-4096, 4096), (0, 0):
        with pytest.raises(ValueError, match="leaves the region"):
            vfu.Bar(size=8192, mmap=[area])
    with pytest.raises(ValueError, match="no 4-byte register at 0x1000"):
        vfu.Bar(size=4096).reg32(4096)
    with pytest.raises(ValueError, match="whole pages"):
        vfu.Bar(size=16, mmap=True)
    with pytest.raises((TypeError, RuntimeError)) as caught:

        class Named(vfu.Device):
            memory = vfu.Bar(size=16)

    assert "bar0 to bar5" in str(caught.value) + str(caught.value.__cause__)

    class Overlapping(vfu.Device):
        bar0 = vfu.Bar(size=16)
        a = bar0.reg32(0, readonly=True)
        b = bar0.reg16(2, readonly=True)

    with pytest.raises(ValueError, match="overlap"):
        Overlapping()


class Spelling(vfu.Device):
    bar0 = vfu.Bar(size=16)
    threshold = bar0.reg32(0)
    samples = bar0.reg32(4)
    rx_enable = threshold.bit(0)

    def __init__(self):
        super().__init__()
        self.thershold, self.sample, self._threshhold, self.buffer = 1, [], 2, {}

    @bar0.reg32(8).on_write
    def go(self, value):
        self.rxEnable = value


def test_attributes_of_objects(connect, caplog):
    """Own names are free; one that is a register's but for its spelling is told of, once."""
    device = Spelling()
    assert caplog.text == ""
    dev = connect(device)
    told = ["Spelling: self.thershold is no register, did you mean threshold? If it is your own, call it _thershold"]
    assert caplog.messages == told
    dev.regions.bar0.write32(8, 1)
    told += ["Spelling: self.rxEnable is no register, did you mean rx_enable? If it is your own, call it _rxEnable"]
    for _ in range(2):
        dev.reset()
        assert caplog.messages == told
    assert (device.thershold, device.rxEnable, device.threshold) == (1, 1, 0)
