# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The thermometer of the tutorial, step by step as its file has them. The last one, a guest, is in check-qemu."""

import importlib.util
import os
import time

import pytest

import vfu
import vfu.testing

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python", "examples")
FILE = os.path.join(EXAMPLES, "thermometer.py")
spec = importlib.util.spec_from_file_location("thermometer", FILE)
thermometer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(thermometer)
Thermometer, RECORD = thermometer.Thermometer, thermometer.RECORD

IDENTITY, TEMPERATURE, THRESHOLD, STATUS = 0x00, 0x04, 0x08, 0x0C
ENABLE, ENABLE_SET, ENABLE_CLEAR, CONTROL, SAMPLES = 0x10, 0x14, 0x18, 0x1C, 0x20
RING, RING_SIZE, RING_HEAD, DOORBELL = 0x28, 0x30, 0x34, 0x38
ALARM, REPORTED, FAILED = 1, 2, 4


@pytest.fixture
def plugged():
    """A thermometer that takes a sample only if it is told to, and its client."""
    device = Thermometer(period=0)
    with vfu.testing.plug(device) as dev:
        yield device, dev


def until(condition):
    """Waits for something that happens elsewhere."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.001)


def temperatures(seed, count):
    """What a thermometer measures from its start on, and after a reset."""
    device = Thermometer(seed=seed)
    found = []
    for _ in range(count):
        device.outside += (20_000 - device.outside) // 10 + device.weather.randint(-1000, 1000)
        found.append(device.outside)
    return found


def records(ram, count, at=0):
    return [RECORD.unpack_from(ram, at + i * RECORD.size) for i in range(count)]


# ---- step 1 ----


def test_identity_and_temperature(plugged):
    device, dev = plugged
    bar = dev.regions.bar0
    assert (dev.config.vendor_id, dev.config.device_id) == (0x1234, 0x7E39)
    assert bar.read(IDENTITY, 4) == b"TEMP"
    device.temperature = 21_500
    for register in IDENTITY, TEMPERATURE:
        bar.write32(register, 0)
    assert (bar.read(IDENTITY, 4), bar.read32(TEMPERATURE)) == (b"TEMP", 21_500)


# ---- step 2 ----


def test_alarm_until_it_is_cleared(plugged):
    device, dev = plugged
    bar = dev.regions.bar0
    bar.write32(THRESHOLD, 25_000)
    device.measured(25_000)
    assert bar.read32(STATUS) == 0
    device.measured(25_001)
    device.measured(20_000)
    assert (bar.read32(STATUS), bar.read32(TEMPERATURE)) == (ALARM, 20_000)
    bar.write32(STATUS, 0)
    bar.write32(STATUS, REPORTED | FAILED)
    assert device.alarm == 1
    bar.write32(STATUS, ALARM)
    assert (device.alarm, bar.read32(STATUS)) == (0, 0)


def test_status_bits_are_cleared_one_by_one(plugged):
    device, dev = plugged
    bar = dev.regions.bar0
    device.alarm = device.reported = device.failed = 1
    for bit, left in (ALARM, 6), (FAILED, 2), (0xFFFFFFFF, 0):
        bar.write32(STATUS, bit)
        assert bar.read32(STATUS) == left


# ---- step 3 ----


def test_only_what_is_enabled_interrupts(plugged):
    device, dev = plugged
    bar, alarm = dev.regions.bar0, dev.irqs.msix[0]
    device.measured(40_000)
    assert alarm.wait(timeout=0) == 0
    bar.write32(STATUS, ALARM)
    bar.write32(ENABLE_SET, 0xFFFFFFFF)
    assert bar.read32(ENABLE) == bar.read32(ENABLE_SET) == bar.read32(ENABLE_CLEAR) == 7
    device.measured(40_000)
    device.measured(40_000)  # the alarm is on already
    assert alarm.wait(timeout=30) == 1
    bar.write32(ENABLE_CLEAR, ALARM)
    bar.write32(STATUS, ALARM)
    device.measured(40_000)
    assert alarm.wait(timeout=0) == 0 and bar.read32(ENABLE) == 6
    bar.write32(ENABLE, 7)  # is for reading
    assert bar.read32(ENABLE) == 6


def test_what_happened_before_it_was_enabled_interrupts(plugged):
    device, dev = plugged
    device.measured(40_000)
    device.failed = 1
    dev.regions.bar0.write32(ENABLE_SET, ALARM | REPORTED)
    assert [vector.wait(timeout=0) for vector in dev.irqs.msix[:]] == [1, 0, 0]


def test_the_line_is_up_until_all_that_is_enabled_is_cleared():
    device = Thermometer()
    with vfu.testing.plug(device, irqs=False) as dev:
        bar, line = dev.regions.bar0, dev.irqs.intx
        line.enable()
        device.reported = device.failed = 1
        bar.write32(ENABLE_SET, ALARM | REPORTED)
        assert line.wait(timeout=30) == 1
        device.measured(40_000)
        bar.write32(STATUS, ALARM)
        line.unmask()
        assert line.wait(timeout=30) == 1  # still up
        bar.write32(ENABLE_CLEAR, REPORTED)
        line.unmask()
        assert line.wait(timeout=0) == 0 and bar.read32(STATUS) == REPORTED | FAILED
        bar.write32(ENABLE_SET, FAILED)
        assert line.wait(timeout=30) == 1
        dev.reset()
        line.unmask()
        assert line.wait(timeout=0) == 0


# ---- step 4 ----


def test_samples_follow_from_the_seed():
    device = Thermometer(period=0, seed=7)
    seen, measured = [], device.measured
    device.measured = lambda temperature: (seen.append(temperature), measured(temperature))
    with vfu.testing.plug(device) as dev:
        dev.regions.bar0.write32(CONTROL, 0xFFFFFFFF)
        until(lambda: len(seen) >= 100)
        dev.regions.bar0.write32(CONTROL, 0)
        assert dev.regions.bar0.read32(CONTROL) == 0
    assert seen == temperatures(7, len(seen)) != temperatures(8, len(seen))
    assert device.samples == len(seen)


@pytest.mark.parametrize("end", ["stop", "reset", "disconnect"])
def test_sampling_ends(end):
    device = Thermometer(period=0, seed=3)
    with vfu.testing.plug(device) as dev:
        bar = dev.regions.bar0
        bar.write32(CONTROL, 1)
        until(lambda: device.sampling)
        first = device.sampling
        bar.write32(CONTROL, 1)  # instead of that one
        until(first.done)
        until(lambda: device.samples > 5)
        if end == "stop":
            bar.write32(CONTROL, 0)
        if end == "reset":
            dev.reset()
            assert (bar.read32(SAMPLES), bar.read32(CONTROL), bar.read32(THRESHOLD)) == (0, 0, 30_000)
        if end != "disconnect":
            until(device.sampling.done)
            assert bar.read32(SAMPLES) == (0 if end == "reset" else device.samples)
            bar.write32(CONTROL, 1)  # and it begins anew
            until(lambda: bar.read32(SAMPLES) > 5)
    assert device.sampling.done() and device.running == 0


def test_served_with_arguments():
    with vfu.testing.served(FILE, "period=0", "seed=7") as dev:
        ram = dev.dma.alloc(4096)
        bar = dev.regions.bar0
        bar.write64(RING, ram.iova)
        bar.write32(RING_SIZE, 512)
        bar.write32(CONTROL, 1)
        until(lambda: bar.read32(RING_HEAD) >= 20)
        bar.write32(CONTROL, 0)
        found = records(ram, 20)
        expected = temperatures(7, max(n for n, _ in found))  # it is ahead by rounds of the ring on a busy machine
        assert [n % 512 for n, _ in found] == list(range(1, 21))
        assert [temperature for _, temperature in found] == [expected[n - 1] for n, _ in found]


# ---- step 5 ----


@pytest.mark.parametrize("shared", [True, False], ids=["mapped", "messages"])
def test_ring(plugged, shared):
    device, dev = plugged
    bar, ram = dev.regions.bar0, dev.dma.alloc(4096, shared=shared)
    size = 5
    bar.write32(RING, ram.iova + 8 & 0xFFFFFFFF)  # in halves, which are storage
    bar.write32(RING + 4, ram.iova >> 32)
    bar.write32(RING_SIZE, size)
    bar.write32(CONTROL, 1)
    until(lambda: bar.read32(SAMPLES) > 3 * size)
    bar.write32(CONTROL, 0)
    until(device.sampling.done)
    found = sorted(records(ram, size, at=8))
    last = found[-1][0]
    expected = list(enumerate(temperatures(0, last), 1))
    assert found == expected[-size:]
    # A record whose reply was on the way when all stopped is there, and the head does not count it.
    assert records(ram, size, at=8)[bar.read32(RING_HEAD) - 1] in found[-2:]
    assert ram[:8] == bytes(8) and ram[8 + 8 * size : 64] == bytes(56 - 8 * size)
    bar.write32(RING_SIZE, 2)  # smaller than where the head is, perhaps
    bar.write32(CONTROL, 1)
    before = bar.read32(SAMPLES)
    until(lambda: bar.read32(SAMPLES) > before + 3)
    assert bar.read32(RING_HEAD) < 2 and bar.read32(STATUS) == 0


@pytest.mark.parametrize("shared", [True, False], ids=["mapped", "messages"])
@pytest.mark.parametrize("halves", [(0, 4), (4, 0)])
def test_doorbell_in_halves_is_one(plugged, shared, halves):
    device, dev = plugged
    bar, ram = dev.regions.bar0, dev.dma.alloc(4096, iova=0x1_2345_6000, shared=shared)
    bar.write32(ENABLE_SET, REPORTED | FAILED)
    device.measured(12_345)
    for times in range(1, 3):
        device.samples = times
        for at in halves:
            bar.write32(DOORBELL + at, ram.iova + 16 * times >> 8 * at & 0xFFFFFFFF)
        assert dev.irqs.msix[1].wait(timeout=30) == 1
        assert records(ram, 1, at=16 * times) == [(times, 12_345)]
    assert bar.read32(STATUS) == REPORTED
    bar.write32(STATUS, REPORTED)
    bar.write64(DOORBELL, ram.iova)
    assert dev.irqs.msix[1].wait(timeout=30) == 1
    assert [vector.wait(timeout=0) for vector in dev.irqs.msix[:]] == [0, 0, 0]


def test_dma_that_fails_is_told(plugged):
    device, dev = plugged
    bar = dev.regions.bar0
    bar.write32(ENABLE_SET, FAILED)
    bar.write64(DOORBELL, 0xDEAD_0000)
    assert dev.irqs.msix[2].wait(timeout=30) == 1 and bar.read32(STATUS) == FAILED
    bar.write32(STATUS, FAILED)
    bar.write32(RING_SIZE, 4)  # and no ring
    bar.write32(CONTROL, 1)
    assert dev.irqs.msix[2].wait(timeout=30) >= 1
    until(lambda: bar.read32(SAMPLES) > 3)  # which goes on
    assert (bar.read32(STATUS), bar.read32(RING_HEAD)) == (FAILED, 0)
