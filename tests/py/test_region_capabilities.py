# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What a device says of a region besides its size, and what a client sees of it."""

import asyncio
import contextlib
import errno
import os
import socket
import tempfile
import time

import pytest

import vfu
from vfu import protocol

PAGE = 4096
STRANGE = protocol.UnknownLink(protocol.RegionCapHeader(id=4711, version=3), b"unheard of")


class Device(vfu.Device):
    bar0 = vfu.Bar(size=PAGE)
    bar1 = vfu.Bar(size=PAGE, capabilities=[protocol.CapType(type=0x80001234, subtype=7), STRANGE])
    bar2 = vfu.Bar(size=2 * PAGE, mmap=[(0, PAGE)], capabilities=[protocol.CapType(type=1)])


def test_both_ends(connect):
    dev = connect(Device())
    assert dev.regions.bar0.capabilities == []
    kind, strange = dev.regions.bar1.capabilities
    assert (type(kind), kind.type, kind.subtype) == (protocol.CapType, 0x80001234, 7)
    assert (strange.head.id, strange.head.version, strange.data) == (4711, 3, b"unheard of")
    assert dev.regions.bar1.type == 0x80001234
    areas, kind = dev.regions.bar2.capabilities
    assert [(area.offset, area.size) for area in areas.areas] == dev.regions.bar2.areas == [(0, PAGE)]
    assert kind.type == 1
    assert dev.regions.bar2.info.size == 2 * PAGE
    assert dev.regions.config.info.caps == []


@pytest.mark.parametrize(
    "capability, field",
    [
        (protocol.UnknownLink(protocol.RegionCapHeader(id=2, version=1), b"cut"), "get_region_info.cap_type"),
        (protocol.SparseMmap(areas=[protocol.SparseMmapArea(0, PAGE)]), "region_capability.id"),
        (protocol.SparseMmapFds(areas=[protocol.SparseFdArea(size=PAGE)]), "region_capability.id"),
    ],
)
def test_rules(capability, field):
    class Wrong(vfu.Device):
        bar0 = vfu.Bar(size=PAGE, mmap=True, capabilities=[capability])

    with pytest.raises(vfu.Error) as caught:
        Wrong()
    assert caught.value.field == field


class Logger(vfu.Device):
    bar0 = vfu.Bar(size=PAGE)
    log = vfu.DeviceRegion(3 * PAGE, type=0x80001234, subtype=7, mmap=[(PAGE, PAGE)])
    count = log.reg32(0x10, readonly=True)
    far = vfu.DeviceRegion(100, type=0x80001234, index=42, widths=(4,))

    @bar0.reg32(0).on_write
    def note(self, value):
        self.log[4 * self.count] = value
        self.count += 1


class Longer(Logger):
    log = vfu.DeviceRegion(4 * PAGE, type=0x80001234, subtype=7)
    count = log.reg32(0x10)
    other = vfu.DeviceRegion(PAGE, type=1)

    @other.event((0, 4))
    def rung(self):
        pass


def test_regions_of_the_devices_own(connect):
    """E38, E55: behind PCI's, found by what they are for."""
    device = Logger()
    dev = connect(device)
    assert dev.info.regions == len(dev.regions) == 43
    dev.regions.bar0.write32(0, 0x42)
    log = dev.regions.find(0x80001234, 7)
    assert (log.index, log.name, log.size, log.type, log.subtype) == (9, "region9", 3 * PAGE, 0x80001234, 7)
    assert (log.read8(0), log.read32(0x10)) == (0x42, 1)
    log.map()[1] = 7
    assert device.log[PAGE + 1] == log.read8(PAGE + 1) == 7
    assert dev.regions.find(0x80001234) is dev.regions[42]
    assert dev.regions[20].size == 0
    with pytest.raises(vfu.NotFound):
        dev.regions.find(0x80001234, 8)
    with pytest.raises(IndexError):
        dev.regions[43]
    longer = connect(Longer())
    assert [(i, r.size, r.type) for i in range(9, 43) if (r := longer.regions[i]).size] == [
        (9, 4 * PAGE, 0x80001234), (10, PAGE, 1), (42, 100, 0x80001234)]


