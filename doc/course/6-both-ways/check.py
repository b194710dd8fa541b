# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Checks lesson 6.   ./run python3 ../doc/course/6-both-ways/check.py [FILE]"""

import contextlib
import errno
import json
import socket
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from judge import REPLY, SECONDS, Wrong, example, header, main, protocol, receive, same, served  # noqa: E402

BASE = 0x9000_0000
UNMAP = protocol.DmaUnmapRequest(address=BASE, size=4096)
WRITE = protocol.DmaWriteRequest(address=BASE, data=b"x")
RESET = protocol.ResetRequest()


@contextlib.contextmanager
def counter(**options):
    """The device, which may do DMA."""
    with served(example("counter")(), **options) as device:
        if options.get("greets", True):
            ready(device)
        yield device


def ready(device):
    device.write(7, 4, 4, size=2)
    device.ask(protocol.DmaMapRequest(address=BASE, size=4096, flags=3))


def kick(device):
    device.write(0, 4, BASE)


class Serving:
    """What call() gets as serve."""

    def __init__(self):
        self.seen = []

    def __call__(self, head, payload):
        self.seen.append((head.id, head.command, payload))
        if head.command == protocol.Command.DMA_READ:
            raise OSError(errno.EFAULT, "not here")
        return payload[:16]


def calls(student):
    """exercise 1: call, with commands of a real device in between"""
    serve = Serving()
    with counter() as device:
        kick(device)
        message = receive(device.sock)  # its DMA_WRITE is under way: the reply to DMA_UNMAP comes after it
        with student.calls("call", message.id, int(UNMAP.COMMAND), UNMAP.build(), serve) as talk:
            request = talk.expect(UNMAP, id=message.id)
            device.sock.sendall(request.head.pack() + request.payload)
            talk.send(message.head.pack() + message.payload)
            answer = talk.expect(protocol.DmaWriteReply(address=BASE, count=5), id=message.id, flags=REPLY)
            device.sock.sendall(answer.head.pack() + answer.payload)
            reply = receive(device.sock)
            talk.send(reply.head.pack() + reply.payload)
        talk.returned(reply.payload, "the payload of the reply to DMA_UNMAP; the DMA_WRITE before it has the same id, but is a command")
        same("what serve() was given", serve.seen, [(message.id, int(WRITE.COMMAND), message.payload)])
    with student.calls("call", 5, int(RESET.COMMAND), b"", serve) as talk:
        request = talk.expect(RESET, id=5)
        read = protocol.DmaReadRequest(address=0, count=4)
        talk.send(header(read.COMMAND, read.build(), id=6, flags=0) + read.build())
        talk.expect_error(int(read.COMMAND), 6, errno.EFAULT)
        for id in 4, 5:
            talk.send(header(protocol.Command.REGION_READ, b"late" * 5, id=id) + b"late" * 5)  # of one that was given up
        talk.reply(request)
    talk.returned(b"", "the payload of the reply to RESET with the id 5; those to REGION_READ are to other commands")
    for number, right in (errno.EINVAL, errno.EINVAL), (0, errno.EIO):
        with student.calls("call", 5, int(RESET.COMMAND), b"", serve) as talk:
            talk.reply(talk.expect(RESET, id=5), error=number)
        talk.raised(OSError, f"an error reply whose error is {number}", right)


def pipelines(student):
    """exercise 2: pipeline, answered in another order"""
    requests = [protocol.RegionReadRequest(region=0, offset=at, count=4) for at in (0, 8, 16, 2**40)]
    with student.calls("pipeline", [(int(request.COMMAND), request.build()) for request in requests]) as talk:
        came = [talk.expect(request, title=f"REGION_READ {i + 1} of 4") for i, request in enumerate(requests)]
        if len({message.id for message in came}) < 4:
            raise Wrong(f"pipeline() sends commands with the ids {[message.id for message in came]}: whose reply is it when there are two of one id?")
        talk.reply(came[3], error=errno.EINVAL)
        for i in 2, 0, 1:
            talk.reply(came[i], came[i].payload + bytes([i] * 4))
    talk.returned([came[i].payload + bytes([i] * 4) for i in range(3)] + [None], "replies came in the order 4, 3, 1, 2")


def ids(student):
    """exercise 3: Ids, with replies that come late"""
    def use(Ids):
        numbers = Ids()
        first, second = numbers.take(), numbers.take()
        if first == second:
            raise Wrong(f"take() returns {first} twice, and no reply has come in between")
        numbers.give_up(first)
        for _ in range(0x10000 + 2):
            number = numbers.take()
            if not 0 <= number < 0x10000:
                raise Wrong(f"take() returns {number}; an id has 16 bits")
            if number in (first, second):
                what = "was given up, but its reply may still come, and would be taken for another's" if number == first else "waits"
                raise Wrong(f"take() returns {number} again: that command {what}")
            same(f"reply({number})", numbers.reply(number), "wanted")
        same("the reply to a command that was given up", numbers.reply(first), "late")
        same("the second reply to it", numbers.reply(first), "stray", "its reply has come already")
        same("the reply to a command that waits", numbers.reply(second), "wanted")

    student.value("Ids")
    student.does("Ids", use)


def twin_reply(**said):
    return struct.pack("=HH", 0, 0) + json.dumps({"capabilities": {"twin_socket": said} if said else {}}).encode() + b"\0"


def twins(student):
    """exercise 4: open_twin, and a real device uses it"""
    with counter(greets=False) as device:
        with student.calls("open_twin") as talk:
            talk.forward(talk.version(asks_for_twin), device)
        twin = talk.result()
        if not isinstance(twin, socket.socket):
            raise Wrong(f"open_twin() returns {twin!r}; the device has granted the twin socket, as descriptor fd_index of its reply")
        with twin:
            ready(device)
            kick(device)
            twin.settimeout(SECONDS)
            same("the command that comes by the twin socket", receive(twin).command, int(WRITE.COMMAND))
    for what, said, want in ("does not know the word", {}, None), ("does not grant it", {"supported": False}, None):
        with student.calls("open_twin") as talk:
            talk.reply(talk.version(asks_for_twin), twin_reply(**said))
        talk.returned(want, f"the server {what}")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for said in {"supported": True, "fd_index": 0}, {"supported": True, "fd_index": 1}, {"supported": True, "fd_index": -1}, {"supported": True}:
            files = [theirs.fileno()] if said.get("fd_index", 0) else []
            with student.calls("open_twin") as talk:
                talk.reply(talk.version(asks_for_twin), twin_reply(**said), fds=files)
            talk.raised(ConnectionError, f"{said} with {len(files)} descriptors")


def asks_for_twin(said):
    """What the request has to say."""
    twin = said.get("twin_socket")
    same('the key "twin_socket" of the capabilities in VERSION', twin, {"supported": True})


EXERCISES = calls, pipelines, ids, twins

if __name__ == "__main__":
    sys.exit(main(__file__, EXERCISES))
