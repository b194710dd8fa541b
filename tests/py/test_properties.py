# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Whatever is done to a region, it behaves like memory with registers in it. Needs hypothesis."""

import os

import pytest

import vfu

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing (Debian: python3-hypothesis)")
from hypothesis import given, settings, strategies as st  # noqa: E402

SIZE = 64
# Registers of every width and kind: offset: (width, kind)
LAYOUT = {
    0: (1, "plain"),
    2: (2, "plain"),
    4: (4, "readonly"),
    8: (8, "handled"),
    20: (4, "handled"),
    26: (2, "readonly"),
}


class Device(vfu.Device):
    bar0 = vfu.Bar(size=SIZE)
    r0 = bar0.reg8(0)
    r2 = bar0.reg16(2)
    r4 = bar0.reg32(4, readonly=True)
    r8 = bar0.reg64(8)
    r20 = bar0.reg32(20)
    r26 = bar0.reg16(26, readonly=True)

    @r8.on_write
    def write8(self, value):
        self.r8 = value

    @r8.on_read
    def read8(self):
        return self.r8

    @r20.on_write
    def write20(self, value):
        self.r20 = value

    @bar0.on_access(32, 16)
    def window(self, offset, size, data):
        at = offset - 32
        if data is None:
            return self.plain[at : at + size]
        self.plain[at : at + size] = data

    def __init__(self):
        super().__init__()
        self.plain = bytearray(16)


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    path = tmp_path_factory.mktemp("properties") / "sock"
    with vfu.Server(Device(), path).start(), vfu.Client(path) as dev:
        yield dev


# The module's device outlives each single test.
@pytest.fixture(autouse=True)
def no_leaks():
    yield


accesses = st.integers(0, SIZE - 1).flatmap(
    lambda offset: st.tuples(st.just(offset), st.binary(min_size=1, max_size=SIZE - offset), st.booleans())
)


def readonly(offset):
    return any(kind == "readonly" and at <= offset < at + width for at, (width, kind) in LAYOUT.items())


@settings(deadline=None, max_examples=int(os.environ.get("VFU_EXAMPLES", 100)))
@given(st.lists(accesses, max_size=20))
def test_region_is_memory(dev, steps):
    bar0 = dev.regions.bar0
    model = bytearray(bar0.read(0, SIZE))
    for offset, data, post in steps:
        bar0.write(offset, data, post=post)
        for i, byte in enumerate(data):
            if not readonly(offset + i):
                model[offset + i] = byte
        assert bar0.read(offset, len(data)) == model[offset : offset + len(data)]
    assert bar0.read(0, SIZE) == model


@settings(deadline=None, max_examples=int(os.environ.get("VFU_EXAMPLES", 100)))
@given(st.integers(-(2**70), 2**70), st.integers(-(2**40), 2**40))
def test_any_offset_and_length(dev, offset, length):
    """Outside the region: an exception, never a lost connection."""
    bar0 = dev.regions.bar0
    inside = 0 <= offset and 0 < length and offset + length <= SIZE
    try:
        data = bar0.read(offset, length if inside else min(length, 1 << 16))
    except (OSError, OverflowError, ValueError, MemoryError):
        assert not inside
    else:
        assert len(data) == max(length, 0) if inside else len(data) >= 0
    assert dev.connected


@settings(deadline=None, max_examples=int(os.environ.get("VFU_EXAMPLES", 100)))
@given(st.sampled_from([8, 16, 32, 64]), st.integers(0, SIZE // 8 - 1), st.integers(0, 2**64 - 1))
def test_number_accessors(dev, bits, slot, value):
    bar0 = dev.regions.bar0
    offset, value = 48 + slot % 2 * 8, value % 2**bits
    getattr(bar0, f"write{bits}")(offset, value)
    assert getattr(bar0, f"read{bits}")(offset) == value