def test_regions_that_can_not_be():
    for name, index in (("bar1", None), ("log", 100), ("log", 8)):
        with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:  # __set_name__: its cause, before 3.12
            type("D", (vfu.Device,), {name: vfu.DeviceRegion(PAGE, type=1, index=index)})
        assert ("another name" if index is None else "9..99") in str(caught.value.__cause__ or caught.value)
    twice = type("D", (vfu.Device,), {name: vfu.DeviceRegion(PAGE, type=1, index=9) for name in ("log", "copy")})
    with pytest.raises(ValueError, match="log and copy are both region 9"):
        twice()
    with pytest.raises(ValueError, match="devices have a dma of their own"):
        type("D", (vfu.Device,), {"dma": vfu.DeviceRegion(PAGE, type=1)})()


AGREED = {"capabilities": {"sparse_mmap_fds": True}}


@pytest.fixture
def queues(tmp_path):
    """A class whose region is one file with a path, one that is open, one of its own, and what lies between them."""
    path = tmp_path / "queue"
    path.write_bytes(bytes(2 * PAGE))
    with open(tmp_path / "other", "w+b") as other:
        other.truncate(PAGE)

        class Queues(vfu.Device):
            bar0 = vfu.Bar(8 * PAGE, mmap=[(0, PAGE, path, PAGE), (2 * PAGE, PAGE, other), (3 * PAGE, PAGE)])

        yield Queues, path, other


def test_e14_areas_with_files_of_their_own(connect, queues):
    """SPARSE_MMAP_FDS, when both sides have said it: each area is mapped from its file."""
    kind, path, other = queues
    device = kind()
    dev = connect(device, server_options=AGREED, **AGREED)
    bar = dev.regions.bar0
    (areas,) = bar.capabilities
    assert [(a.offset, a.fd_offset, a.size, a.fd_index) for a in areas.areas] == [
        (0, PAGE, PAGE, 0), (2 * PAGE, 0, PAGE, 1), (3 * PAGE, 0, PAGE, 2)]
    assert bar.areas == [(0, PAGE), (2 * PAGE, PAGE), (3 * PAGE, PAGE)]
    for i in range(3):
        with bar.map(i) as mapping:
            mapping[8] = 0x40 + i
        assert bar.read8(bar.areas[i][0] + 8) == device.bar0[bar.areas[i][0] + 8] == 0x40 + i
    assert path.read_bytes()[PAGE + 8] == 0x40
    assert os.pread(other.fileno(), 9, 0)[8] == 0x41
    bar.write(PAGE - 2, b"across")
    assert path.read_bytes()[-2:] == b"ac" and device.bar0[PAGE : PAGE + 4] == b"ross"


@pytest.mark.parametrize("server, client", [({}, AGREED), (AGREED, {}), (AGREED, AGREED | {"options": {"max_msg_fds": 1}})])
def test_files_that_are_not_agreed_on(connect, queues, caplog, server, client):
    """Without it, or where a message has no room for them, accesses go by messages."""
    kind, path, _ = queues
    dev = connect(kind(), server_options=server, **client)
    bar = dev.regions.bar0
    assert bar.areas == ([(0, PAGE)] if server and client else [])
    assert bar.mappable == bool(bar.areas)
    bar.write32(8, 5)
    assert path.read_bytes()[PAGE + 8] == 5
    assert ("bar0: no client can map its areas, whose files need sparse_mmap_fds" in caplog.text) != bool(server)


def test_file_that_is_too_short(tmp_path):
    (tmp_path / "queue").write_bytes(bytes(PAGE))
    with pytest.raises(vfu.Error, match="the file ends before the region, or the area, does"):
        type("Short", (vfu.Device,), {"bar0": vfu.Bar(8 * PAGE, mmap=[(0, 2 * PAGE, tmp_path / "queue")])})()


class Wide(vfu.Device):
    bar0 = vfu.Bar(size=PAGE, widths=(4, 8))
    bar1 = vfu.Bar(size=PAGE)
    seen = 0

    @bar0.reg32(0x10).on_write
    def doorbell(self, value):
        self.seen += 1


