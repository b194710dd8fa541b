# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Drill: get_counters, a message that only spec/ knows, served and sent by name."""

import errno
import os
import tempfile

import vfu
from vfu import protocol


class Counting(vfu.Device):
    event_loop = True
    asked = None
    gates = 0

    def on_gate(self, what):
        self.gates += what == vfu.Gate.COMMAND

    async def on_get_counters(self, request):
        self.asked = request
        if request.first == 99:
            raise vfu.NotFound(errno.ENOENT, "no such counter")
        kinds = [protocol.CounterKind.FRAMES, protocol.CounterKind.FAULTS]
        if request.first == 50:
            kinds = [3]  # not one of them
        counters = [protocol.Counter(value=request.first + i, kind=kind) for i, kind in enumerate(kinds)]
        return {"first": request.first, "counters": counters[: request.most]}, request.fds


def fails(number, field, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except vfu.Error as error:
        assert error.errno == number, error
        assert field is None or error.field == field, error.field
    else:
        raise AssertionError(f"{args} {kwargs}: no error")


def drive(device, client):
    with tempfile.TemporaryFile() as file:
        file.write(b"kept")
        file.flush()
        reply = client.call("get_counters", first=7, most=16, fds=[file])
    assert reply.counters == [protocol.Counter(7, 1), protocol.Counter(8, 2)], reply
    assert os.pread(reply.fds[0], 9, 0) == b"kept"
    assert device.asked == protocol.GetCountersRequest(argsz=device.asked.argsz, first=7, most=16)
    assert len(client.call("get_counters", most=1).counters) == 1
    assert device.gates == 2
    fails(errno.EINVAL, "get_counters.most", client.call, "get_counters", most=17)
    fails(errno.EINVAL, "get_counters.first", client.call, "get_counters", first=100, most=1)
    fails(errno.ENOENT, None, client.call, "get_counters", first=99, most=1)
    assert device.gates == 3
    fails(errno.EIO, None, client.call, "get_counters", first=50, most=1)
    assert client.connected


with tempfile.TemporaryDirectory() as place:
    device = Counting()
    with vfu.Server(device, place + "/sock").start(), vfu.Client(place + "/sock") as client:
        drive(device, client)
