# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Interrupts, from the device to the client."""

import errno
import os
import select
import signal
import socket
import threading
import time

import pytest

import vfu
import vfu.testing


class Device(vfu.Device):
    bar0 = vfu.Bar(size=4096)
    irqs = vfu.Irqs(intx=1, msi=4, msix=100)

    @bar0.reg32(0).on_write
    def msix(self, vector):
        self.delivered = self.irqs.msix[vector].trigger()

    @bar0.reg32(4).on_write
    def msi(self, vector):
        self.irqs.msi[vector].trigger()

    @bar0.reg32(8).on_write
    def intx(self, on):
        self.irqs.intx.raise_() if on else self.irqs.intx.lower()


def test_msix(connect):
    device = Device()
    dev = connect(device)
    assert (dev.irqs.msix.count, len(dev.irqs.msi), len(dev.irqs.intx)) == (100, 4, 1)
    dev.regions.bar0.write32(0, 3)
    dev.regions.bar0.write32(0, 3)
    assert dev.irqs.msix[3].wait(timeout=5) == 2
    assert dev.irqs.msix[3].wait(timeout=0) == 0
    assert dev.irqs.msix[4].wait(timeout=0) == 0
    assert device.delivered


def test_high_vectors_are_armed_at_first_use(connect):
    device = Device()
    dev = connect(device)
    dev.regions.bar0.write32(0, 99)
    assert not device.delivered
    assert dev.irqs.msix[99].wait(timeout=0) == 0
    dev.regions.bar0.write32(0, 99)
    assert device.delivered
    assert dev.irqs.msix[99].wait(timeout=5) == 1


def test_msi(connect):
    dev = connect(Device())
    dev.irqs.msi.enable()  # the client has begun with MSI-X
    dev.regions.bar0.write32(4, 2)
    assert dev.irqs.msi[2].wait(timeout=5) == 1


def test_intx(connect):
    dev = connect(Device())
    dev.regions.bar0.write32(8, 1)
    assert dev.irqs.intx.wait(timeout=5) == 1
    assert dev.config.status & 8
    dev.irqs.intx.unmask()  # the line is still up
    assert dev.irqs.intx.wait(timeout=5) == 1
    dev.regions.bar0.write32(8, 0)
    dev.irqs.intx.unmask()
    assert not dev.config.status & 8
    assert dev.irqs.intx.wait(timeout=0.01) == 0


def test_resampling(connect):
    """KVM's way with INTx: an eventfd unmasks it, and it comes again while the line is up."""
    dev = connect(Device())
    resample = os.eventfd(0)
    dev.irqs.intx.unmask_on(resample)
    dev.regions.bar0.write32(8, 1)
    assert dev.irqs.intx.wait(timeout=5) == 1
    for _ in range(3):
        os.eventfd_write(resample, 1)
        assert dev.irqs.intx.wait(timeout=5) == 1
    dev.regions.bar0.write32(8, 0)
    os.eventfd_write(resample, 1)
    dev.irqs.intx.unmask_on(None)
    assert dev.irqs.intx.wait(timeout=0) == 0
    os.close(resample)


def test_resampling_as_qemu_sets_it_up(connect):
    """QEMU with KVM masks the line while it hands it over, and unmasks it then: what was raised meanwhile comes."""
    dev = connect(Device())
    resample = os.eventfd(0)
    assert dev.irqs.intx.fd >= 0
    dev.irqs.intx.mask()
    dev.regions.bar0.write32(8, 1)
    assert dev.irqs.intx.wait(timeout=0) == 0
    dev.irqs.intx.unmask_on(resample)
    dev.irqs.intx.unmask()
    for _ in range(3):  # the guest's handler, which does not lower it, ends its interrupt
        assert dev.irqs.intx.wait(timeout=5) == 1
        os.eventfd_write(resample, 1)
    assert dev.irqs.intx.wait(timeout=5) == 1
    dev.regions.bar0.write32(8, 0)  # it does
    os.eventfd_write(resample, 1)
    dev.irqs.intx.mask()  # and QEMU takes it back
    dev.irqs.intx.unmask_on(None)
    dev.irqs.intx.unmask()
    assert dev.irqs.intx.wait(timeout=0) == 0
    os.close(resample)


