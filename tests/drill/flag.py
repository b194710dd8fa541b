# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Drill: DMA_MAP's flag "cold", which only spec/ knows, goes from the client to the device, and what breaks its
rules does not: neither from our client nor from one that knows none."""

import errno
import os
import socket
import struct
import tempfile

import vfu
from vfu import protocol
from vfu.protocol import DmaMapFlags as Flags


class Device(vfu.Device):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_dma_map(self, range):
        self.seen.append(range.flags)


def refused(text, call, *args, **options):
    try:
        call(*args, **options)
    except vfu.Error as error:
        assert error.field == "dma_map.flags" and text in str(error), error
    else:
        raise AssertionError(f"{text}: not refused")


def drive(path):
    device = Device()
    with vfu.Server(device, path) as serving:
        serving.start()
        with vfu.Client(path) as dev:
            refused("has readable set", dev.dma.alloc, 4096, read=False, write=False, flags=Flags.COLD)
            refused("has at most one of cold and writeable", dev.dma.alloc, 4096, flags=Flags.COLD)
            assert device.seen == []
            dev.dma.alloc(4096, write=False, flags=Flags.COLD)
            assert device.seen == [Flags.COLD | Flags.READABLE]
            assert [range.flags for range in device.dma.ranges] == device.seen


def send_anyway(path, flags):
    """A client that knows no rules: the errno of the answer."""
    device = Device()
    request = protocol.DmaMapRequest(flags=flags, size=4096)
    with vfu.Server(device, path) as serving, socket.socket(socket.AF_UNIX) as sock:
        serving.start()
        sock.connect(path)
        for number, data in (1, struct.pack("=HH", 0, 1)), (request.COMMAND, request.build()):
            sock.sendall(protocol.Header(7, number, 16 + len(data)).pack() + data)
            answer = protocol.Header.unpack(sock.recv(16, socket.MSG_WAITALL))
            sock.recv(answer.size - 16, socket.MSG_WAITALL) if answer.size > 16 else b""
        assert device.seen == ([] if answer.error else [flags])
        return answer.error


with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "socket")
    drive(path)
    assert send_anyway(path, Flags.COLD) == errno.EINVAL
    assert send_anyway(path, Flags.COLD | Flags.READABLE | Flags.WRITEABLE) == errno.EINVAL
    assert send_anyway(path, Flags.COLD | Flags.READABLE) == 0
