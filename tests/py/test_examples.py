# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The example devices, as their drivers use them. A real guest does in check-qemu."""

import asyncio
import importlib.util
import os
import subprocess
import sys
import time

import pytest

import vfu

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python", "examples")


def load(*path):
    """A module of the examples; there are two that are called edu."""
    spec = importlib.util.spec_from_file_location("_".join(path), os.path.join(EXAMPLES, *path) + ".py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


edu, edu_driver, gpio, serial = load("edu"), load("drivers", "edu"), load("gpio"), load("serial")


def run(name, *args):
    """What an example prints that is a program."""
    command = [sys.executable, os.path.join(EXAMPLES, name), *args]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout


def until(condition):
    """Waits for something that happens elsewhere."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.001)


def test_examples_are_short():
    for directory, _, names in os.walk(EXAMPLES):
        for name in (name for name in names if name.endswith((".py", ".sh"))):
            with open(os.path.join(directory, name)) as file:
                assert len(file.readlines()) < 400, name


# ---- edu ----


class LineEdu(edu.Edu):
    irqs = vfu.Irqs(intx=1)

    def interrupt(self, why):
        self.interrupt_status |= why
        self.irqs.intx.raise_()


class SlowEdu(edu.Edu):
    """Takes as long as the test wants."""

    work_done = False

    async def take_time(self):
        while not self.work_done:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("kind", [edu.Edu, LineEdu])
def test_edu_and_its_driver(connect, quiet, kind):
    driver = edu_driver.EduDriver(connect(kind()))
    assert driver.has_messages == (kind is edu.Edu)
    assert driver.version == (1, 0)
    assert driver.is_alive() and driver.is_alive(0)
    assert [driver.factorial(n) for n in (0, 1, 5, 12, 13, 34, 0xFFFFFFFF)] == [1, 1, 120, 479001600, 1932053504, 0, 0]
    assert driver.factorial_with_interrupt(10) == 3628800
    driver.raise_interrupt(0x80000006)
    assert driver.handle_interrupt() == 0x80000006
    driver.store(bytes(range(256)) * 16)
    driver.store(b"inside", at=4090)
    assert driver.load(4096) == (bytes(range(256)) * 16)[:-6] + b"inside"
    assert driver.load(3, at=7) == b"\7\10\11"


def test_edu_line_is_up_until_all_is_acknowledged(connect):
    dev = connect(edu.Edu(), irqs=False)
    dev.irqs.intx.enable()
    bar, line = dev.regions.bar0, dev.irqs.intx
    bar.write32(0x60, 0x5)
    assert line.wait(timeout=5) == 1
    bar.write32(0x64, 0x1)
    line.unmask()
    assert line.wait(timeout=5) == 1  # still up, for 0x4
    assert bar.read32(0x24) == 0x4
    bar.write32(0x64, 0xFFFFFFFF)
    line.unmask()
    assert line.wait(timeout=0) == 0 and bar.read32(0x24) == 0


def test_edu_is_busy_from_the_write_on(connect):
    device = SlowEdu()
    bar = connect(device).regions.bar0
    bar.write32(0x08, 4, post=True)  # as QEMU's are: the read comes right behind it
    assert bar.read32(0x20) == 0x01
    bar.write32(0x08, 5)  # too early: has no effect
    bar.write32(0x20, 0xFF)  # of which one bit can be written
    assert bar.read32(0x20) == 0x81
    device.work_done = True
    until(lambda: bar.read32(0x20) == 0x80)
    assert bar.read32(0x08) == 24 and bar.read32(0x24) == 0x001


def test_edu_reset_ends_what_runs(connect, quiet):
    device = SlowEdu()
    driver = edu_driver.EduDriver(dev := connect(device))
    bar = dev.regions.bar0
    bar.write32(0x08, 4)
    bar.write32(0x98, 0x5)
    bar.write32(0x98, 0x3)  # too early as well
    assert bar.read32(0x98) == 0x5
    dev.reset()
    assert (bar.read32(0x20), bar.read32(0x98), bar.read32(0x00)) == (0, 0, 0x010000ED)
    device.work_done = True
    assert driver.factorial(3) == 6
    assert bar.read32(0x24) == 0


@pytest.mark.parametrize("source, destination, count, command", [
    (0x0800_0000, 0x40FFF, 2, 0x1),
    (0x0800_0000, 0x3FFFF, 1, 0x1),
    (0x40000, 0x0800_0000, 4097, 0x3),
    (0x40000, 0x0800_0000, 1 << 63, 0x3),
    (0x0900_0000, 0x40000, 16, 0x1),  # nothing is mapped there
])
def test_edu_wrong_dma_copies_nothing(connect, caplog, source, destination, count, command):
    driver = edu_driver.EduDriver(connect(edu.Edu()))
    driver.memory[:] = b"x" * 4096
    for register, value in ((0x80, source), (0x88, destination), (0x90, count)):
        driver.bar.write64(register, value)
    driver.bar.write32(0x98, command)
    until(lambda: not driver.bar.read32(0x98) & 1)
    assert "DMA: " in caplog.text
    assert driver.memory[:] == b"x" * 4096
    assert driver.load(4096) == bytes(4096)


def test_edu_has_28_address_lines(connect):
    driver = edu_driver.EduDriver(connect(edu.Edu()))
    driver.store(b"there")
    driver.memory[:5] = b"-----"
    driver.memory.iova += 1 << 28  # comes out at the same place
    assert driver.load(5) == b"there"


def test_edu_driver_as_program(serve):
    said = run("drivers/edu.py", serve(edu.Edu()))
    assert said.splitlines() == [
        "version 1.0",
        "alive",
        "12! is 479001600",
        "10! is 3628800 with an interrupt",
        "interrupt for 0x42",
        "DMA: through the device and back",
    ]


# ---- serial ----

DATA, IER, IIR, FCR, LCR, MCR, LSR, MSR, SCR = 0, 1, 2, 2, 3, 4, 5, 6, 7


@pytest.fixture
def uart(connect):
    """The port's registers as a driver has them that has opened it; ._device is the device."""
    port = serial.Uart16550A()
    dev = connect(port)
    bar = dev.regions.bar0
    bar._device, bar._line = port, dev.irqs.intx
    bar.write8(FCR, 0x07 | 0x80)  # FIFOs on and clear, trigger level 8
    bar.write8(MCR, 0x0B)
    return bar


def interrupted(bar):
    """Whether the line is up."""
    bar._line.unmask()
    return bar._line.wait(timeout=0) > 0


def receive(bar, size):
    """So many bytes, as they come."""
    data = b""
    while len(data) < size:
        until(lambda: bar.read8(LSR) & 0x01)
        data += bytes([bar.read8(DATA)])
    assert not bar.read8(LSR) & 0x01
    return data


def read(file, size):
    """So many bytes, as they come."""
    data = b""
    while len(data) < size:
        data += os.read(file, size - len(data))
    return data


def test_uart_bytes_both_ways(uart):
    there, back = b"to the host, more than a FIFO is long", b"from the host, more than a FIFO is long"
    for byte in there:
        until(lambda: uart.read8(LSR) & 0x20)
        uart.write8(DATA, byte)
    until(lambda: uart.read8(LSR) & 0x60 == 0x60)
    assert read(uart._device.slave, len(there)) == there
    os.write(uart._device.slave, back)
    assert receive(uart, len(back)) == back
    assert uart.read8(DATA) == 0  # nothing waits


def test_uart_loses_nothing_that_nobody_reads(uart):
    """The pseudo terminal is full at times; there is room to send only when it is not."""
    text = bytes(range(256)) * 256
    sent, came = 0, b""
    while len(came) < len(text):
        while sent < len(text) and uart.read8(LSR) & 0x20:
            for byte in text[sent : sent + 16]:
                uart.write8(DATA, byte, post=True)
            sent += 16
        came += os.read(uart._device.slave, 1 << 16)
    assert came == text


def test_uart_bytes_wait_for_who_opens_the_port(uart):
    uart.write8(MCR, 0x00)
    os.write(uart._device.slave, b"early")
    uart.write8(FCR, 0x07)  # would clear them, were they in the FIFO
    assert uart.read8(LSR) & 0x01 == 0
    uart.write8(MCR, 0x0B)
    assert receive(uart, 5) == b"early"


def test_uart_interrupts_for_what_was_received(uart):
    assert uart.read8(IIR) == 0xC1 and not interrupted(uart)
    os.write(uart._device.slave, b"1234567")
    until(lambda: uart.read8(LSR) & 0x01)
    assert uart.read8(IIR) == 0xC1  # not enabled
    uart.write8(IER, 0x01)
    assert uart.read8(IIR) == 0xCC and interrupted(uart)  # fewer than the trigger level
    assert uart.read8(IIR) == 0xCC and interrupted(uart)  # until they are read
    assert receive(uart, 7) == b"1234567"
    assert uart.read8(IIR) == 0xC1 and not interrupted(uart)
    os.write(uart._device.slave, b"12345678")
    assert uart._line.wait(timeout=30) == 1
    assert uart.read8(IIR) == 0xC4


def test_uart_interrupts_for_room(uart):
    uart.write8(IER, 0x02)  # there is room, so at once
    assert interrupted(uart)
    assert uart.read8(IIR) == 0xC2  # named, so it is over
    assert uart.read8(IIR) == 0xC1 and not interrupted(uart)
    uart.write8(DATA, 0x41)
    assert uart._line.wait(timeout=30) == 1
    uart.write8(IER, 0x00)
    assert uart.read8(IIR) == 0xC1 and not interrupted(uart)
    uart.write8(IER, 0x03)
    os.write(uart._device.slave, b"x")
    until(lambda: uart.read8(LSR) & 0x01)
    assert uart.read8(IIR) == 0xCC  # more urgent; the other stays
    uart.read8(DATA)
    assert uart.read8(IIR) == 0xC2


def test_uart_loopback(uart):
    """As Linux finds out that there is a port at all, and which."""
    uart.read8(MSR)
    uart.write8(MCR, 0x1A)
    assert uart.read8(MSR) & 0xF0 == 0x90
    uart.write8(DATA, 0x55)
    assert uart.read8(LSR) & 0x01 and uart.read8(DATA) == 0x55
    uart.write8(IER, 0x08)
    uart.write8(MCR, 0x11)
    assert uart.read8(IIR) == 0xC0 and interrupted(uart)
    assert uart.read8(MSR) == 0x20 | 0x0B  # three lines have changed
    assert uart.read8(MSR) == 0x20 and not interrupted(uart)
    uart.write8(MCR, 0x0B)
    assert uart.read8(MSR) & 0xF0 == 0xB0


def test_uart_registers(uart):
    uart.write8(SCR, 0xA5)
    uart.write8(IER, 0xFF)
    uart.write8(LCR, 0x83)
    uart.write8(DATA, 0x01)
    uart.write8(IER, 0x02)
    assert (uart.read8(DATA), uart.read8(IER)) == (0x01, 0x02)
    uart.write8(LCR, 0x03)
    assert (uart.read8(IER), uart.read8(LCR), uart.read8(MCR), uart.read8(SCR)) == (0x0F, 0x03, 0x0B, 0xA5)
    uart.write8(FCR, 0x00)
    assert uart.read8(IIR) & 0xC0 == 0x00


def test_uart_reset(connect):
    port = serial.Uart16550A()
    dev = connect(port)
    uart = dev.regions.bar0
    uart.write8(MCR, 0x0B)
    uart.write8(IER, 0x02)
    os.write(port.slave, b"lost")
    until(lambda: uart.read8(LSR) & 0x01)
    dev.reset()
    assert [uart.read8(i) for i in range(8)] == [0, 0, 0x01, 0, 0, 0x60, 0xB0, 0]


# ---- gpio ----


def test_firmware(serve):
    said = run("firmware.py", serve(load("counter").Counter()))
    assert said.startswith("BAR 0: 4096 bytes of memory at 0xe0000000\n")
    assert "MSI-X: {'vectors': 4, 'on': False" in said and "vector 0: MsixEntry(address=0, data=0, masked=" in said


def test_gpioget_and_gpioset(serve):
    path = serve(gpio.Idio16())
    assert run("gpioget.py", path, "3", "19", "12", "28") == "0 0 0 0\n"
    assert run("gpioset.py", path, "3=1", "12=1") == ""
    assert run("gpioget.py", path, "3", "19", "12", "28", "4") == "1 1 1 1 0\n"
    run("gpioset.py", path, "3=0")
    assert run("gpioget.py", path, "3", "12") == "0 1\n"
    for wrong in ("16=1", "3=2"):
        with pytest.raises(subprocess.CalledProcessError):
            run("gpioset.py", path, wrong)


# ---- sparse ----


def test_sparse(serve):
    assert run("sparse.py", serve(load("counter").Counter())) == "memory: hello in 2 pages\n"


def test_choices(serve):
    said = run("choices.py", serve(load("choices").Bell())).splitlines()
    assert said == ["doorbell: messages: 0", "memory: file: no", "posted: 1, answered: 1", "twin socket: yes"]


# ---- reconnect ----


def test_reconnect(tmp_path):
    """Each new server knows the memory again, and is given the sum."""
    again = ["lost", "restored device state lost"]
    expected = ["sum: 1", *again, "sum: 3", *again, "sum: 6"]
    assert run("reconnect.py", str(tmp_path / "s")).splitlines() == expected


# ---- coroutines ----


def test_async_client(serve):
    said = run("async_client.py", serve(load("counter").Counter())).splitlines()
    assert said == ["squares: 1240", "interrupts: 3, memory: b'hello'", "msix[1]: nothing"]


# ---- simulator ----


def test_simulator(serve):
    """Simulated time is the same whatever the machine does meanwhile."""
    path = serve(load("counter").Counter())
    assert run("simulator.py", path).splitlines() == [
        "500 ns: ticks: 42",
        "1000 ns: the device writes 5 bytes at 0x80000000",
        "1000 ns: interrupt, memory has b'hello'",
        "1500 ns: the device reads 64 bytes at 0x80000000",
        "1500 ns: interrupt, the sum is 2016",
    ]