def test_masking_by_eventfd(connect):
    dev = connect(Device())
    mask = os.eventfd(1)  # signalled before: that counts
    dev.irqs.intx.mask_on(mask)
    assert not dev.config.status & 8  # a round of the server
    dev.regions.bar0.write32(8, 1)
    assert dev.irqs.intx.wait(timeout=0) == 0
    dev.irqs.intx.unmask()
    assert dev.irqs.intx.wait(timeout=5) == 1
    with pytest.raises(vfu.Error, match="can not be masked"):
        dev.irqs.msix.mask_on(mask)
    os.close(mask)


def test_error_and_request(connect):
    device = Device()
    dev = connect(device, irqs="all")
    assert (repr(device.irqs.err), repr(device.irqs.intx)) == ("<vfu.Vector err>", "<vfu.Line intx>")
    assert device.irqs.err.trigger() and device.irqs.req.trigger()
    assert dev.irqs.err.wait(timeout=5) == 1
    assert dev.irqs.req.wait(timeout=5) == 1


def test_some_vectors_in_one_message(connect):
    dev = connect(Device())
    msix = dev.irqs.msix
    before = dev.stats["requests_out"]
    msix.trigger(1, 3, -37)  # 63
    assert dev.stats["requests_out"] == before + 1
    assert [i for i in range(64) if msix[i].wait(timeout=0)] == [1, 3, 63]
    msix.trigger()
    assert msix[0].wait(timeout=5) == 1
    with pytest.raises(IndexError):
        msix.trigger(100)
    dev.irqs.intx.mask(0)
    dev.irqs.intx.unmask(0)
    with pytest.raises(vfu.Error, match="can not be masked"):
        msix.mask(0, 1)


def test_eventfd_of_ones_own(connect):
    dev = connect(Device())
    own = os.eventfd(0, os.EFD_NONBLOCK)
    dev.irqs.msix[3].use(own)
    dev.regions.bar0.write32(0, 3)
    assert os.eventfd_read(own) == 1
    dev.irqs.msix.use(own)
    dev.irqs.msix.trigger(0, 3)
    assert os.eventfd_read(own) == 2
    os.close(own)
    dev.regions.bar0.write32(0, 3)
    assert dev.irqs.msix[3].wait(timeout=5) == 1
    dev.irqs.msix[3].use(None)
    dev.regions.bar0.write32(0, 3)
    assert dev.irqs.msix[3].wait(timeout=5) == 1 and dev.irqs.msix[0].wait(timeout=0) == 0
    with pytest.raises(OSError):
        dev.irqs.msix[3].use(-1)
    with open(os.devnull) as file, pytest.raises(vfu.Error, match="set_irqs"):
        dev.irqs.msix[3].use(file)
    dev.irqs.msix[3].trigger() if dev.irqs.msix[3].fd else None
    assert dev.irqs.msix[3].wait(timeout=5) == 1


def test_one_kind_at_a_time(connect):
    device = Device()
    dev = connect(device)
    dev.irqs.msi.enable()
    dev.regions.bar0.write32(0, 3)
    assert not device.delivered
    assert dev.irqs.msix[3].wait(timeout=0) == 0
    dev.regions.bar0.write32(0, 3)
    assert device.delivered
    assert dev.irqs.msix[3].wait(timeout=5) == 1


def test_all_kinds_at_once(connect):
    dev = connect(Device(), irqs="all")
    dev.regions.bar0.write32(0, 3)
    dev.regions.bar0.write32(4, 2)
    dev.regions.bar0.write32(8, 1)
    assert dev.irqs.msix[3].wait(timeout=5) == 1
    assert dev.irqs.msi[2].wait(timeout=5) == 1
    assert dev.irqs.intx.wait(timeout=5) == 1


def test_odd_timeouts(connect):
    """A little is not nothing, and nonsense is named."""
    dev = connect(Device())
    assert dev.serve(1e-9) == 0
    assert dev.irqs.msix[0].wait(1e-9) == 0
    for timeout in (-1, 1e300, float("nan")):
        with pytest.raises(ValueError, match="a timeout of"):
            dev.serve(timeout)
        with pytest.raises(ValueError, match="a timeout of"):
            vfu.Client("/nowhere", timeout=timeout)
    for name, values, rule in [
        ("max_msg_fds", (-1, 1 << 64, 0, 9999), "from 1 to 64"),
        ("dma_window", (-1, 1 << 64, 0), "from 1 to 1024"),
        ("trace", ("1", None, 0.5), "it is a number"),
    ]:
        for value in values:
            with pytest.raises(ValueError, match=f"option {name} can not be {value!r}: {rule}"):
                vfu.Client("/nowhere", options={name: value})


