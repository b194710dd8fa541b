# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What a device puts into configuration space, and what it learns from it."""

import errno

import pytest

import vfu
from vfu import pci


class Full(vfu.Device):
    vendor_id, device_id, class_code = 0x1234, 0x0042, 0xFF0000
    capabilities = (
        pci.PowerManagement(d1=True),
        pci.Express(flr=True, speed=3, width=4),
        pci.Vendor(bytes(9), offset=0x60),
        pci.SerialNumber(0x1122334455667788),
        pci.ExtendedVendor(0x0815, b"abcd", revision=2),
        pci.Extended(0x26, bytes(4), version=3, offset=0x200),
        (0x03, b"\1\2"),
    )
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(msi=4, msix=2, msi_64bit=False, msi_maskable=True)
    config = vfu.ConfigSpace(4096)

    address = config.reg32(0x64, writable=0xFF, reset=4)
    window = config.range(0x68, 4)
    errors = config.reg32(0x300, reset=0xF, w1c=0xF)
    plain = config.reg16(0x304)
    notes = config.memory(0x308, 8)

    def __init__(self):
        super().__init__()
        self.resets = 0
        self.told = []

    def reset(self):
        self.resets += 1

    def on_config_write(self, offset, size):
        self.told.append((offset, size))

    @window.on_read
    def window_read(self, offset, size):
        return bytes(self.bar0[self.address + offset - 0x68 :][:size])

    @window.on_write
    def window_write(self, offset, data):
        start = self.address + offset - 0x68
        self.bar0[start : start + len(data)] = data


@pytest.fixture
def full(connect):
    device = Full()
    return device, connect(device)


def test_lists(full):
    device, dev = full
    found = {one.id: one for one in dev.config.capabilities}
    assert list(found) == [0x09, 0x01, 0x10, 0x03, 0x05, 0x11]
    assert found[0x09].offset == 0x60 and found[0x09].data[:3] == b"\x09\x40\x0c"
    for identity, one in found.items():
        assert device.find_capability(identity) == one.offset
    assert device.find_capability(pci.Express) == found[0x10].offset
    assert device.find_capability(pci.SerialNumber) == device.find_capability(3, extended=True) >= 0x100
    with pytest.raises(vfu.NotFound):
        device.find_capability(0x12)
    with pytest.raises(vfu.NotFound):
        device.find_capability(pci.Vendor, after=0x60)
    assert dev.config.size == 4096
    extended = dev.config.extended_capabilities
    assert [(one.id, one.version, one.offset, len(one.data)) for one in extended] == [
        (0x03, 1, 0x100, 12), (0x26, 3, 0x200, 0xE00), (0x0B, 1, 0x10C, 0xF4)]
    assert repr(extended[0]) == "<vfu.ExtendedCapability Serial Number at 0x100: 03000120 88776655 44332211>"
    assert repr(extended[1]).endswith(" 00000000 and 3520 bytes>")
    serial, _, vendor = extended
    assert dev.config.read(serial.offset + 4, 8) == serial.data[4:] == bytes.fromhex("8877665544332211")
    assert dev.config.read(vendor.offset + 4, 8) == vendor.data[4:12] == b"\x15\x08\xc2\0abcd"


def test_lists_of_others():
    """What another server's configuration space says ends, or is refused as in C."""

    def extended(*heads):
        space = bytearray(4096)
        for at, head in heads:
            space[at : at + 4] = head.to_bytes(4, "little")
        return [(one.id, one.offset) for one in pci.extended_capabilities(bytes(space))]

    def plain(first, *pairs):
        space = bytearray(256)
        space[0x06], space[0x34] = 0x10, first
        for at, identity, after in pairs:
            space[at : at + 2] = identity, after
        return [(one.id, one.offset) for one in pci.capabilities(bytes(space))]

    assert extended() == extended((0x100, 0xFFFF_FFFF)) == pci.extended_capabilities(bytes(256)) == []
    assert extended((0x100, 0xFFC_1_0003), (0xFFC, 0x001_1_0004)) == [(3, 0x100), (4, 0xFFC)]
    assert plain(0) == plain(3) == []
    assert plain(0x43, (0x40, 9, 0xFC), (0xFC, 5, 0)) == [(9, 0x40), (5, 0xFC)]
    for wrong, text in [
        (lambda: extended((0x100, 0x100_1_0003)), "comes back to 0x100"),
        (lambda: extended((0x100, 0x200_1_0003), (0x200, 0x100_1_7777)), "comes back to 0x100"),
        (lambda: extended((0x100, 0x040_1_0003)), "goes on at 0x40, where none can be"),
        (lambda: plain(0x40, (0x40, 9, 0x40)), "comes back to 0x40"),
        (lambda: plain(0x40, (0x40, 9, 0x80), (0x80, 5, 0x40)), "comes back to 0x40"),
        (lambda: plain(0x20), "goes on at 0x20, where none can be"),
    ]:
        with pytest.raises(vfu.Error, match=f"the list of capabilities {text}") as raised:
            wrong()
        assert raised.value.errno == errno.EPROTO


