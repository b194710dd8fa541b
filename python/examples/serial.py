# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""A serial port: a 16550A on a PCI card, wired to a pseudo terminal of the host.

    vfu guest serial.py --shell      # says: "serial: the other end is /dev/pts/7"; there, cat or screen

Linux's stock driver 8250_pci takes any PCI device of this class with a single I/O BAR of 8 bytes, so the guest has
another /dev/ttyS (that of `vfu guest` is /dev/ttyS4); the ids are those of QEMU's own card of that kind. What is
written to one terminal is read from the other, and nothing is lost whichever side is slower: bytes wait in the kernel,
between the two ends of the pseudo terminal. The guest's tty wants "stty raw -echo crtscts" for that, and to be kept
open: a tty that is closed drops what it has received.

    guest's tty <--> 8250_pci <--> [ registers | FIFOs ] <--> pty master : slave <--> cat, screen, a program

The chip has 8 registers, and more behind them: with bit 7 of "line control" set, the first two are the divisor of its
clock, which sets the speed; here it is only remembered. What interrupts is one line, and behind it three conditions, of
which "interrupt identification" names the most urgent one:

    offset  read                      write             conditions, the most urgent first
    0       received byte             byte to send      1. received bytes wait (one code says: as many as the
    1       interrupt enable          the same             trigger level; another: fewer, but no more come)
    2       interrupt identification  FIFO control      2. there is room to send: until a read of the register
    3       line control              the same             has named it, or a byte was written
    4       modem control             the same          3. a modem line changed: until modem status is read
    5       line status
    6       modem status
    7       scratch                   the same