def test_wait_times_out(connect):
    dev = connect(Device())
    start = time.monotonic()
    assert dev.irqs.msix[0].wait(timeout=0.05) == 0
    assert time.monotonic() - start > 0.04


@pytest.fixture
def alarm():
    """A wait that hangs ends after 20 s, with an error."""

    def ring(*_):
        raise TimeoutError("the wait does not end")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_a_wait_ends_whatever_the_device_does_to_the_eventfd(connect, alarm):
    dev = connect(Device())
    os.set_blocking(dev.irqs.msix[0].fd, True)  # the flag belongs to the file, which the device has as well
    assert dev.irqs.msix[0].wait(timeout=0.05) == 0
    dev.regions.bar0.write32(0, 0)
    assert dev.irqs.msix[0].wait(timeout=5) == 1


def test_a_client_can_not_stop_the_device(connect, alarm):
    dev = connect(Device())
    fd = dev.irqs.msix[0].fd
    os.set_blocking(fd, True)
    os.eventfd_write(fd, 0xFFFF_FFFF_FFFF_FFFE)
    dev.regions.bar0.write32(0, 0)
    dev.regions.bar0.write32(0, 1)
    assert dev.irqs.msix[1].wait(timeout=5) == 1


def test_eventfd_for_event_loops(connect):
    dev = connect(Device())
    fd = dev.irqs.msix[0].fd
    assert select.select([fd], [], [], 0)[0] == []
    dev.regions.bar0.write32(0, 0)
    assert select.select([fd], [], [], 5)[0] == [fd]


def test_without_a_client(serve):
    """E47: messages are lost, also those that wait for bus mastering when a client goes; a line stays up."""
    device = Device()
    path = serve(device)
    assert not any(one.trigger() for one in (device.irqs.msix[0], device.irqs.msi[0], device.irqs.err, device.irqs.req))
    with vfu.Client(path, irqs="all") as dev:
        dev.config.bus_master = False
        dev.regions.bar0.write32(0, 1)
        assert device.delivered
    until_gone(device)
    assert not device.irqs.intx.raise_()
    with vfu.Client(path, irqs="all") as dev:
        dev.config.bus_master = True
        assert [dev.irqs.msix[i].wait(timeout=0) for i in range(2)] == [0, 0]
        assert dev.irqs.err[0].wait(timeout=0) == dev.irqs.req[0].wait(timeout=0) == 0
        assert dev.irqs.intx.wait(timeout=5) == 1
        dev.regions.bar0.write32(0, 1)
        assert dev.irqs.msix[1].wait(timeout=5) == 1


def until_gone(device):
    deadline = time.monotonic() + 60
    while "no client" not in repr(device) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert "no client" in repr(device)


def test_trigger_by_client(connect):
    dev = connect(Device())
    dev.irqs.msix[1].trigger()
    assert dev.irqs.msix[1].wait(timeout=5) == 1


def test_bus_mastering_comes_with_the_first_use(connect):
    dev = connect(Device(), irqs=False)
    assert not dev.config.bus_master
    dev.irqs.intx.fd
    assert not dev.config.bus_master
    dev.irqs.msix[3].fd
    assert dev.config.bus_master
    dev.reset()
    assert not dev.config.bus_master
    dev.regions.bar0.write32(0, 3)
    assert dev.irqs.msix[3].wait(timeout=5) == 1


