# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Checks lesson 2.   ./run python3 ../doc/course/2-version/check.py [FILE]"""

import errno
import json
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from judge import capabilities, example, header, main, protocol, receive, same, served  # noqa: E402

PROPOSED = {"max_msg_fds": 8, "max_data_xfer_size": 65536, "write_multiple": True}


def build(student):
    """exercise 1: build_version, and a real device answers"""
    for want in (0, 0, PROPOSED), (3, 0x102, {}):
        data = student.value("build_version", *want)
        for name, got, right in zip(("major", "minor", "capabilities"), capabilities(f"build_version{want}", data), want):
            same(f"build_version{want}: {name}", got, right)
    data = student.value("build_version", 0, 0, PROPOSED)
    with served(example("counter")(), greets=False) as device:
        device.sock.sendall(header(protocol.Command.VERSION, data, flags=0) + data)
        answer = receive(device.sock)
        same("the errno with which a real device answers it", answer.head.error, 0)


def parse(student):
    """exercise 2: parse_version"""
    with served(example("counter")(), greets=False) as device:
        real = device.ask(protocol.VersionRequest())
    for what, data, want in (
        ("what a real device answers", real, capabilities("the device's answer", real)),
        ("a VERSION without data", struct.pack("=HH", 1, 2), (1, 2, {})),
        ("an object without capabilities", struct.pack("=HH", 0, 1) + b'{"x": 1}\0', (0, 1, {})),
    ):
        for name, got, right in zip(("major", "minor", "capabilities"), student.value("parse_version", data), want):
            same(f"parse_version() of {what}: {name}", got, right)
    for what, data in (
        ("a payload of 3 bytes", b"\0\0\0"), ("data without a NUL", b"\0\0\0\0{}"), ("data with a NUL inside", b"\0\0\0\0{}\0 \0"),
        ("data that is no JSON", b"\0\0\0\0{\0"), ("data that is a list", b"\0\0\0\0[]\0"),
        ("capabilities that are a number", b'\0\0\0\0{"capabilities": 1}\0'),
    ):
        student.refuses("parse_version", data, what=what, kind=ValueError)


def agreed(student):
    """exercise 3: limits"""
    other = {"max_msg_fds": 4, "max_data_xfer_size": 4096, "max_dma_maps": 10}
    for mine, theirs, want in (
        (PROPOSED, other, {"fds": 4, "bytes": 4096, "dma_maps": 10, "write_multiple": False}),
        (other, PROPOSED, {"fds": 8, "bytes": 65536, "dma_maps": 10, "write_multiple": False}),
        (PROPOSED, {"write_multiple": True}, {"fds": 1, "bytes": 1048576, "dma_maps": 65535, "write_multiple": True}),
    ):
        why = {
            "fds": "what its receiver can take, so what the other end has said; 1 if it said nothing",
            "bytes": "what the other end has said; 1048576 if it said nothing",
            "dma_maps": "the smaller of both; 65535 is the default", "write_multiple": "true if both have said so",
        }
        found = student.value("limits", mine, theirs)
        for key, right in want.items():
            same(f"limits({mine}, {theirs}): {key}", found.get(key), right, why[key])


def answers(student):
    """exercise 4: answer_version"""
    own = {"max_msg_fds": 16, "max_data_xfer_size": 1048576, "write_multiple": True}

    def asked(text, major=0, minor=0, own_minor=2):
        data = student.value("answer_version", struct.pack("=HH", major, minor) + text, own_minor, own)
        return capabilities(f"the answer to minor {minor} and {text!r}", data)

    proposes, silent = json.dumps({"capabilities": PROPOSED}).encode() + b"\0", b""
    same("the major of the answer to 0.0", asked(silent)[0], 0)
    same("the minor of the answer to 0.1 of a server that knows 0.2", asked(silent, minor=1)[1], 1, "the smaller of both")
    same("the minor of the answer to 0.5 of a server that knows 0.2", asked(silent, minor=5)[1], 2, "the smaller of both")
    found = asked(proposes)[2]
    same("max_msg_fds of the answer", found.get("max_msg_fds"), 16, "the server's own, whatever the client's is")
    same("write_multiple of the answer to a client that has proposed it", found.get("write_multiple"), True)
    same("write_multiple of the answer to a client that has not", asked(silent)[2].get("write_multiple", False), False,
         "a feature is answered only if it was proposed")
    for what, data in ("version 1.0", b"\1\0\0\0"), ("data without a NUL", b"\0\0\0\0{}"):
        student.refuses("answer_version", data, 2, own, what=what, kind=OSError, number=errno.EINVAL)


EXERCISES = build, parse, agreed, answers

if __name__ == "__main__":
    sys.exit(main(__file__, EXERCISES))
