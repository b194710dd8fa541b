# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""doc/gen/vfio-user.json is enough to read and check messages: what follows knows nothing but it and
codegen/MODEL.md, and says of each generated payload what the library says."""

import errno
import json
import struct
import sys

import pytest

from places import generated
from wire_cases import cases_of, each_base, vectors

with open(generated("doc", "gen", "vfio-user.json"), encoding="utf-8") as file:
    model = json.load(file)

SIZES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}
MASK = 2**64 - 1


def by_name(entries):
    return {entry["name"]: entry for entry in entries}


structs = by_name(model["structs"])
messages = by_name(model["messages"])
limits = {limit["name"]: limit["default"] for limit in model["limits"]} | vectors.LIMITS
policies = {policy["name"]: policy["default"] for policy in model["policies"]}


# Expressions ---------------------------------------------------------------------------------------

BINARY = {
    "add": lambda a, b: a + b & MASK,
    "sub": lambda a, b: a - b & MASK,
    "mul": lambda a, b: a * b & MASK,
    "div": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "div_up": lambda a, b: -(-a // b),
    "band": lambda a, b: a & b,
    "shr": lambda a, b: a >> b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}


class Fault(Exception):
    """field, offset, errno"""


class Place:
    """What an expression looks at: a part that begins at `base`, and what is around it."""

    def __init__(self, case, known, base=0, prefix=""):
        self.case, self.base, self.prefix = case, base, prefix
        self.known = dict(known)  # self, request, outer, head: their fields
        self.variables = {}

    def value(self, e):
        if e is None:
            return True
        if isinstance(e, (int, str)):
            return e if isinstance(e, int) else int(e, 16)
        op = e["op"]
        if op in BINARY:
            return BINARY[op](self.value(e["a"]), self.value(e["b"]))
        return getattr(self, "op_" + op)(e)

    def op_field(self, e):
        return self.known[e["of"]][e["name"]]

    def op_limit(self, e):
        return (limits | self.case.limits)[e["name"]]

    def op_name(self, e):
        return self.variables[e["name"]]

    def op_policy(self, e):
        return (policies | self.case.policies)[e["name"]] == e["choice"]

    def op_nfds(self, e):
        return self.case.nfds

    def op_len(self, e):
        return len(self.case.payload)

    def op_start(self, e):
        return self.start

    def op_andalso(self, e):
        return self.value(e["a"]) and self.value(e["b"])

    def op_orelse(self, e):
        return self.value(e["a"]) or self.value(e["b"])

    def op_not(self, e):
        return not self.value(e["a"])

    def op_one_bit(self, e):
        return bin(self.value(e["a"])).count("1") == 1

    def op_is_text(self, e):
        rest = self.case.payload[self.value(e["a"]) :]
        return len(rest) > 0 and rest.find(b"\0") == len(rest) - 1

    def op_choose(self, e):
        return self.value(e["a"] if self.value(e["if"]) else e["b"])

    def fault(self, field, offset, number="EINVAL"):
        raise Fault(self.prefix + field, offset, number)

    def tests(self, rules):
        for rule in rules or []:
            if self.value(rule.get("when")) and self.value(rule.get("under")) and self.value(rule["broken"]):
                relative = isinstance(rule["at"], int)
                self.fault(rule["field"], self.base + rule["at"] if relative else self.value(rule["at"]), rule["errno"])


# Parts ---------------------------------------------------------------------------------------------


def pack(part, values):
    return struct.pack("=" + "".join(SIZES[f["type"]] for f in part["fields"]), *(values[f["name"]] for f in part["fields"]))


def unpack(part, payload, at):
    values = struct.unpack_from("=" + "".join(SIZES[f["type"]] for f in part["fields"]), payload, at)
    return {f["name"]: value for f, value in zip(part["fields"], values)}


class Case:
    """A payload, and all that belongs to it."""

    def __init__(self, payload, nfds, policies, limits, request):
        self.payload, self.nfds, self.request = bytes(payload), nfds, request
        self.policies, self.limits = policies, limits

    def check(self, part):
        here = Place(self, {"request": self.request})
        here.start = part["size"]
        for other in part.get("alternatives", []):
            if here.value(other["condition"]):
                here.known["self"] = unpack(other, self.payload, 0)
                return here.tests(other.get("rules"))
        here.tests(part.get("before"))
        here.known["self"] = here.known["outer"] = unpack(part, self.payload, 0)
        here.tests(part.get("rules"))
        self.behind(part, here)

    def struct(self, name, at, around):
        part = structs[name]
        if len(self.payload) < at + part["size"]:
            raise Fault(name, at, "EINVAL")
        here = Place(self, around.known, at, name + ".")
        here.known["self"] = unpack(part, self.payload, at)
        here.start = at + part["size"]
        here.tests(part.get("rules"))
        self.behind(part, here)
        return here.known["self"]

    def behind(self, part, here):
        """What follows the fields."""
        tail = part.get("tail")
        for name, e in tail.get("variables", {}).items() if tail else ():
            here.variables[name] = here.value(e)
        here.tests(part.get("after"))
        if tail:
            getattr(self, tail["kind"])(tail, here)

    def bytes(self, tail, here):
        pass

    json = bytes

    def array(self, tail, here):
        before = []
        for i in range(here.variables["n"]) if tail["of"] in structs else ():
            at = here.start + i * tail["entry_size"]
            entry = self.struct(tail["of"], at, here)
            for other in before if "disjoint" in tail else ():
                start, length = tail["disjoint"]
                if (entry[start] - other[start]) & MASK < other[length] or (other[start] - entry[start]) & MASK < entry[length]:
                    here.fault(tail["name"], at)
            before.append(entry)

    def entry(self, items, at, here):
        """What lies at `at`, if it is one of these."""
        here.variables["at"] = at
        for item in items:
            if here.value(item["condition"]):
                here.tests(item.get("rules"))
                here.variables["seen"] = here.variables.get("seen", 0) | item.get("bit", 0)
                return self.struct(item["struct"], at, here)

    def union(self, tail, here):
        self.entry(tail["items"], here.start, here)

    def strided(self, tail, here):
        by, items = tail["by"], by_name(tail["items"])
        for at in range(here.start, len(self.payload), max(here.variables["stride"], 1)):
            (here.variables["by"],) = struct.unpack_from("=" + SIZES[by["type"]], self.payload, at + by["offset"])
            self.entry([items[name] for name in tail["order"]], at, here)

    def chain(self, tail, here):
        if not here.value(tail.get("present")):
            return
        head, here.variables["seen"] = structs[tail["head"]], 0
        here.variables["from"], at = here.start, here.value(tail["at"])
        while True:
            here.variables["at"] = at
            here.tests([tail["each"]])
            here.known["head"] = unpack(head, self.payload, at)
            self.entry(tail["items"], at, here)
            here.variables["from"], at = at + head["size"], here.known["head"][tail["next"]]
            if at == 0:
                return


# Tests ---------------------------------------------------------------------------------------------


def parts():
    """The names that the vectors have for them: GetRegionInfoReply."""
    for part in [model["header"] | {"name": "header"}, *structs.values()]:
        yield part["name"], part
    for name, message in messages.items():
        for side in "request", "reply":
            yield f"{name}_{side}", message[side]
            for other in message[side].get("alternatives", []):
                yield f"{name}_{side}_{other['name']}", other


by_class = {name.title().replace("_", ""): part for name, part in parts()}


def verdict(base, payload, nfds, policies, limits):
    message, _, reply, _, _, _, request, _ = base
    part = model["header"] if message == "header" else messages[message]["reply" if reply else "request"]
    try:
        Case(payload, nfds, policies, limits, request[1] if request else {}).check(part)
    except Fault as fault:
        field, offset, number = fault.args
        return (field, offset) + ((number,) if number != "EINVAL" else ())


@each_base
def test_verdicts(base):
    wrong = []
    for about, payload, nfds, chosen, agreed, expected in cases_of(lambda name, values: pack(by_class[name], values), base):
        got = verdict(base, payload, nfds, chosen, agreed)
        if got != expected:
            wrong.append((about, len(payload), nfds, got, expected))
    assert not wrong


def test_layouts_hold_together():
    sizes = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
    for part in by_class.values():
        assert sum(sizes[f["type"]] for f in part["fields"]) == part["size"]
        assert all(f["offset"] % sizes[f["type"]] == 0 for f in part["fields"])


def names_in(value, key):
    if isinstance(value, dict):
        yield from [value[key]] if isinstance(value.get(key), str) else []
        value = list(value.values())
    for inner in value if isinstance(value, list) else []:
        yield from names_in(inner, key)


@pytest.mark.parametrize(
    "key, known",
    [
        ("struct", structs),
        ("head", structs),
        ("enum", by_name(model["enums"])),
        ("flags", by_name(model["flags"])),
        ("since", model["revisions"]),
    ],
)
def test_what_is_named_is_there(key, known):
    assert set(names_in(model, key)) <= set(known)


@pytest.mark.skipif(sys.platform != "linux", reason="the numbers are those of Linux")
def test_errnos():
    assert model["errnos"] == {name: getattr(errno, name) for name in model["errnos"]}
    assert set(names_in(model, "errno")) <= set(model["errnos"])
    assert all(set(message["errors"]) <= set(model["errnos"]) for message in messages.values())
