# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Checks lesson 7.   ./run python3 ../doc/course/7-hostile/check.py [FILE.py], and FILE.c beside it"""

import contextlib
import ctypes
import errno
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from judge import ERROR, REPLY, NotSolved, Wrong, example, main, protocol, same, served  # noqa: E402
from lua import outside  # noqa: E402


def takes(student, name, what, *args):
    """What the function returns of this, which is right."""
    try:
        return student.value(name, *args)
    except NotSolved:
        raise
    except Wrong as wrong:
        raise Wrong(f"{what} is right: {wrong}") from None


def headers(student):
    """exercise 1: check_header"""
    def made(size, flags):
        return student.module.Header(7, 9, size, flags, 0)

    for what, size, flags in (
        ("a header alone", 16, 1), ("the longest payload", 16 + 1000, 1), ("a command", 20, 0), ("an error", 16, REPLY | ERROR),
        ("a reply with flag bits that nobody knows", 20, 0xFFFFFF01),
    ):
        takes(student, "check_header", f"{what}, size {size} and flags {flags:#x},", made(size, flags), 1000)
    for size in 15, 0, 1017, 0xFFFFFFFF:
        student.refuses("check_header", made(size, 1), 1000, what=f"a size of {size}, where a payload has 1000 bytes at most", kind=ConnectionError)
    for flags in 2, 15, 0x2F:
        student.refuses("check_header", made(16, flags), 1000, what=f"the flags {flags:#x}, whose type is {flags & 15}", kind=ConnectionError)


ASKED = protocol.RegionReadRequest(region=2, offset=0x10, count=4)
FIELDS = struct.pack("=QII", 0x10, 2, 4)


def descriptors():
    return set(os.listdir("/proc/self/fd"))


def one_answer(student, what, kind, payload, number=None, files=0, **odd):
    """A server answers this; the exception that it has to be, with its errno, or None."""
    before = descriptors()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with student.calls("read_register", 0x1234, 0x10, 2, 4) as talk:
            talk.reply(talk.expect(ASKED, id=0x1234), payload, fds=[theirs.fileno()] * files, **odd)
        if kind:
            talk.raised(kind, what, number)
        else:
            talk.returned(payload[16:], what)
    left = 0
    for number in descriptors() - before:
        with contextlib.suppress(OSError):  # that by which they are listed is closed already
            os.close(int(number))
            left += 1
    if left:
        raise Wrong(f"read_register() leaves {left} descriptors open that came with {what}")


def registers(student):
    """exercise 2: read_register, from a server that says odd things"""
    with served(example("counter")()) as device:
        with student.calls("read_register", 7, 0, 7, 4) as talk:
            talk.forward(talk.expect(protocol.RegionReadRequest(region=7, count=4), id=7), device)
        talk.returned(b"\x34\x12\1\0")
    right = FIELDS + b"data"
    one_answer(student, "an error", OSError, b"", errno.EINVAL, error=errno.EINVAL)
    one_answer(student, "an error with a payload", OSError, right, errno.EINVAL, error=errno.EINVAL)
    one_answer(student, "an error whose errno is 0", OSError, b"", errno.EIO, error=0)
    for what, payload, odd in (
        ("a reply with another id", right, {"id": 0x1235}),
        ("a command where a reply has to come", right, {"flags": 0}),
        ("a reply of another offset", struct.pack("=QII", 0x14, 2, 4) + b"data", {}),
        ("a reply of another region", struct.pack("=QII", 0x10, 0, 4) + b"data", {}),
        ("a reply whose count is 2, with 2 bytes", struct.pack("=QII", 0x10, 2, 2) + b"da", {}),
        ("a reply whose count is 4, with 2 bytes", FIELDS + b"da", {}),
        ("a reply whose count is 2000000000, with 4 bytes", struct.pack("=QII", 0x10, 2, 2_000_000_000) + b"data", {}),
        ("a reply without payload", b"", {}),
        ("a reply with a size of 4 GiB", right, {"size": 0xFFFFFFFF}),
        ("a reply that ends in its middle", right, {"size": 40}),
        ("a reply with a byte too many", right + b"!", {}),
        ("a reply to REGION_WRITE, with the right id", right, {"command": 10}),
        ("an error reply with another id", b"", {"id": 0x1235, "error": errno.EINVAL}),
        ("an error reply to REGION_WRITE, with the right id", b"", {"command": 10, "error": errno.EINVAL}),
        ("an error reply whose payload is longer than that of the right reply", right + b"!", {"error": errno.EINVAL}),
    ):
        one_answer(student, what, ConnectionError, payload, **odd)
    one_answer(student, "a right reply that has descriptors beside it", None, right, files=3)
    one_answer(student, "a wrong reply that has descriptors beside it", ConnectionError, right, files=3, id=1)


def reply(at, *words, size=0x10000, flags=0x0F):
    return struct.pack("=IIIIQQ", 96, flags, 0, at, size, 0) + b"".join(words)


def head(next, id=1, version=1):
    return struct.pack("=HHI", id, version, next)


def sparse(*areas, count=None):
    return struct.pack("=II", len(areas) if count is None else count, 0) + b"".join(struct.pack("=QQ", *area) for area in areas)


