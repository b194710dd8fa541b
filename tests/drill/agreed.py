# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Drill: what was not agreed is neither sent nor served: a message of a later minor version, a bit that
requires a capability."""

import errno
import itertools
import os
import socket
import struct
import tempfile

import vfu
from vfu import protocol


class Moody(vfu.Device):
    moods = 0

    def on_set_mood(self, request):
        self.moods += 1


def refused(text, call, *args, **options):
    try:
        call(*args, **options)
    except vfu.Error as error:
        assert text in str(error), error
    else:
        raise AssertionError(f"{text}: not refused")


def meet(path, is_later, client, server):
    device = Moody()
    policy = {"minor": "min" if is_later else "zero"}
    with vfu.Server(device, path, policy=policy, capabilities={"loud_moods": server}) as serving:
        serving.start()
        with vfu.Client(path, capabilities={"loud_moods": client}) as dev:
            if not is_later:
                refused("is of 0.1, later than the minor version agreed", dev.call, "set_mood", flags=1)
                return
            dev.call("set_mood", flags=1)
            assert device.moods == 1
            if client and server:
                dev.call("set_mood", flags=3, volume=7)
                assert device.moods == 2
            else:
                unsaid = "the peer" if client else "this side"
                refused(f"needs loud_moods, which was not agreed: {unsaid} did not say it", dev.call, "set_mood", flags=3)
                refused("is at most 0", dev.call, "set_mood", volume=7)


def send_anyway(path, minor, command, payload):
    """A client that knows no rules: the errno of the answer."""
    with vfu.Server(Moody(), path) as serving, socket.socket(socket.AF_UNIX) as sock:
        serving.start()
        sock.connect(path)
        for number, data in (1, struct.pack("=HH", 0, minor)), (command, payload):
            sock.sendall(protocol.Header(7, number, 16 + len(data)).pack() + data)
            answer = protocol.Header.unpack(sock.recv(16, socket.MSG_WAITALL))
            sock.recv(answer.size - 16, socket.MSG_WAITALL) if answer.size > 16 else b""
        return answer.error


good = protocol.SetMoodRequest(flags=protocol.MoodFlags.GOOD)
loud = protocol.SetMoodRequest(flags=protocol.MoodFlags.LOUD)
with tempfile.TemporaryDirectory() as directory:
    for i, ends in enumerate(itertools.product((False, True), repeat=3)):
        meet(os.path.join(directory, f"{i}"), *ends)
    anyway = os.path.join(directory, "anyway")
    assert send_anyway(anyway, 0, good.COMMAND, good.build()) == errno.ENOSYS
    assert send_anyway(anyway, 1, good.COMMAND, good.build()) == 0
    assert send_anyway(anyway, 1, loud.COMMAND, loud.build()) == errno.EINVAL