def test_widths(connect, caplog):
    """What has not a register's width is refused before any handler, memory included; a log line says why."""
    device = Wide()
    dev = connect(device)
    bar = dev.regions.bar0
    bar.write32(0x10, 1)
    bar.write64(0x20, 2**40)
    assert (bar.read32(0x20), bar.read32(0x24), device.seen) == (0, 256, 1)
    for access in (
        lambda: bar.read8(0),
        lambda: bar.read(0, 16),
        lambda: bar.read(2, 4),
        lambda: bar.write16(0x10, 1),
        lambda: bar.write(0x14, bytes(8)),
    ):
        with pytest.raises(vfu.Error) as caught:
            access()
        assert caught.value.errno == errno.EINVAL
    assert device.seen == 1
    assert "region.widths" in caplog.text
    assert dev.regions.bar1.read(3, 13) == bytes(13)
    with pytest.raises(ValueError, match="widths"):
        vfu.Bar(size=PAGE, widths=(3,))
    with pytest.raises(TypeError, match=r"\(4,\), not 4"):
        vfu.Bar(size=PAGE, widths=4)


class Bells(vfu.Device):
    bar0 = vfu.Bar(size=PAGE)
    rung = later = 0

    @bar0.event((0x40, 4), (0x44, 2, 7))
    def bell(self):
        self.rung += 1

    @bar0.event((0x80, 0))
    async def slow(self):
        await asyncio.sleep(0)
        self.later += 1

    @bar0.event((0x90, 0))
    def broken(self):
        raise RuntimeError("no bell")


@pytest.mark.parametrize("longer", [False, True])
def test_e4_entries_of_other_kinds(connect, longer):
    """A shadow ioeventfd, in the layout that has room for it, and an ioregionfd."""
    with tempfile.TemporaryFile() as memory, contextlib.ExitStack() as stack:
        memory.truncate(64)
        mine, theirs = (stack.enter_context(one) for one in socket.socketpair())

        class Shadowed(vfu.Device):
            bar0 = vfu.Bar(size=PAGE)
            bar0.ioregion(0x200, 0x100, theirs, user_data=77, posted_writes=True)
            seen = 0

            @bar0.event((0x40, 4), shadow=(memory, 16))
            def bell(self):
                self.seen = int.from_bytes(os.pread(memory.fileno(), 4, 16), "little")

        device = Shadowed()
        dev = connect(device, server_options={"policy": {"io_fd_layout": "longer" if longer else "text"}})
        entries, fds = dev.regions.bar0.io_fds()
        assert [one[:5] for one in entries] == [(2, 0, 0x40, 4, 0)] * longer + [(1, 2, 0x200, 0x100, 77)]
        assert len(fds) == 1 + 2 * longer and entries[-1].fd == fds[-1]
        os.write(entries[-1].fd, b"x")
        assert mine.recv(1) == b"x"
        if longer:
            os.pwrite(entries[0].shadow_fd, b"abcd", entries[0].shadow_offset)
            os.eventfd_write(entries[0].fd, 1)
            deadline = time.monotonic() + 10
            while not device.seen and time.monotonic() < deadline:
                dev.regions.bar0.read32(0)
            assert device.seen == int.from_bytes(b"abcd", "little")
        fds.close()
    with pytest.raises(ValueError, match="one place"):
        vfu.Bar(PAGE).event((0, 4), (4, 4), shadow=(0, 0))
    for places in ((0, 4), ((0,),), ((0, 4, 1, 1),)):
        with pytest.raises(TypeError, match=r"places are \(offset, size\)"):
            vfu.Bar(PAGE).event(*places)


def test_writes_that_come_as_events(connect, caplog):
    """GET_REGION_IO_FDS: the client signals an eventfd in place of a message, and a method is called."""
    device = Bells()
    dev = connect(device)
    reply = dev.call("get_region_io_fds", index=0)
    assert [(e.offset, e.size, e.fd_index, e.flags, e.datamatch) for e in reply.sub_regions] == [
        (0x40, 4, 0, 0, 0),
        (0x44, 2, 0, 1, 7),
        (0x80, 0, 1, 0, 0),
        (0x90, 0, 2, 0, 0),
    ]
    assert len(reply.fds) == 3
    for fd in reply.fds:
        os.eventfd_write(int(fd), 1)
    deadline = time.monotonic() + 10
    while (device.rung, device.later, "no bell" in caplog.text) != (1, 1, True) and time.monotonic() < deadline:
        dev.regions.bar0.read32(0)
    assert (device.rung, device.later, "no bell" in caplog.text) == (1, 1, True)
    reply.fds.close()
