# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The checks in Python give the verdicts of those in C: both run the same generated cases."""

import copy
import errno
import importlib.util
import json
import os

import pytest

import vfu_protocol as protocol


def load_vectors():
    for root in (os.environ["abs_builddir"], os.environ["abs_srcdir"]):
        path = os.path.join(root, "tests", "gen", "vectors.py")
        if os.path.exists(path):
            spec = importlib.util.spec_from_file_location("vectors", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise FileNotFoundError("tests/gen/vectors.py")


vectors = load_vectors()
LIMITS = protocol.Limits(**vectors.LIMITS)


def fill(offset):
    return 0x41 + offset % 23


def put(payload, offset, size, value):
    if offset + size <= len(payload):
        payload[offset : offset + size] = value.to_bytes(size, "little" if little_endian() else "big")


def get(payload, offset, size):
    return int.from_bytes(payload[offset : offset + size], "little" if little_endian() else "big")


def little_endian():
    return protocol.Header(1).pack()[0] == 1


def build(segments, text, length):
    """Its structures packed, text put in, the rest filled."""
    end = max([length] + [at + getattr(protocol, name).SIZE for name, at, _ in segments])
    payload = bytearray(fill(i) for i in range(end))
    for name, at, values in segments:
        part = getattr(protocol, name)(**values).pack()
        payload[at : at + len(part)] = part
    payload[text[0] : text[0] + len(text[1])] = text[1]
    return payload[:length]


def look(how, base, payload, nfds, policies):
    """check() or parse() at a payload of this base."""
    message, _, reply, _, _, _, request, _ = base
    return how(
        protocol.Command[message.upper()],
        payload,
        reply=reply,
        nfds=nfds,
        limits=LIMITS,
        policy=protocol.Policies(**policies),
        request=request and getattr(protocol, request[0])(**request[1]),
    )


def verdict(base, payload, nfds, policies):
    message = base[0]
    try:
        if message == "header":
            protocol.check_header(protocol.Header.unpack(payload), protocol.Policies(**policies))
        else:
            look(protocol.check, base, payload, nfds, policies)
    except protocol.Fault as fault:
        assert fault.message == message
        name = errno.errorcode[fault.errno]
        return (fault.field, fault.offset) + ((name,) if name != "EINVAL" else ())
    return None


def payloads_of(base, case):
    _, _, _, _, segments, text, _, _ = base
    _, lengths, _, puts, bits, _, _, _ = case
    for length in range(lengths[0], lengths[1] + 1):
        payload = build(segments, text, length)
        for one in puts:
            put(payload, *one)
        if not bits:
            yield payload
            continue
        offset, size, mask = bits
        for bit in range(size * 8):
            if mask >> bit & 1:
                changed = bytearray(payload)
                put(changed, offset, size, get(changed, offset, size) ^ 1 << bit)
                yield changed


def cases_of(base):
    """what it is about, payload, descriptors, policies, what check() must say"""
    for case in base[-1]:
        about, _, descriptors, _, _, policies, expected, order = case
        if order not in (None, "little" if little_endian() else "big"):
            continue
        for payload in payloads_of(base, case):
            for nfds in range(descriptors[0], descriptors[1] + 1):
                yield about, payload, nfds, policies, expected


each_base = pytest.mark.parametrize(
    "base", vectors.BASES, ids=lambda b: f"{b[0]}-{'reply' if b[2] else 'request'}-{b[1]}"
)


@each_base
def test_cases(base):
    wrong = []
    for about, payload, nfds, policies, expected in cases_of(base):
        got = verdict(base, payload, nfds, policies)
        if got != expected:
            wrong.append((about, len(payload), nfds, got, expected))
    assert not wrong


def is_json(payload, part):
    """Does JSON follow the fields?  check() does not read it."""
    try:
        json.loads(payload[part.SIZE : -1])
    except ValueError:
        return False
    return True


@each_base
def test_what_is_taken_round_trips(base):
    """What parse() reads build() writes, and parse() reads the same again."""
    if base[0] == "header":
        return
    message = protocol.MESSAGES[protocol.Command[base[0].upper()]]
    part = message.reply if base[2] else message.request
    for about, payload, nfds, policies, expected in cases_of(base):
        if expected is not None:
            continue
        try:
            first = look(protocol.parse, base, payload, nfds, policies)
        except protocol.Fault:
            assert base[5][1] and not is_json(payload, part), about
            continue
        assert isinstance(first, part) or type(first).__name__.startswith(part.__name__)
        before = copy.deepcopy(first)
        built = first.build()
        if about == base[1] and first == before and not base[5][1]:  # laid out as build() does it
            assert payload.startswith(built), about
        again = look(protocol.parse, base, built, nfds, policies)
        assert again == first, about
        assert again.build() == built, about


@each_base
def test_fields_read_back(base):
    _, _, _, length, segments, text, _, _ = base
    payload = bytes(build(segments, text, length))
    for name, at, values in segments:
        part = getattr(protocol, name).unpack(payload, at)
        assert part == getattr(protocol, name)(**values)
        assert part.pack() == payload[at : at + part.SIZE]


def test_every_message_is_tested():
    tested = {(base[0], base[2]) for base in vectors.BASES}
    for command in protocol.Command:
        assert {(command.name.lower(), False), (command.name.lower(), True)} <= tested


def test_profiles():
    assert protocol.Policies.profile("default") == protocol.Policies()
    strict = protocol.Policies.profile("strict")
    for name, policy in protocol.POLICIES.items():
        assert getattr(strict, name) in policy.choices
        assert policy.choices[0] == getattr(protocol.Policies(), name)
