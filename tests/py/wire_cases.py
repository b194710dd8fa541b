# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The payloads of tests/gen/vectors.py: what the generated checks must say of them."""

import importlib.util
import sys

import pytest
from places import generated


def load_vectors():
    spec = importlib.util.spec_from_file_location("vectors", generated("tests", "gen", "vectors.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


vectors = load_vectors()
each_base = pytest.mark.parametrize(
    "base", vectors.BASES, ids=lambda b: f"{b[0]}-{'reply' if b[2] else 'request'}-{b[1]}"
)


def fill(offset):
    return 0x41 + offset % 23


def put(payload, offset, size, value):
    if offset + size <= len(payload):
        payload[offset : offset + size] = value.to_bytes(size, sys.byteorder)


def build(pack, segments, text, length):
    """Its structures put in by pack(name, values), text too, the rest filled."""
    parts = [(at, pack(name, values)) for name, at, values in segments]
    payload = bytearray(fill(i) for i in range(max([length] + [at + len(part) for at, part in parts])))
    for at, part in parts:
        payload[at : at + len(part)] = part
    payload[text[0] : text[0] + len(text[1])] = text[1]
    return payload[:length]


def payloads_of(pack, base, case):
    _, _, _, _, segments, text, _, _ = base
    _, lengths, _, puts, bits, _, _, _, _ = case
    for length in range(lengths[0], lengths[1] + 1):
        payload = build(pack, segments, text, length)
        for one in puts:
            put(payload, *one)
        if not bits:
            yield payload
            continue
        offset, size, mask = bits
        for bit in range(size * 8):
            if mask >> bit & 1:
                changed = bytearray(payload)
                old = int.from_bytes(payload[offset : offset + size], sys.byteorder)
                put(changed, offset, size, old ^ 1 << bit)
                yield changed


def cases_of(pack, base):
    """what it is about, payload, descriptors, policies, limits that differ, what a check must say"""
    for case in base[-1]:
        about, _, descriptors, _, _, policies, limits, expected, order = case
        if order not in (None, sys.byteorder):
            continue
        for payload in payloads_of(pack, base, case):
            for nfds in range(descriptors[0], descriptors[1] + 1):
                yield about, payload, nfds, policies, limits, expected