def test_no_interrupt_without_bus_mastering(connect, caplog):
    device = Device()
    dev = connect(device, bus_master=False)
    for vector in 2, 2, 3:
        dev.regions.bar0.write32(0, vector)
    assert device.delivered  # or will be
    assert dev.irqs.msix[2].wait(timeout=0.02) == 0
    dev.config.command  # its answer comes behind that which says why not
    assert dev.irqs.msix[2].wait(timeout=0.02) == 0
    said = [record.message for record in caplog.records]
    assert [text for text in said if "waits" in text] == [
        f"MSI-X {vector} waits: the client has not turned bus mastering on (E63)" for vector in (2, 3)
    ]
    assert sum("no interrupt: bus mastering is off" in text for text in said) == 1
    dev.config.bus_master = True
    assert dev.irqs.msix[2].wait(timeout=5) == 1
    assert dev.irqs.msix[3].wait(timeout=5) == 1


def test_a_wait_asks_once(connect):
    """And not at all without time."""
    dev = connect(Device())
    dev.config  # which is asked about
    before = dev.stats["requests_out"]
    for timeout in [0, 0.01] * 10:
        assert dev.irqs.msix[2].wait(timeout=timeout) == 0
    assert dev.stats["requests_out"] == before + 1


class Busy(Device):
    """Answers nothing more when it is told to."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    @Device.bar0.reg32(12).on_write
    def be_busy(self, value):
        self.go.wait(60)


def test_a_wait_keeps_its_time(connect):
    """With a device that does not answer, and a client that would wait for ever."""
    device = Busy()
    with vfu.testing.plug(device, timeout=0) as dev:
        dev.irqs.msix[2].fd
        dev.regions.bar0.write32(12, 1, post=True)
        for timeout in 0, 0.01, 0.01:
            assert dev.irqs.msix[2].wait(timeout=timeout) == 0
        assert not device.go.is_set()
        device.go.set()


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_a_wait_learns_of_the_end(timeout):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = vfu.Server(Device(), fd=theirs)
        theirs.close()
        with server.start(), vfu.Client(fd=ours) as dev:
            ours.close()
            dev.irqs.msix[2].fd
            server.close()
            for _ in range(2):
                with pytest.raises(vfu.Disconnected):
                    dev.irqs.msix[2].wait(timeout=timeout)


def test_bus_mastering_may_not_matter(connect):
    dev = connect(Device(), {"policy": {"bus_master": "ignore"}}, bus_master=False)
    dev.regions.bar0.write32(0, 2)
    assert dev.irqs.msix[2].wait(timeout=5) == 1


def test_not_armed(connect):
    device = Device()
    dev = connect(device, irqs=False)
    dev.config.bus_master = True
    dev.regions.bar0.write32(0, 0)
    assert device.delivered is False


def test_disable(connect):
    device = Device()
    dev = connect(device)
    dev.irqs.msix.disable()
    dev.regions.bar0.write32(0, 0)
    assert device.delivered is False
    dev.irqs.msix[0].fd
    dev.regions.bar0.write32(0, 0)
    assert dev.irqs.msix[0].wait(timeout=5) == 1


def test_no_such_vector(connect):
    device = Device()
    with pytest.raises(IndexError):
        device.irqs.msix[100]
    dev = connect(device)
    with pytest.raises(vfu.Error) as caught:
        dev.regions.bar0.write32(0, 100)
    assert caught.value.errno == errno.EIO
    with pytest.raises(AttributeError):
        dev.irqs.nmi


def test_waiting_ends_with_the_connection(serve):
    server_path = serve(Device())
    dev = vfu.Client(server_path)
    dev.close()
    with pytest.raises((vfu.Error, ValueError)):
        dev.irqs.msix[0].wait(timeout=5)


def test_bad_numbers():
    for numbers in {"intx": -1}, {"msi": 1 << 32}, {"msix": 2049}, {"msix_table": 1 << 32}, {"msix_pba": -8}:
        with pytest.raises(ValueError, match=next(iter(numbers))):
            vfu.Irqs(**numbers)


def table_of(dev):
    """The BAR with the table, and where table and pending bits are in it."""
    (cap,) = [cap for cap in dev.config.capabilities if cap.id == 0x11]
    table, pba = (int.from_bytes(cap.data[at : at + 4], "little") for at in (4, 8))
    assert table & 7 == pba & 7
    return dev.regions[table & 7], table & ~7, pba & ~7


def test_table(connect):
    dev = connect(Device())
    bar, table, pba = table_of(dev)
    control = table + 2 * 16 + 12
    assert bar.read32(control) == 1
    dev.regions.bar0.write32(0, 2)  # nobody has written the entry, so it masks nothing
    assert dev.irqs.msix[2].wait(timeout=5) == 1
    bar.write64(table + 2 * 16, 0xFEE0_0000)
    bar.write32(control, 1)
    dev.regions.bar0.write32(0, 2)
    dev.regions.bar0.write32(0, 3)
    assert dev.irqs.msix[2].wait(timeout=0.02) == 0
    assert dev.irqs.msix[3].wait(timeout=5) == 1
    assert bar.read32(pba) == 4
    bar.write32(control, 0)
    assert dev.irqs.msix[2].wait(timeout=5) == 1
    assert bar.read32(pba) == 0
    bar.write32(control, 1)
    dev.regions.bar0.write32(0, 2)
    dev.reset()
    assert (bar.read64(table + 2 * 16), bar.read32(control), bar.read32(pba)) == (0, 1, 0)
    assert dev.irqs.msix[2].wait(timeout=0.02) == 0
    dev.regions.bar0.write32(0, 2)
    assert dev.irqs.msix[2].wait(timeout=5) == 1


def test_table_placement(connect):
    class Placed(vfu.Device):
        bar4 = vfu.Bar(size=8192)
        irqs = vfu.Irqs(msix=8, msix_bar=4, msix_table=0x1000, msix_pba=0x1800)

    (cap,) = [c for c in connect(Placed()).config.capabilities if c.id == 0x11]
    assert int.from_bytes(cap.data[4:8], "little") == 0x1004
    assert int.from_bytes(cap.data[8:12], "little") == 0x1804

    class Full(vfu.Device):
        bar0 = vfu.Bar(size=16, is64=True)
        bar2 = vfu.Bar(size=16, is64=True)
        bar4 = vfu.Bar(size=16, is64=True)
        irqs = vfu.Irqs(msix=1)

    with pytest.raises(ValueError, match="^Full.irqs: no BAR is free"):
        Full()


def test_a_table_that_does_not_fit_its_bar():
    class Small(vfu.Device):
        bar0 = vfu.Bar(size=64)
        irqs = vfu.Irqs(msix=8, msix_bar=0)

    with pytest.raises(vfu.Error, match=r"Small.irqs: msix.table_offset 0: its 128 bytes are not in a BAR of 0x40 bytes$") as caught:
        Small()
    assert caught.value.field == "msix.table_offset"

    class Port(vfu.Device):
        bar0 = vfu.Bar(size=64, io=True)
        irqs = vfu.Irqs(msix=1, msix_bar=0)

    with pytest.raises(vfu.Error, match="Port.irqs: msix.bar: there is no BAR 0 of memory"):
        Port()

    class Wide(vfu.Device):
        bar5 = vfu.Bar(size=64, is64=True)

    with pytest.raises(vfu.Error, match="Wide.bar5: a 64-bit BAR needs the next BAR's register"):
        Wide()


def test_table_in_a_mapped_bar(connect, caplog):
    """E66: its pages are in no area, so it works, and its pending bits are read, though the BAR is mapped."""

    class Mapped(Device):
        bar4 = vfu.Bar(size=16384, mmap=True)
        irqs = vfu.Irqs(msix=8, msix_bar=4, msix_table=0x1000, msix_pba=0x1800)

    dev = connect(Mapped())
    bar, table, pba = table_of(dev)
    assert bar.areas == [(0, 0x1000), (0x2000, 0x2000)]
    assert not caplog.records
    control = table + 2 * 16 + 12
    bar.write32(control, 1)
    assert bar.read32(control) == 1
    dev.regions.bar0.write32(0, 2)
    assert dev.irqs.msix[2].wait(timeout=0) == 0
    assert bar.read32(pba) == 4
    bar.write32(control, 0)
    assert dev.irqs.msix[2].wait(timeout=5) == 1
    assert bar.read32(pba) == 0


def test_table_in_a_bar_of_one_page(connect, caplog):
    class Small(Device):
        bar4 = vfu.Bar(size=4096, mmap=True)
        irqs = vfu.Irqs(msix=8, msix_bar=4)

    dev = connect(Small())
    assert "region 4 can not be mapped" in caplog.text
    assert not dev.regions.bar4.mappable
    bar, table, _ = table_of(dev)
    assert bar.read32(table + 12) == 1