def test_registers(full):
    device, dev = full
    assert dev.config.read32(0x64) == 4
    dev.config.write32(0x64, 0xFFFF_FF20)
    assert dev.config.read32(0x64) == device.address == 0x20
    device.bar0[0x20:0x24] = b"deep"
    assert dev.config.read(0x68, 4) == b"deep"
    dev.config.write(0x69, b"EE")
    assert device.bar0[0x20:0x24] == b"dEEp"
    assert dev.config.read(0x60, 12)[8:] == b"dEEp"
    dev.config.write32(0x300, 0x5)
    assert dev.config.read32(0x300) == device.errors == 0xA
    dev.config.write16(0x304, 0x1234)
    assert device.plain == 0x1234
    dev.config.write(0x308, b"12345678")
    assert device.notes[:] == b"12345678"
    dev.config.write32(0x310, 1)
    assert dev.config.read32(0x310) == 0
    assert device.told[-1] == (0x310, 4) and not [at for at, _ in device.told if 0x60 <= at < 0x310]
    dev.reset()
    assert (device.address, device.errors, device.plain) == (4, 0xF, 0)


def test_states(full):
    device, dev = full
    assert not device.irqs.msi.enabled and not device.irqs.msix.enabled
    power = device.find_capability(pci.PowerManagement)
    dev.config.write16(4, 0)
    assert not device.bus_master
    dev.config.write16(4, 4)
    assert device.bus_master and device.told[-1] == (4, 2)
    for state in (1, 2, 3):
        dev.config.write16(power + 4, state)
        assert device.power_state == (1 if state == 2 else state)
    dev.config.write16(power + 4, 0)
    assert device.power_state == 0 and device.resets == 1
    express = device.find_capability(pci.Express)
    assert dev.config.read16(express + 0x12) & 0x3FF == 0x43
    dev.config.write16(express + 8, 1 << 15)
    assert device.resets == 2
    msix = device.find_capability(0x11)
    dev.config.write16(msix + 2, 0x8000)
    assert device.irqs.msix.enabled and not device.irqs.msi.enabled
    assert device.irqs.msix.used == 2 and device.irqs.msi.used == 0
    dev.config.write16(msix + 2, 0)
    msi = device.find_capability(0x05)
    for exponent, used in ((0, 1), (1, 2), (2, 4), (5, 4)):  # more than there are must not be asked for
        dev.config.write16(msi + 2, 1 | exponent << 4)
        assert device.irqs.msi.used == used and device.irqs.msix.used == 0


def test_mask_bits_of_msi(full):
    device, dev = full
    dev.config.write16(4, 4)
    msi = device.find_capability(0x05)
    dev.config.write32(msi + 0x0C, 0x4)
    dev.config.write16(msi + 2, 1)
    assert device.irqs.msi.enabled
    dev.irqs.msi[2].wait(timeout=0)
    assert device.irqs.msi[2].trigger()
    assert dev.irqs.msi[2].wait(timeout=0) == 0
    assert dev.config.read32(msi + 0x10) == 0x4
    dev.config.write32(msi + 0x0C, 0)
    assert dev.irqs.msi[2].wait(timeout=10) == 1
    assert dev.config.read32(msi + 0x10) == 0


def test_without_any(connect):
    device = vfu.Device()
    dev = connect(device)
    assert not device.irqs.msi.enabled and device.power_state == 0
    assert dev.config.size == 256


@pytest.mark.parametrize(
    "make, why",
    [
        (lambda: pci.Express(type="bridge"), "type is one of"),
        (lambda: pci.Express(speed=7), "speed is one of"),
        (lambda: pci.Express(width=3), "width is one of"),
        (lambda: pci.Express(max_payload=100), "max_payload is one of"),
        (lambda: pci.SerialNumber(1 << 64), "number is a number of 64 bits"),
        (lambda: pci.Extended(1 << 16), "id is a number of 16 bits"),
        (lambda: pci.Extended(1, version=16), "version is a number of 4 bits"),
        (lambda: pci.Vendor(bytes(190)), "at most 189 bytes"),
        (lambda: pci.Vendor(offset=-4), "offset is a number of 12 bits"),
        (lambda: vfu.ConfigSpace(1024), "256 or 4096"),
    ],
)
def test_what_cannot_be(make, why):
    with pytest.raises(ValueError, match=why):
        make()


@pytest.mark.parametrize(
    "said, why",
    [
        ([pci.Vendor(b"1", offset=0x40), pci.Vendor(b"1", offset=0x40)], "overlap another capability"),
        ([pci.Vendor(b"1", offset=0x42)], "not a multiple of 4"),
        ([pci.Extended(5, offset=0x80)], "between 0x100 and 0x1000"),
        ([pci.Express(), pci.Express()], "there is a capability 0x10"),
        ([(0x05, bytes(12))], "vfu_device_set_msi"),
    ],
)
def test_places_that_are_refused(said, why):
    with pytest.raises(vfu.Error, match=why):
        type("Odd", (vfu.Device,), {"capabilities": said})()


def test_capabilities_that_are_no_list():
    with pytest.raises(TypeError, match="capabilities are PCI's"):
        type("Odd", (vfu.Device,), {"capabilities": pci.Vendor(b"1")})()


def test_registers_stay_behind_the_header():
    config = vfu.ConfigSpace()
    with pytest.raises(vfu.Error, match="the header, below 0x40, is the library's"):
        type("Odd", (vfu.Device,), {"config": config, "command": config.reg16(4)})()
    with pytest.raises(ValueError, match="no 4-byte register at 0x100"):
        config.reg32(0x100)


def test_rom_from_a_file(tmp_path, connect):
    path = tmp_path / "rom"
    path.write_bytes(b"\x55\xaa" + bytes(3000))
    dev = connect(type("Booted", (vfu.Device,), {"rom": vfu.Rom(path)})())
    assert dev.regions.rom.size == 4096 and dev.regions.rom.read(0, 3) == b"\x55\xaa\0"
