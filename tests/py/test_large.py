# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Large reads that functions answer: what is sent from where it is, and until when; what nobody has filled."""

import socket
import struct
import sys
import time

import pytest

import vfu
import vfu.testing

SIZE = 1 << 20


class Lender(vfu.Device):
    """BAR 0 returns what the test says, BAR 2 fills of a view what it says."""

    bar0 = vfu.Bar(SIZE)
    bar2 = vfu.Bar(SIZE)
    what = b""
    fill = 0
    views: list[memoryview] = []

    @bar0.range(0, SIZE // 2).on_read
    def now(self, offset, size):
        return self.what

    @bar0.range(SIZE // 2, SIZE // 2).on_read
    async def soon(self, offset, size):
        return self.what

    @bar2.range(0, SIZE, raw=True).on_read
    def some(self, offset, view):
        view[: self.fill] = b"f" * self.fill


def data(size):
    return bytes(i * 7 % 251 for i in range(1009)) * (size // 1009 + 1)


def refs(what):
    """References to it, as seen from here."""
    return sys.getrefcount(what)


def is_free(what, count):
    """Whether nobody else refers to it any more, in a while."""
    until = time.monotonic() + 10
    while sys.getrefcount(what) > count and time.monotonic() < until:
        time.sleep(0.01)
    return sys.getrefcount(what) <= count


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("offset", [0, SIZE // 2])
def test_what_is_returned(kind, offset):
    device = Lender()
    with vfu.testing.plug(device) as dev:
        for size in 9, 16383, 16384, SIZE // 2:
            whole = kind(data(size)[:size])
            count = refs(whole)
            device.what = whole
            assert dev.regions.bar0.read(offset, size) == whole
            device.what = b""
            assert is_free(whole, count)
            if kind is bytearray:
                whole += b"longer"  # BufferError, if it were still in use


@pytest.mark.parametrize("offset", [0, SIZE // 2])
def test_what_is_too_short(offset):
    device = Lender()
    with vfu.testing.plug(device) as dev:
        device.what = data(65535)[:65535]
        with pytest.raises(OSError, match="region_read"):
            dev.regions.bar0.read(offset, 65536)
        device.what += b"x"
        assert dev.regions.bar0.read(offset, 65536) == device.what


def test_what_nobody_has_filled():
    device = Lender()
    with vfu.testing.plug(device) as dev:
        device.what = b"\xaa" * 65536
        dev.regions.bar0.read(0, 65536)
        for device.fill in 0, 5, 65536:
            read = dev.regions.bar2.read(8, 65536)
            assert read == b"f" * device.fill + bytes(65536 - device.fill)


def test_a_client_that_does_not_read(tmp_path):
    """What it asked for is kept until it goes, and no longer."""
    device = Lender()
    whole = data(SIZE // 2)[: SIZE // 2]
    count = refs(whole)
    device.what = whole
    path = str(tmp_path / "sock")
    with vfu.Server(device, path).start(), socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(struct.pack("=HHIIIHH", 1, 1, 20, 0, 0, 0, 1))
        assert sock.recv(65536)
        sock.sendall(struct.pack("=HHIIIQII", 2, 9, 32, 0, 0, 0, 0, SIZE // 2) * 4)
        assert sock.recv(16, socket.MSG_WAITALL)
        assert refs(whole) > count + 1
        sock.close()
        device.what = b""
        assert is_free(whole, count)