def capabilities(student):
    """exercise 3: mappable, of payloads that lie"""
    for what, payload, want in (
        ("one area at the end of the region", reply(32, head(0), sparse((0xF000, 0x1000))), [(0xF000, 0x1000)]),
        ("an unknown capability, and a SPARSE_MMAP", reply(32, head(48, id=77), b"?" * 8, head(0), sparse((0, 1))), [(0, 1)]),
        ("an unknown capability that is a head alone, and a SPARSE_MMAP", reply(32, head(40, id=77), head(0), sparse((0, 1))), [(0, 1)]),
        ("a SPARSE_MMAP, and an unknown capability", reply(32, head(64), sparse((0, 1)), head(0, id=77)), [(0, 1)]),
        ("a SPARSE_MMAP of version 2 (unknown)", reply(32, head(0, version=2), b"?" * 8), [(0, 0x10000)]),
        ("a region that can not be mapped", reply(0, flags=3), []), ("one that can be mapped as a whole", reply(0, flags=7), [(0, 0x10000)]),
    ):
        same(f"mappable() of {what}", takes(student, "mappable", what, payload), want)
    for what, payload in (
        ("a payload of 31 bytes", reply(0, flags=7)[:31]),
        ("a cap_offset of 16, which is in the fields", reply(16, head(0), sparse())),
        ("a cap_offset of 0, with the flag CAPS", reply(0)),
        ("a cap_offset beyond the payload", reply(4096, head(0), sparse())),
        ("a cap_offset 4 bytes before the end", reply(36, head(0))),
        ("a capability whose next is itself", reply(32, head(32, id=77), b"?" * 8)),
        ("a capability whose next lies before it", reply(40, b"?" * 8, head(32, id=77))),
        ("a capability whose next lies in its own head", reply(32, head(36, id=77), bytes(16))),
        ("a good SPARSE_MMAP whose next is itself", reply(32, head(32), sparse((0, 1)))),
        ("a good SPARSE_MMAP whose next lies beyond the payload", reply(32, head(4096), sparse((0, 1)))),
        ("a good SPARSE_MMAP, and an unknown capability whose next lies before it", reply(32, head(64), sparse((0, 1)), head(32, id=77))),
        ("a next beyond the payload", reply(32, head(0xFFFFFFF0, id=77), b"?" * 8)),
        ("a SPARSE_MMAP that ends behind its head", reply(32, head(0))),
        ("nr_areas 2, with one area", reply(32, head(0), sparse((0, 1), count=2))),
        ("nr_areas 2, the second in the next capability", reply(32, head(64), sparse((0, 1), count=2), head(0, id=77), b"?" * 8)),
        ("an area that passes the end of the region", reply(32, head(0), sparse((0xF000, 0x1001)))),
        ("an area whose end is beyond 64 bits", reply(32, head(0), sparse((2**64 - 1, 2)))),
    ):
        student.refuses("mappable", payload, what=what, kind=ValueError)


@contextlib.contextmanager
def compiled(path):
    """The student's C, loaded."""
    cc = shutil.which("cc") or shutil.which("gcc")
    if not cc:
        raise Wrong("there is no C compiler, cc, to try it with")
    with tempfile.TemporaryDirectory(prefix="vfu-course.") as place:
        command = [cc, "-std=gnu11", "-O1", "-fPIC", "-shared", str(path), "-o", place + "/exercise.so"]
        done = subprocess.run(command, capture_output=True, text=True, env=outside())
        if done.returncode:
            raise Wrong(f"{path.name} does not compile: {done.stderr.strip()}")
        yield ctypes.CDLL(place + "/exercise.so")


TOP = 2**64 - 1
U32, U64 = ctypes.c_uint32, ctypes.c_uint64
CASES = [
    ("access_ok", (U64, U32, U64), [
        ((0, 4, 4096), 1), ((4092, 4, 4096), 1), ((0, 4096, 4096), 1), ((4093, 4, 4096), 0), ((4096, 1, 4096), 0), ((4095, 1, 4096), 1),
        ((0, 0, 4096), 0), ((0, 1, 0), 0), ((0, 8, 4), 0), ((TOP, 1, 4096), 0), ((TOP - 3, 4, 4096), 0), ((TOP - 3, 8, 4096), 0),
        ((2**32, 4, 4096), 0), ((2**32 - 1, 1, 2**32), 1), ((TOP - 1, 1, TOP), 1)]),
    ("range_ok", (U64, U64), [
        ((0, 4096), 1), ((0, 0), 0), ((4096, 0), 0), ((TOP - 4095, 4096), 1), ((TOP - 4094, 4096), 0), ((TOP, 1), 1), ((TOP, 2), 0), ((1, TOP), 1),
        ((2, TOP), 0), ((0, TOP), 1)]),
    ("overlap", (U64, U64, U64, U64), [
        ((0, 4096, 4096, 4096), 0), ((4096, 4096, 0, 4096), 0), ((0, 4097, 4096, 1), 1), ((0, 10, 2, 3), 1), ((2, 3, 0, 10), 1),
        ((5, 1, 5, 1), 1), ((TOP - 4095, 4096, 0, 4096), 0), ((0, 4096, TOP - 4095, 4096), 0), ((TOP - 4095, 4096, TOP, 1), 1)]),
]


def bounds(student):
    """exercise 4: exercise.c, where sums wrap"""
    path = student.path.with_suffix(".c")
    if not path.exists():
        raise Wrong(f"there is no {path.name} beside {student.path.name}")
    with compiled(path) as made:
        for name, types, cases in CASES:
            function = getattr(made, name)
            function.argtypes = types
            for numbers, right in cases:
                found = function(*numbers)
                shown = f"{name}({', '.join(f'{number:#x}' if number > 9 else str(number) for number in numbers)})"
                if found == -1:
                    line = path.read_text().partition("return NOT_SOLVED")[0].count("\n") + 1
                    raise NotSolved(f"exercise 4 is not solved yet: the gap is at {path.name}:{line}")
                if bool(found) != bool(right):
                    raise Wrong(f"{shown} returns {found}, and has to return {right}")


EXERCISES = headers, registers, capabilities, bounds

if __name__ == "__main__":
    sys.exit(main(__file__, EXERCISES))