"""

import asyncio
import collections
import os
import pty
import sys
import tty

import vfu

FIFO_SIZE = 16
WIRE_SECONDS = 0.001  # that as many bytes take on a fast wire: a driver that finds more at once does nothing else

# Interrupt enable: which conditions may interrupt
RECEIVED, ROOM_TO_SEND, MODEM_CHANGED = 0x01, 0x02, 0x08

# Interrupt identification: a condition or none, and whether FIFOs are on
ID_NONE, ID_MODEM_CHANGED, ID_ROOM_TO_SEND, ID_RECEIVED, ID_RECEIVED_FEW = 0x01, 0x00, 0x02, 0x04, 0x0C
ID_FIFOS_ON = 0xC0

# FIFO control
FIFOS_ON, CLEAR_RECEIVED, CLEAR_SENT = 0x01, 0x02, 0x04
TRIGGER_LEVELS = (1, 4, 8, 14)  # by bits 7 and 6

DIVISOR_LATCH = 0x80  # of line control

# Modem control: lines that the chip drives, and whether all that goes out comes in again
DTR, RTS, OUT1, OUT2, LOOPBACK = 0x01, 0x02, 0x04, 0x08, 0x10

# Modem status: lines that the other end drives; the low half says which of them have changed
CTS, DSR, RING, CARRIER = 0x10, 0x20, 0x40, 0x80

# Line status: a byte waits; the FIFO for sending is empty; the wire is idle as well
DATA_READY, SEND_EMPTY, IDLE = 0x01, 0x20, 0x40


class Uart16550A(vfu.Device):
    vendor_id, device_id, class_code, revision = 0x1B36, 0x0002, 0x070002, 0x01
    subsystem_vendor_id, subsystem_id = 0x1AF4, 0x1100
    bar0 = vfu.Bar(size=8, io=True)
    irqs = vfu.Irqs(intx=1)
    event_loop = True  # which watches the pseudo terminal too

    data = bar0.reg8(0)
    interrupt_enable = bar0.reg8(1)
    identification = bar0.reg8(2)
    line_control = bar0.reg8(3)
    modem_control = bar0.reg8(4)
    line_status = bar0.reg8(5, reset=SEND_EMPTY | IDLE, readonly=True)  # storage: drivers read it after each byte
    modem_status = bar0.reg8(6)
    scratch = bar0.reg8(7)

    def __init__(self) -> None:
        super().__init__()
        # We keep the other end open as well: if all who have it close it, what waits there is lost.
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.sending: asyncio.TimerHandle | None = None
        self.receiving: asyncio.TimerHandle | None = None
        self.received: collections.deque[int] = collections.deque()
        self.to_send = bytearray()
        self.reset()
        print(f"serial: the other end is {os.ttyname(self.slave)}", file=sys.stderr)

    def reset(self) -> None:
        self.received.clear()
        self.to_send.clear()
        self.divisor, self.enabled = [0x0C, 0x00], 0
        self.fifo_size, self.trigger_level = 1, 1
        self.has_room = False  # the condition, which comes and goes; line status says whether there is room
        self.modem_lines, self.modem_changes = CTS | DSR | CARRIER, 0
        self.update()

    def on_connect(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.drain()

    def on_disconnect(self) -> None:
        """Nobody takes bytes any more: those that come wait in the pseudo terminal."""
        if self.loop is not None:
            self.loop.remove_reader(self.master)
            self.loop.remove_writer(self.master)
        if self.receiving is not None:
            self.receiving.cancel()
        self.loop = self.receiving = None

    def on_close(self) -> None:
        os.close(self.master)
        os.close(self.slave)

    # ---- receiving: from the pseudo terminal to the FIFO to the driver ----

    def look_for_bytes(self) -> None:
        """Refills the FIFO if it is empty, after the time that bytes take on the wire."""
        # Without "request to send" the driver wants nothing: bytes wait for a port that is not open yet.
        wanted = not self.received and self.modem_control & (RTS | LOOPBACK) == RTS
        if wanted and self.loop is not None and self.receiving is None:
            self.loop.remove_reader(self.master)
            self.receiving = self.loop.call_later(WIRE_SECONDS, self.take_bytes, self.loop)

    def take_bytes(self, loop: asyncio.AbstractEventLoop) -> None:
        """Takes what there is; if nothing is, the event loop will say when there is."""
        self.receiving = None
        loop.remove_reader(self.master)
        if self.received or self.modem_control & (RTS | LOOPBACK) != RTS:  # changed its mind meanwhile
            return
        try:
            self.received += os.read(self.master, self.fifo_size)
            self.update()
        except BlockingIOError:
            loop.add_reader(self.master, self.take_bytes, loop)

    @data.on_read
    def receive(self) -> int:
        if self.line_control & DIVISOR_LATCH:
            return self.divisor[0]
        byte = self.received.popleft() if self.received else 0
        if not self.received:
            self.update()
        return byte

    # ---- sending: from the driver to the FIFO to the pseudo terminal ----

    @data.on_write
    def send(self, byte: int) -> None:
        if self.line_control & DIVISOR_LATCH:
            self.divisor[0] = byte
        elif self.modem_control & LOOPBACK:
            if len(self.received) < self.fifo_size:
                self.received.append(byte)
            self.has_room = True
            self.update()
        elif len(self.to_send) < self.fifo_size:  # else the driver did not look whether there is room
            self.to_send.append(byte)
            if len(self.to_send) == self.fifo_size:
                self.drain()
            elif len(self.to_send) == 1:
                self.has_room = False
                self.update()
                self.drain_soon()

    def drain_soon(self) -> None:
        """After the time of a few bytes on a fast wire: most drivers fill the FIFO until then, and it goes at once."""
        if self.loop is not None:
            self.sending = self.loop.call_later(WIRE_SECONDS, self.drain)

    def drain(self) -> None:
        """Passes on what was written. What the pseudo terminal has no room for stays until it has."""
        if self.sending is not None:
            self.sending.cancel()
        if self.loop is None:
            return
        self.loop.remove_writer(self.master)
        if self.to_send:
            try:
                del self.to_send[: os.write(self.master, self.to_send)]
            except BlockingIOError:
                pass
            self.has_room = not self.to_send
        if self.to_send:
            self.loop.add_writer(self.master, self.drain)
        self.update()

    @identification.on_write
    def control_fifos(self, value: int) -> None:
        fifo_size = FIFO_SIZE if value & FIFOS_ON else 1
        turned = fifo_size != self.fifo_size  # on or off, which clears them too
        self.fifo_size = fifo_size
        self.trigger_level = TRIGGER_LEVELS[value >> 6] if value & FIFOS_ON else 1
        if value & CLEAR_RECEIVED or turned:
            self.received.clear()
        if value & CLEAR_SENT or turned:
            self.to_send.clear()
            self.has_room = True
        self.update()

    # ---- interrupts ----

    def most_urgent(self) -> int:
        if self.enabled & RECEIVED and self.received:
            return ID_RECEIVED if len(self.received) >= self.trigger_level else ID_RECEIVED_FEW
        if self.enabled & ROOM_TO_SEND and self.has_room:
            return ID_ROOM_TO_SEND
        if self.enabled & MODEM_CHANGED and self.modem_changes:
            return ID_MODEM_CHANGED
        return ID_NONE

    def update(self) -> None:
        """Brings line status and interrupt up to date with everything else."""
        self.look_for_bytes()
        self.line_status = (DATA_READY if self.received else 0) | (0 if self.to_send else SEND_EMPTY | IDLE)
        if self.most_urgent() == ID_NONE:
            self.irqs.intx.lower()
        else:
            self.irqs.intx.raise_()

    @identification.on_read
    def identify(self) -> int:
        condition = self.most_urgent()
        if condition == ID_ROOM_TO_SEND:  # named, so it is over
            self.has_room = False
            self.update()
        return condition | (ID_FIFOS_ON if self.fifo_size > 1 else 0)

    @interrupt_enable.on_read
    def enabled_interrupts(self) -> int:
        return self.divisor[1] if self.line_control & DIVISOR_LATCH else self.enabled

    @interrupt_enable.on_write
    def enable_interrupts(self, value: int) -> None:
        if self.line_control & DIVISOR_LATCH:
            self.divisor[1] = value
            return
        if value & ~self.enabled & ROOM_TO_SEND and not self.to_send:
            self.has_room = True  # who enables this interrupt while there is room gets one
        self.enabled = value & 0x0F
        self.update()

    # ---- modem lines: somebody is always at the other end, and ready ----

    @modem_control.on_write
    def control_modem(self, value: int) -> None:
        self.modem_control = value & 0x1F
        lines = CTS | DSR | CARRIER
        if value & LOOPBACK:  # what we drive comes back, each line as its counterpart
            pairs = ((RTS, CTS), (DTR, DSR), (OUT1, RING), (OUT2, CARRIER))
            lines = sum(there for here, there in pairs if value & here)
        self.modem_changes |= (lines ^ self.modem_lines) >> 4
        self.modem_lines = lines
        self.update()

    @modem_status.on_read
    def report_modem(self) -> int:
        value = self.modem_lines | self.modem_changes
        self.modem_changes = 0
        self.update()
        return value
