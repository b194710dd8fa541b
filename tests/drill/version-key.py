# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Drill: two keys of VERSION that only spec/ knows: a number that limits a field, and a bool."""

import errno
import itertools
import os
import socket
import tempfile

import vfu
from vfu import protocol
from vfu.protocol import Capabilities

ABSENT = 0xFFFFFFFF


class Plain(vfu.Device):
    bar0 = vfu.Bar(size=4096)

    def on_connect(self):
        self.seen = self.agreed["max_read"], self.agreed["reads_in_order"]


def refused(text, call, *args, **options):
    try:
        call(*args, **options)
    except (ValueError, vfu.Error) as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"{text}: not refused")


def said(most, ordered):
    """What a side says: a key that is None is not said."""
    return {k: v for k, v in (("max_read", most), ("reads_in_order", ordered)) if v is not None}


def meet(path, client, server):
    """What both ends then take for agreed, that vfu_protocol comes to the same, and that the limit is enforced."""
    most = min(client[0] or ABSENT, server[0] or ABSENT)
    ordered = bool(client[1] and server[1])
    device = Plain()
    with vfu.Server(device, path, capabilities=said(*server)) as serving:
        serving.start()
        with vfu.Client(path, capabilities=said(*client)) as dev:
            for agreed in dev.agreed, device.agreed, serving.agreed:
                assert (agreed["max_read"], agreed["reads_in_order"]) == (most, ordered), (client, server)
            assert device.seen == (most, ordered)
            dev.regions.bar0.read(0, min(most, 4096))
            if most < 4096:
                refused("region_read.count: value", dev.regions.bar0.read, 0, most + 1)
            assert dev.connected
    asked, mine = Capabilities(**said(*client)), Capabilities(**said(*server))
    held = asked.agree(asked, mine.answer(asked), server=False)
    assert (held.max_read, held.reads_in_order) == (most, ordered)
    assert held.limits().max_read == most


def ask(peer, request):
    """The errno with which a message of ours is answered."""
    payload = request.build()
    header = protocol.Header(id=1, command=request.COMMAND, size=16 + len(payload), flags=0, error=0)
    peer.sendall(header.pack() + payload)
    answer = protocol.Header.unpack(peer.recv(16, socket.MSG_WAITALL))
    peer.recv(answer.size - 16, socket.MSG_WAITALL)
    return answer.error


def keep_strangers_to_it(path):
    """The server's side of the limit, with a client that does not keep to what it said itself."""
    with vfu.Server(Plain(), path).start(), socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(path)
        assert ask(peer, protocol.VersionRequest(0, 0, Capabilities(max_read=64))) == 0
        assert ask(peer, protocol.RegionReadRequest(offset=0, region=0, count=64)) == 0
        assert ask(peer, protocol.RegionReadRequest(offset=0, region=0, count=65)) == errno.EINVAL


def complaints(path):
    for make in vfu.Client, lambda path, **options: vfu.Server(Plain(), path, **options):
        refused("version.capabilities.max_read can not be 7: from 8 to 4294967295", make, path, capabilities={"max_read": 7})
        refused("max_read can not be", make, path, capabilities={"max_read": ABSENT + 1})
        refused("reads_in_order can not be 1: it is bool", make, path, capabilities={"reads_in_order": 1})
        refused("did you mean 'max_read'?", make, path, capabilities={"max_reads": 8})


with tempfile.TemporaryDirectory() as directory:
    numbers, flags = (None, 64, 512), (None, False, True)
    for i, ends in enumerate(itertools.product(itertools.product(numbers, flags), repeat=2)):
        meet(os.path.join(directory, f"{i}"), *ends)
    complaints(os.path.join(directory, "nobody"))
    keep_strangers_to_it(os.path.join(directory, "stranger"))
