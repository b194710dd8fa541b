# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What a device says of a region besides its size, and what a client sees of it."""

import pytest

import vfu
from vfu import protocol

PAGE = 4096
STRANGE = protocol.UnknownLink(protocol.RegionCapHeader(id=4711, version=3), b"unheard of")


class Device(vfu.Device):
    bar0 = vfu.Bar(size=PAGE)
    bar1 = vfu.Bar(size=PAGE, capabilities=[protocol.CapType(type=0x80001234, subtype=7), STRANGE])
    bar2 = vfu.Bar(size=2 * PAGE, mmap=[(0, PAGE)], capabilities=[protocol.CapType(type=1)])


def test_both_ends(connect):
    dev = connect(Device())
    assert dev.regions.bar0.capabilities == []
    kind, strange = dev.regions.bar1.capabilities
    assert (type(kind), kind.type, kind.subtype) == (protocol.CapType, 0x80001234, 7)
    assert (strange.head.id, strange.head.version, strange.data) == (4711, 3, b"unheard of")
    assert dev.regions.bar1.type == 0x80001234
    areas, kind = dev.regions.bar2.capabilities
    assert [(area.offset, area.size) for area in areas.areas] == dev.regions.bar2.areas == [(0, PAGE)]
    assert kind.type == 1
    assert dev.regions.bar2.info.size == 2 * PAGE
    assert dev.regions.config.info.caps == []


@pytest.mark.parametrize(
    "capability, field",
    [
        (protocol.UnknownLink(protocol.RegionCapHeader(id=2, version=1), b"cut"), "get_region_info.cap_type"),
        (protocol.SparseMmap(areas=[protocol.SparseMmapArea(0, PAGE)]), "region_capability.id"),
        (
            protocol.SparseMmapFds(areas=[protocol.SparseFdArea(size=2 * PAGE)]),
            "get_region_info.sparse_fd_area.offset",
        ),
        (protocol.SparseMmapFds(areas=[protocol.SparseFdArea(size=PAGE)] * 2), "get_region_info.sparse_mmap_fds.areas"),
    ],
)
def test_rules(capability, field):
    class Wrong(vfu.Device):
        bar0 = vfu.Bar(size=PAGE, mmap=True, capabilities=[capability])

    with pytest.raises(vfu.Error) as caught:
        Wrong()
    assert caught.value.field == field
