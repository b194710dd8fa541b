# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Checks lesson 8.   ./run python3 ../doc/course/8-spec/check.py /tmp/my-spec"""

import functools
import json
import re
import struct
import sys
import types
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import lua  # noqa: E402
from judge import NotSolved, Wrong, main, same  # noqa: E402

SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8}


class Spec:
    """A copy of spec/, and what is generated from it."""

    def __init__(self, path):
        self.path = Path(path)

    @functools.lru_cache
    def output(self, name):
        try:
            return lua.generate(name, self.path)
        except lua.Fault as fault:
            raise Wrong(f"the spec is refused: {fault}") from None

    @functools.lru_cache
    def protocol(self):
        """The Python module."""
        module = types.ModuleType("course_protocol")
        sys.modules[module.__name__] = module  # dataclasses look there
        try:
            exec(compile(self.output("python"), "vfu_protocol.py", "exec"), module.__dict__)
        finally:
            del sys.modules[module.__name__]
        return module


def is_taken(protocol, payload, **options):
    """None, or the sentence with which it is refused."""
    try:
        protocol.parse(payload.COMMAND, payload.build(), reply=payload.REPLY, **options)
    except protocol.Fault as fault:
        return str(fault)
    return None


def flag(spec):
    """exercise 1: a flag of DMA_MAP, and its rule"""
    protocol = spec.protocol()
    cold = getattr(protocol.DmaMapFlags, "COLD", None)
    if cold is None:
        raise NotSolved("exercise 1 is not solved yet: the flags dma_map have no bit cold in dma.lua")
    same("the bit of the flag cold", cold.bit_length() - 1, 4)
    for name in "READABLE", "MMAP":
        flags = cold | protocol.DmaMapFlags[name]
        refused = is_taken(protocol, protocol.DmaMapRequest(flags=flags, size=4096), nfds=1)
        if refused:
            raise Wrong(f"a range that is cold and {name.lower()} is refused: {refused}")
    if not is_taken(protocol, protocol.DmaMapRequest(flags=cold | protocol.DmaMapFlags.WRITEABLE, size=4096)):
        raise Wrong("a range that is cold and writeable is taken: a rule is missing in the check of dma_map")


def fields(kind):
    """[(name, offset, size)]"""
    out, at = [], 0
    for name, form in zip(kind._names, kind.FORMAT[1:]):
        out.append((name, at, SIZES[form]))
        at += SIZES[form]
    assert at == struct.calcsize(kind.FORMAT)
    return out


def command(spec):
    """exercise 2: a command, get_uptime"""
    protocol = spec.protocol()
    if not hasattr(protocol, "GetUptimeRequest"):
        raise NotSolved("exercise 2 is not solved yet: there is no message get_uptime")
    request, reply = protocol.GetUptimeRequest, protocol.GetUptimeReply
    same("the number (id) of get_uptime", int(request.COMMAND), 300)
    same("who sends get_uptime (from)", protocol.MESSAGES[request.COMMAND].sender, "client")
    made = next(m for m in json.loads(spec.output("model_json"))["messages"] if m["id"] == request.COMMAND)
    same("the key basic of get_uptime", made.get("basic", False), False, "servers that were there before do not know it")
    for kind, wanted in (request, [("argsz", 0, 4), ("clock", 4, 4)]), (reply, [("argsz", 0, 4), ("clock", 4, 4), ("nanoseconds", 8, 8)]):
        side = "reply" if kind.REPLY else "request"
        for name, at, size in wanted:
            found = {field: (offset, length) for field, offset, length in fields(kind)}.get(name)
            same(f"offset and size of the field {name} in the {side} of get_uptime", found, (at, size))
        same(f"the size of the {side} of get_uptime", kind.SIZE, sum(size for _, _, size in wanted))
    asked = request(clock=1)
    for clock, is_right in (0, True), (1, True), (2, False):
        refused = is_taken(protocol, request(clock=clock))
        if bool(refused) == is_right:
            raise Wrong(f"a request whose clock is {clock} is " + (f"refused: {refused}" if refused else "taken; only 0 and 1 are known"))
    for clock, is_right in (1, True), (0, False):
        refused = is_taken(protocol, reply(clock=clock, nanoseconds=7), request=asked)
        if bool(refused) == is_right:
            raise Wrong(f"a reply whose clock is {clock}, where the request's is 1, is " + (f"refused: {refused}" if refused else "taken"))
    if "struct vfu_wire_get_uptime_reply {" not in spec.output("wire_h/device"):
        raise Wrong("the C structures of device.lua do not have get_uptime: it belongs into that file")


def lock(spec):
    """exercise 3: wire.lock"""
    kept = (spec.path / "wire.lock").read_text()
    if "cold" not in spec.output("lock") and "uptime" not in spec.output("lock"):
        raise NotSolved("exercise 3 is not solved yet: nothing has changed that a peer could see")
    for line in spec.output("lock").splitlines():
        if re.search(r"(cold|uptime).*, since (?!draft)", line):
            raise Wrong(f"a peer sees {line!r}: what is only an idea has since = \"draft\" (a bit without since has its flags')")
        if line not in kept:
            raise Wrong(f"wire.lock is not that of this spec: it lacks the line {line!r}")
    same("wire.lock", kept == spec.output("lock"), True, "it has lines that are no longer so")


EXERCISES = flag, command, lock
OF = functools.lru_cache(Spec)

if __name__ == "__main__":
    sys.exit(main(__file__, EXERCISES, "../../../spec", OF))
