# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The client's view of a PCI device: BARs found and placed, capabilities and MSI-X decoded; and `vfu read --enable`."""

import errno
import json
import subprocess
import sys

import pytest

import vfu
from vfu import pci

VFU = [sys.executable, "-m", "vfu"]


class Device(vfu.Device):
    capabilities = (
        pci.PowerManagement(d1=True),
        pci.Express(flr=True, speed=3, width=4),
        pci.Vendor(b"\x05\x06"),
        pci.SerialNumber(0x1122334455667788),
        pci.ExtendedVendor(0x0815, b"abcd", revision=2),
    )
    bar0 = vfu.Bar(size=4096)
    bar1 = vfu.Bar(size=64, io=True)
    bar2 = vfu.Bar(size=1 << 20, is64=True, prefetch=True)
    irqs = vfu.Irqs(intx=1, msi=4, msix=8)


class NeedsFirmware(vfu.Device):
    """As QEMU's server: no access to a BAR is taken before Command says that it is decoded, at an address."""

    bar0 = vfu.Bar(size=4096)
    everything = bar0.range(0, 4096)

    @everything.on_read
    def get(self, offset, size):
        self.check()
        return bytes([0x42] * size)

    @everything.on_write
    def put(self, offset, data):
        self.check()

    def check(self):
        if not self.config_read(4, 1)[0] & pci.COMMAND_MEMORY or not any(self.config_read(0x10, 4)):
            raise OSError(errno.EIO, "not decoded")


def test_bars(connect):
    dev = connect(Device(), bus_master=False)
    before = dev.config.read(0, 64)
    found = dev.config.bars()
    assert [(bar.bar, bar.size, bar.io, bar.is64, bar.prefetch) for bar in found] == [
        (0, 4096, False, False, False), (1, 64, True, False, False), (2, 1 << 20, False, True, True),
        (4, 4096, False, False, False),
    ]  # fmt: skip
    assert dev.config.read(0, 64) == before
    placed = dev.assign_bars()
    assert [bar.address for bar in placed] == [0xE000_0000, 0x1000, 1 << 39, 0xE000_1000]
    assert dev.config.command & 7 == pci.COMMAND_IO | pci.COMMAND_MEMORY
    assert dev.config.bars() == placed
    assert repr(placed[2]) == "<vfu.ClientBar 2: 0x100000 bytes of memory, 64-bit, prefetchable at 0x8000000000>"


def test_windows(connect):
    dev = connect(Device())
    placed = dev.assign_bars(io=range(0xC000, 0xC040), memory=range(0x1000, 0x20_0000), memory64=range(0))
    assert [bar.address for bar in placed] == [0x1000, 0xC000, 0x10_0000, 0x2000]
    with pytest.raises(vfu.Error, match="no room for BAR 1 of 0x40 bytes") as caught:
        dev.assign_bars(io=range(0xC000, 0xC03F))
    assert caught.value.errno == errno.ENOSPC
    assert dev.config.bars() == placed
    with pytest.raises(vfu.Error, match="a window ends too high"):
        dev.assign_bars(memory=range(1 << 31, 1 << 33))


class WithRom(vfu.Device):
    bar0 = vfu.Bar(size=1 << 16)
    rom = vfu.Rom(b"\x55\xaa" + bytes(5000))


def test_rom(connect):
    dev = connect(WithRom())
    assert [(bar.bar, bar.size, bar.address, bar.rom_on) for bar in dev.config.bars()] == [
        (0, 1 << 16, 0, False), (6, 8192, 0, False)]
    bar0, rom = dev.assign_bars()
    assert (bar0.address, rom.address, rom.rom_on, dev.config.read(0x30, 4)) == (
        0xE000_0000, 0xE001_0000, False, (0xE001_0000).to_bytes(4, "little"))
    assert repr(rom) == "<vfu.ClientBar ROM: 0x2000 bytes at 0xe0010000, off>"
    rom = dev.assign_bars(rom=True)[1]
    assert rom.rom_on and dev.config.read(0x30, 4)[0] == 1 and dev.config.bars()[1] == rom
    assert dev.regions.rom.read(0, 2) == b"\x55\xaa"
    with pytest.raises(vfu.Error, match="no room for the ROM of 0x2000 bytes"):
        dev.assign_bars(memory=range(0xE000_0000, 0xE001_1000))
    assert dev.config.bars() == [bar0, rom]


def test_msix(connect):
    device = Device()
    dev = connect(device)
    table = dev.config.msix()
    assert (len(table), table.table_bar, table.enabled, table.masked) == (8, 4, False, False)
    bar = dev.regions[table.table_bar]
    bar.write64(table.table_offset + 3 * 16, 0xFEE0_1000)
    bar.write64(table.table_offset + 3 * 16 + 8, 0x31)
    assert table[3] == pci.MsixEntry(0xFEE0_1000, 0x31, False, False)
    assert table[0].masked
    with pytest.raises(IndexError, match="8 vectors"):
        table[8]
    with pytest.raises(vfu.NotFound):
        connect(NeedsFirmware()).config.msix()


def test_fields(connect):
    dev = connect(Device())
    said = {cap.name: cap.fields for cap in dev.config.capabilities + dev.config.extended_capabilities}
    assert said["MSI-X"]["vectors"] == 8 and said["MSI-X"]["table_bar"] == 4
    assert said["MSI"]["vectors"] == 4 and said["MSI"]["on"] is False
    assert said["Power Management"] == {"version": 3, "d1": True, "d2": False, "state": 0, "no_soft_reset": False}
    express = {"flr": True, "max_speed": 3, "max_width": 4, "speed": 3, "width": 4, "max_payload": 128, "type": 0}
    assert express.items() <= said["PCI Express"].items()
    assert said["Serial Number"] == {"number": 0x1122334455667788}
    assert said["Vendor Specific"] in ({"length": 5}, {"vendor_capability": 0x815, "revision": 2, "length": 12})


def test_fields_of_what_is_short():
    assert pci.Capability(0x11, 0xFC, b"\x11\0\x03\x80").fields == {"vectors": 4, "on": True, "masked": False}
    assert pci.Capability(0x10, 0xFE, b"\x10\0").fields == {}
    assert pci.ExtendedCapability(0x7777, 1, 0x100, bytes(8)).fields == {}


def run(*args):
    return subprocess.run([*VFU, *map(str, args)], capture_output=True, text=True, timeout=60)


def test_enable(serve):
    path = serve(NeedsFirmware())
    refused = run("read", path, "bar0+0:8")
    assert refused.returncode == 1 and "not decoded" not in refused.stdout
    assert run("read", path, "--enable", "bar0+0:8").stdout == "0x42\n"
    assert run("write", path, "--enable", "bar0+0=1").returncode == 0
    assert "00000000  42 42" in run("dump", path, "--enable", "bar0,16").stdout
    assert run("wait", path, "--enable", "bar0+0:8=0x42").stdout == "0x42\n"
    shell = run("shell", path, "--enable", "-c", "bar0.read8(0)")
    assert shell.stdout == "66\n", shell.stderr


def test_info_tells_what_capabilities_say(serve):
    facts = json.loads(run("info", serve(Device()), "--json").stdout)["pci"]
    msix = next(cap for cap in facts["capabilities"] if cap["name"] == "MSI-X")
    assert (msix["vectors"], msix["table_bar"], msix["on"]) == (8, 4, False)
    assert {"name": "Serial Number", "number": 0x1122334455667788}.items() <= facts["extended_capabilities"][0].items()
