# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Checks lesson 1.   ./run python3 ../doc/course/1-bytes/check.py [FILE]"""

import errno
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from judge import Wrong, compare, example, header, main, protocol, same, served  # noqa: E402

GET_INFO, RESET = map(int, (protocol.Command.GET_INFO, protocol.Command.RESET))
INFO = struct.pack("=IIII", 16, 3, 9, 5)


def pack(student):
    """exercise 1: pack_header"""
    for fields in (0x1122, 4, 32, 0, 0), (7, 9, 0x12345, 0x21, 22):
        data = student.value("pack_header", *fields)
        if not isinstance(data, bytes):
            raise Wrong(f"pack_header() returns {data!r}, which is not bytes")
        compare(f"pack_header{fields}", protocol.Header(*fields), data)


def unpack(student):
    """exercise 2: unpack_header"""
    fields = (0x1122, 9, 0x12345, 0x21, 22)
    found = student.value("unpack_header", protocol.Header(*fields).pack())
    for name, right in zip(("id", "command", "size", "flags", "error"), fields):
        same(f"the {name} of what unpack_header() returns", getattr(found, name, None), right)


def receive(student):
    """exercise 3: recv_message"""
    whole = header(GET_INFO, INFO, id=3) + INFO
    following = header(RESET, id=4)
    with student.calls("recv_message", leaves=following) as talk:
        talk.send_apart(whole[:5], whole[5:9], whole[9:20], whole[20:25], whole[25:] + following)  # as a stream may bring it
    got, payload = talk.result()
    same("the id of a message that comes in pieces", got.id, 3)
    same("the payload of a message that comes in pieces", payload, INFO)
    with student.calls("recv_message", leaves=whole) as talk:
        talk.send(following + whole)
    same("the payload of a message of 16 bytes, with another one right behind it", talk.result()[1], b"",
         "size counts the header, so nothing follows it; what comes next is the next message")
    for part in b"", whole[:10], whole[:20]:
        with student.calls("recv_message") as talk:
            talk.send(part)
        talk.raised(ConnectionError, f"a stream that ends after {len(part)} of {len(whole)} bytes")


def asks(student):
    """exercise 4: ask, and a real device answers"""
    with served(example("counter")()) as device:
        request = protocol.GetInfoRequest()
        with student.calls("ask", 7, GET_INFO, request.build()) as talk:
            talk.forward(talk.expect(request, id=7), device)
        talk.returned(INFO, "the payload of the device's reply, without the header")
        with student.calls("ask", 8, GET_INFO, protocol.GetInfoRequest(argsz=8).build()) as talk:
            talk.forward(talk.expect(protocol.GetInfoRequest(argsz=8), id=8), device)
        talk.raised(OSError, "an error reply", errno.EINVAL)
    with student.calls("ask", 9, RESET) as talk:
        talk.reply(talk.expect(protocol.ResetRequest(), id=9), error=0)
    talk.raised(OSError, "an error reply whose error is 0", errno.EIO)


EXERCISES = pack, unpack, receive, asks

if __name__ == "__main__":
    sys.exit(main(__file__, EXERCISES))
