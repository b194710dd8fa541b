# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Drill: the region capability "heat", which only spec/ knows: a device declares it, a client reads it, and one
that breaks a rule is refused on both ends."""

import os
import socket
import tempfile
import threading

import vfu
from vfu import protocol
from vfu.protocol import CapHeat, CapType, HeatZone

SIZE = 65536
GOOD = CapHeat(degrees=99, zones=[HeatZone(0, 4096), HeatZone(8192, SIZE - 8192)])
WRONG = {
    "get_region_info.cap_heat.degrees": [CapHeat(degrees=101)],
    "get_region_info.heat_zone.size": [CapHeat(zones=[HeatZone(0, 0)])],
    "get_region_info.heat_zone.offset": [CapHeat(zones=[HeatZone(SIZE, 1)])],
    "get_region_info.heat": [CapHeat(), CapHeat()],
}


class Hot(vfu.Device):
    bar0 = vfu.Bar(size=SIZE, capabilities=[GOOD, CapType(type=5)])
    bar1 = vfu.Bar(size=SIZE)


def refused(field, call):
    try:
        call()
    except vfu.Error as error:
        assert error.field == field, (field, error.field, error)
    else:
        raise AssertionError(f"{field}: not refused")


def drive(path):
    with vfu.Server(Hot(), path) as serving:
        serving.start()
        with vfu.Client(path) as dev:
            heat, kind = dev.regions.bar0.capabilities
            assert type(heat) is CapHeat and heat.degrees == 99
            assert heat.zones == GOOD.zones
            assert kind.type == 5
            assert dev.regions.bar1.capabilities == []


def declare(capabilities):
    class Wrong(vfu.Device):
        bar0 = vfu.Bar(size=SIZE, capabilities=capabilities)

    return Wrong


def lie(sock, caps):
    """A server that knows no rules: it says these of each region."""
    answers = {
        protocol.Command.VERSION: protocol.VersionReply(),
        protocol.Command.GET_INFO: protocol.GetInfoReply(num_regions=9, num_irqs=5),
        protocol.Command.GET_REGION_INFO: protocol.GetRegionInfoReply(size=SIZE, caps=caps),
    }
    with sock:
        while head := sock.recv(16, socket.MSG_WAITALL):
            asked = protocol.Header.unpack(head)
            sock.recv(asked.size - 16, socket.MSG_WAITALL)
            data = answers[asked.command].build()
            sock.sendall(protocol.Header(asked.id, asked.command, 16 + len(data), flags=1).pack() + data)


def believe(caps):
    ours, theirs = socket.socketpair()
    liar = threading.Thread(target=lie, args=(theirs, caps))
    liar.start()
    try:
        with vfu.Client(fd=ours.detach(), irqs=False) as dev:
            return dev.regions.bar0.capabilities
    finally:
        liar.join()


with tempfile.TemporaryDirectory() as directory:
    drive(os.path.join(directory, "socket"))
for field, caps in WRONG.items():
    refused(field, declare(caps))
    refused(field, lambda caps=caps: believe(caps))
