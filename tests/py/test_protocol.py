# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The checks in Python give the verdicts of those in C: both run the same generated cases."""

import copy
import errno
import json

import vfu_protocol as protocol
from wire_cases import build, cases_of, each_base, vectors



def pack(name, values):
    return getattr(protocol, name)(**values).pack()


def look(how, base, payload, nfds, policies, limits):
    """check() or parse() at a payload of this base."""
    message, _, reply, _, _, _, request, _ = base
    return how(
        protocol.Command[message.upper()],
        payload,
        reply=reply,
        nfds=nfds,
        limits=protocol.Limits(**vectors.LIMITS | limits),
        policy=protocol.Policies(**policies),
        request=request and getattr(protocol, request[0])(**request[1]),
    )


def verdict(base, payload, nfds, policies, limits):
    message = base[0]
    try:
        if message == "header":
            protocol.check_header(protocol.Header.unpack(payload), protocol.Policies(**policies))
        else:
            look(protocol.check, base, payload, nfds, policies, limits)
    except protocol.Fault as fault:
        assert fault.message == message
        name = errno.errorcode[fault.errno]
        return (fault.field, fault.offset) + ((name,) if name != "EINVAL" else ())
    return None


@each_base
def test_cases(base):
    wrong = []
    for about, payload, nfds, policies, limits, expected in cases_of(pack, base):
        got = verdict(base, payload, nfds, policies, limits)
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
    for about, payload, nfds, policies, limits, expected in cases_of(pack, base):
        if expected is not None:
            continue
        try:
            first = look(protocol.parse, base, payload, nfds, policies, limits)
        except protocol.Fault:
            assert base[5][1] and not is_json(payload, part), about
            continue
        assert isinstance(first, part) or type(first).__name__.startswith(part.__name__)
        before = copy.deepcopy(first)
        built = first.build()
        if about == base[1] and first == before and not base[5][1]:  # laid out as build() does it
            assert payload.startswith(built), about
        again = look(protocol.parse, base, built, nfds, policies, limits)
        assert again == first, about
        assert again.build() == built, about


@each_base
def test_fields_read_back(base):
    _, _, _, length, segments, text, _, _ = base
    payload = bytes(build(pack, segments, text, length))
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
