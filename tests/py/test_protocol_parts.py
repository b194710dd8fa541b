# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu_protocol as a user has it: payloads with what follows their fields, parsed and built.

That parse() and build() agree on every generated payload is in test_protocol.py.
"""

import copy
import dataclasses
import doctest
import errno
import itertools
import json
import pickle
import random
import subprocess
import sys

import pytest

import vfu_protocol as protocol
from vfu_protocol import (
    Capabilities,
    CapType,
    Command,
    DeviceFeatureReply,
    DeviceFeatureRequest,
    DmaWriteReply,
    DmaWriteReplyBare,
    DmaWriteReplyNarrow,
    DmaWriteRequest,
    Fault,
    FeatureDeviceState,
    FeatureFlags,
    FeatureIndex,
    FeatureLoggingBitmap,
    FeatureLoggingRange,
    FeatureLoggingStart,
    GetRegionInfoReply,
    GetRegionInfoRequest,
    GetRegionIoFdsReply,
    GetRegionIoFdsRequest,
    Header,
    IoFd,
    IoFdShadow,
    IrqSetFlags,
    Limits,
    MigrationCapabilities,
    RegionCapHeader,
    RegionInfoFlags,
    RegionReadReply,
    RegionReadRequest,
    RegionWriteMultiRequest,
    SetIrqsRequest,
    SparseFdArea,
    SparseMmap,
    SparseMmapArea,
    SparseMmapFds,
    TwinSocketCapabilities,
    UnknownLink,
    VersionReply,
    VersionRequest,
    WriteMultiEntry,
)


def again(part, **options):
    """What is built is parsed to the same."""
    read = type(part).parse(part.build(), **options)
    assert read == part
    return read


def test_the_module_stands_alone():
    program = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('vfu_protocol', {protocol.__file__!r})\n"
        "module = sys.modules['vfu_protocol'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "foreign = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names\n"
        "print(sorted(foreign - {'__main__', 'vfu_protocol'}))\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_example():
    done = doctest.testmod(protocol, optionflags=doctest.ELLIPSIS)
    assert done.attempted >= 2 and done.failed == 0


# Numbers with names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part, shown",
    [
        (GetRegionInfoReply(flags=3), "flags=RegionInfoFlags.READ|RegionInfoFlags.WRITE, index=RegionIndex.BAR0"),
        (GetRegionInfoReply(flags=0x101, index=9), "flags=RegionInfoFlags.READ|0x100, index=9"),
        (GetRegionInfoReply(flags=0), "flags=RegionInfoFlags(0x0)"),
        (GetRegionInfoReply(flags=1 << 31), "flags=RegionInfoFlags(0x80000000)"),
        (DeviceFeatureRequest(flags=0x10001), "flags=FeatureFlags.GET|FeatureIndex.MIGRATION"),
        (DeviceFeatureRequest(flags=0x1FFFF), "flags=FeatureFlags.GET|0xffff"),
        (Header(command=2, flags=0x11), "command=Command.DMA_MAP, size=0, flags=HeaderFlags.NO_REPLY|HeaderType.REPLY"),
        (Header(command=4711), "command=4711"),
        (FeatureDeviceState(device_state=2), "device_state=DeviceState.RUNNING"),
    ],
)
def test_fields_show_names(part, shown):
    assert shown in repr(part)
    same = eval(repr(part), vars(protocol))
    assert same == part == type(part).unpack(part.pack())
    assert same.pack() == part.pack()


def test_fields_are_numbers_and_members():
    reply = GetRegionInfoReply(flags=3)
    assert reply.flags == 3 and RegionInfoFlags.WRITE in reply.flags and isinstance(reply.flags, RegionInfoFlags)
    reply.flags |= 1 << 20
    assert reply.flags & 1 << 20 and GetRegionInfoReply.unpack(reply.pack()).flags == 0x100003
    assert isinstance(GetRegionInfoReply(index=7).index, protocol.RegionIndex)
    assert type(GetRegionInfoReply(index=70).index) is int
    assert GetRegionInfoReply.unpack(b"\xff" * 32).flags == 0xFFFFFFFF
    assert json.dumps(dataclasses.asdict(GetRegionInfoRequest(flags=3))).startswith('{"argsz": 32, "flags": 3, ')
    assert copy.deepcopy(reply) == pickle.loads(pickle.dumps(reply)) == dataclasses.replace(reply) == reply
    assert vars(GetRegionInfoReply(index=7))["index"] == 7


@pytest.mark.parametrize("value", ["READ", None, -1, 1 << 32, 1.5])
def test_what_a_field_cannot_hold(value):
    part = GetRegionInfoReply(flags=value)
    repr(part)
    with pytest.raises(ValueError, match="GetRegionInfoReply.flags is a whole number from 0 to 4294967295, not"):
        part.build()


def test_what_a_peer_thinks_of_is_not_remembered_for_ever():
    for value in range(1 << 14):
        repr(DeviceFeatureRequest(flags=value << 3))
    assert len(FeatureFlags._value2member_map_) <= 1024


# Lists ---------------------------------------------------------------------------------------------


def region(*caps, **fields):
    return GetRegionInfoReply(size=0x10000, caps=list(caps), **fields)


def test_links_of_a_region():
    reply = region(
        SparseMmap(areas=[SparseMmapArea(0, 4096), SparseMmapArea(8192, 4096)]), CapType(type=3, subtype=1)
    )
    read = again(reply, request=GetRegionInfoRequest())
    assert read.flags == RegionInfoFlags.CAPS
    assert (read.cap_offset, read.argsz) == (32, 32 + 16 + 2 * 16 + 16)
    assert [type(cap) for cap in read.caps] == [SparseMmap, CapType]
    assert [cap.next for cap in read.caps] == [80, 0]
    assert (read.caps[0].id, read.caps[0].version, read.caps[0].nr_areas) == (1, 1, 2)
    assert read.caps[0].areas[1].offset == 8192
    assert read.caps[1].subtype == 1


def test_links_that_are_not_known_are_kept():
    strange = UnknownLink(RegionCapHeader(id=4711, version=1), b"\x01\x02\x03\x04")
    newer = UnknownLink(RegionCapHeader(id=1, version=2), bytes(range(12)))
    read = again(region(strange, CapType(type=9), newer), request=GetRegionInfoRequest())
    assert read.caps[0].data == b"\x01\x02\x03\x04"
    assert (read.caps[0].head.next, read.caps[2].head.next) == (44, 0)
    assert (read.caps[2].head.id, read.caps[2].data) == (1, bytes(range(12)))


def test_a_reply_cut_short_keeps_what_it_says_of_the_whole():
    whole = region(CapType(type=9)).build()
    short = GetRegionInfoReply.parse(whole[:32], request=GetRegionInfoRequest())
    assert (short.argsz, short.caps, short.flags) == (48, [], RegionInfoFlags.CAPS)
    assert short.build() == whole[:32]


def test_what_is_no_link():
    with pytest.raises(TypeError, match="no link of this list"):
        region(SparseMmapArea(0, 4096)).build()


def test_descriptors_count():
    reply = region(SparseMmapFds(areas=[SparseFdArea(0, 0, 4096, fd_index=1)]))
    asked = {"request": GetRegionInfoRequest(), "limits": Limits(sparse_mmap_fds=True)}
    again(reply, nfds=2, **asked)
    with pytest.raises(Fault) as caught:
        GetRegionInfoReply.parse(reply.build(), nfds=1, **asked)
    assert (caught.value.field, caught.value.offset) == ("sparse_fd_area.fd_index", 32 + 16 + 24)


def test_entries_of_two_layouts():
    request = GetRegionIoFdsRequest()
    reply = GetRegionIoFdsReply(sub_regions=[IoFdShadow(gpa_offset=8, type=2), IoFd(offset=16, type=1)])
    read = again(reply, request=request, nfds=1)
    assert (read.count, read.argsz) == (2, 16 + 2 * 48)
    short = GetRegionIoFdsReply.parse(reply.build()[:16], request=request, nfds=1)
    assert (short.count, short.sub_regions) == (2, [])
    assert short.build() == reply.build()[:16]


def test_entries_of_unknown_type_stay_bytes():
    strange = (b"\xff" * 24).ljust(40, b"\0")
    read = again(GetRegionIoFdsReply(sub_regions=[strange, IoFd(offset=16)]), request=GetRegionIoFdsRequest(), nfds=1)
    assert read.sub_regions[0] == strange


def test_an_entry_that_would_be_read_as_another():
    reply = GetRegionIoFdsReply(sub_regions=[IoFd(type=0), IoFdShadow(type=2)])
    with pytest.raises(ValueError, match="among entries of 48 bytes"):
        reply.build()


def test_writes():
    writes = [WriteMultiEntry(offset=8 * i, region=0, count=4, data=i) for i in range(3)]
    agreed = Limits(write_multiple=True)
    assert again(RegionWriteMultiRequest(writes=writes), limits=agreed).wr_cnt == 3
    assert again(RegionWriteMultiRequest(), limits=agreed).writes == []
    with pytest.raises(Fault, match="command needs write_multiple, which was not agreed") as fault:
        again(RegionWriteMultiRequest(writes=writes))
    assert fault.value.errno == errno.ENOSYS


# Features ------------------------------------------------------------------------------------------


def test_feature_payloads():
    ask = DeviceFeatureRequest(
        flags=FeatureFlags.SET | FeatureIndex.LOGGING_START,
        data=FeatureLoggingStart(page_size=4096, ranges=[FeatureLoggingRange(0, 8192), FeatureLoggingRange(1 << 20, 1)]),
    )
    read = again(ask)
    assert read.data.num_ranges == 2
    assert read.argsz == len(ask.build())
    get = DeviceFeatureRequest(flags=FeatureFlags.GET | FeatureIndex.MIG_DEVICE_STATE)
    answer = DeviceFeatureReply(argsz=16, flags=get.flags, data=FeatureDeviceState(device_state=2))
    assert again(answer, request=get).data.device_state == 2


def test_a_bitmap_is_words():
    flags = FeatureFlags.GET | FeatureIndex.LOGGING_REPORT
    bitmap = FeatureLoggingBitmap(iova=0, length=100 * 4096, page_size=4096, bitmap=[1, 1 << 63])
    assert again(DeviceFeatureReply(flags=flags, data=bitmap), request=DeviceFeatureRequest(flags=flags)).data.bitmap == [
        1,
        1 << 63,
    ]
    bitmap.bitmap.append(0)
    with pytest.raises(Fault, match="feature_logging_bitmap.bitmap"):
        FeatureLoggingBitmap.parse(bitmap.build())


def test_data_of_no_known_feature_is_bytes():
    flags = FeatureFlags.SET | 0x1234
    assert again(DeviceFeatureRequest(flags=flags, data=b"anything")).data == b"anything"


# Bytes, other layouts ------------------------------------------------------------------------------


def test_bytes():
    request = RegionReadRequest(offset=4, region=1, count=3)
    reply = again(RegionReadReply(offset=4, region=1, data=b"abc"), request=request)
    assert reply.count == 3


def test_bytes_that_a_flag_tells_of():
    flags = IrqSetFlags.ACTION_TRIGGER
    read = again(SetIrqsRequest(flags=flags, index=2, start=1, data=b"\1\0\1"))
    assert (read.flags, read.count, read.argsz) == (flags | IrqSetFlags.DATA_BOOL, 3, 23)
    none = SetIrqsRequest(flags=flags | IrqSetFlags.DATA_NONE, index=2, start=1, count=7)
    assert again(none).count == 7


def test_other_layouts_have_classes():
    request = DmaWriteRequest(address=64, data=b"abcd")
    request.build()
    for reply in DmaWriteReply(64, 4), DmaWriteReplyNarrow(64, 4), DmaWriteReplyBare():
        assert protocol.parse(Command.DMA_WRITE, reply.build(), reply=True, request=request) == reply
        assert reply.COMMAND == Command.DMA_WRITE and reply.REPLY
    strict = protocol.Policies(dma_write_reply="exact")
    with pytest.raises(Fault):
        protocol.parse(Command.DMA_WRITE, b"", reply=True, request=request, policy=strict)


def test_messages_without_payload():
    assert protocol.parse(Command.RESET, b"") == protocol.ResetRequest()
    assert protocol.ResetRequest().build() == b""


def test_parts_alone():
    area = SparseMmapArea(0, 4096)
    assert SparseMmapArea.parse(area.build(), outer=GetRegionInfoReply(size=4096)) == area
    with pytest.raises(Fault, match="plus size is at most"):
        SparseMmapArea.parse(area.build(), outer=GetRegionInfoReply(size=4095))
    with pytest.raises(Fault, match="is at least 16 bytes"):
        SparseMmapArea.parse(b"", outer=GetRegionInfoReply())
    header = Header(id=1, command=Command.RESET, size=16)
    assert Header.parse(header.build()) == header
    with pytest.raises(Fault, match="header: size is at least 16"):
        Header.parse(Header().build())


def test_what_cannot_be_built():
    with pytest.raises(ValueError, match="DmaWriteReply"):
        DmaWriteReply(address=-1).build()
    with pytest.raises(ValueError, match="DmaWriteReply"):
        DmaWriteReply(address="x").pack()


def test_a_reply_needs_its_request():
    with pytest.raises(TypeError, match="reply of region_read"):
        RegionReadReply.parse(RegionReadReply().build())


# VERSION -------------------------------------------------------------------------------------------

ALL = Capabilities(
    max_msg_fds=8,
    max_data_xfer_size=65536,
    max_dma_maps=100,
    pgsizes=4096,
    write_multiple=True,
    twin_socket=TwinSocketCapabilities(supported=True, fd_index=0),
    migration=MigrationCapabilities(pgsize=4096, max_bitmap_size=4096),
    sparse_mmap_fds=True,
)


def said(text, **options):
    return Capabilities.parse(text.encode() + b"\0", **options)


def test_version_with_and_without_text():
    assert again(VersionRequest(0, 1)).data is None
    assert VersionRequest(0, 1).build() == VersionRequest(0, 1).pack()
    read = again(VersionRequest(0, 1, Capabilities(max_msg_fds=8)))
    assert (read.data.max_msg_fds, read.data.pgsizes) == (8, None)
    assert read.build()[4:] == b'{"capabilities":{"max_msg_fds":8}}\0'
    assert again(VersionReply(0, 1, ALL), request=VersionRequest(0, 2)).data.twin_socket.fd_index == 0


def test_what_is_not_said_is_the_default():
    assert said("{}") == said('{"capabilities":{}}') == said('{"x":[1,{"y":null}]}') == Capabilities()
    assert Capabilities.parse(b"") == Capabilities()
    whole = said('{"capabilities":{"max_msg_fds":3,"twin_socket":{}}}').complete()
    assert (whole.max_msg_fds, whole.max_dma_maps, whole.write_multiple) == (3, 65535, False)
    assert (whole.twin_socket.supported, whole.migration.pgsize) == (False, 4096)


def test_keys_of_one_direction():
    text = '{"capabilities":{"twin_socket":{"fd_index":3}}}'
    assert said(text).twin_socket == TwinSocketCapabilities()
    assert said(text, reply=True).twin_socket.fd_index == 3
    assert b"fd_index" not in ALL.build()
    assert b"fd_index" in ALL.build(reply=True)


BAD = {
    '{"capabilities":{"max_msg_fds":-1}}': "capabilities.max_msg_fds",
    '{"capabilities":{"max_msg_fds":1025}}': "capabilities.max_msg_fds",
    '{"capabilities":{"max_msg_fds":"8"}}': "capabilities.max_msg_fds",
    '{"capabilities":{"max_msg_fds":8.0}}': "capabilities.max_msg_fds",
    '{"capabilities":{"max_msg_fds":true}}': "capabilities.max_msg_fds",
    '{"capabilities":{"max_msg_fds":null}}': "capabilities.max_msg_fds",
    '{"capabilities":{"max_data_xfer_size":1e3}}': "capabilities.max_data_xfer_size",
    '{"capabilities":{"pgsizes":4097}}': "capabilities.pgsizes",
    '{"capabilities":{"migration":{"pgsize":1}}}': "capabilities.migration.pgsize",
    '{"capabilities":{"migration":{"max_bitmap_size":99999999999999999999}}}': "capabilities.migration.max_bitmap_size",
    '{"capabilities":{"write_multiple":1}}': "capabilities.write_multiple",
    '{"capabilities":{"migration":[]}}': "capabilities.migration",
    '{"capabilities":[]}': "capabilities",
    '{"capabilities":{"max_msg_fds":8,"max_msg_fds":9}}': "data",
    "[]": "data",
    "": "data",
    "{": "data",
    "{} {}": "data",
    "{'capabilities':{}}": "data",
    '{"capabilities":{"max_msg_fds":NaN}}': "data",
    "[" * 10000: "data",
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:40])
def test_bad_text(text):
    with pytest.raises(Fault) as caught:
        VersionRequest.parse(VersionRequest(0, 0).pack() + text.encode() + b"\0")
    fault = caught.value
    assert (fault.message, fault.field, fault.offset, fault.errno) == ("version", BAD[text], 4, errno.EINVAL)
    assert len(str(fault)) < 300


def test_bad_bytes():
    for data in b"{}", b"{}\0\0", b'{"\xff":1}\0':
        with pytest.raises(Fault, match="version: data"):
            Capabilities.parse(data)


def test_nothing_is_built_that_is_not_taken():
    for wrong in (
        Capabilities(max_msg_fds=1025),
        Capabilities(write_multiple=1),
        Capabilities(migration=MigrationCapabilities(pgsize=1)),
        Capabilities(migration=3),
    ):
        with pytest.raises(Fault, match="version: capabilities"):
            wrong.build()


def test_answers():
    """Limits, and features that were asked for; what is shared is what will hold, migration is repeated."""
    plain = ALL.answer(Capabilities(max_msg_fds=1))
    assert plain == Capabilities(max_msg_fds=8, max_data_xfer_size=65536, max_dma_maps=100, pgsizes=4096)
    assert ALL.answer(None) == plain
    assert ALL.answer(Capabilities(max_dma_maps=7)).max_dma_maps == 7
    asked = Capabilities(write_multiple=False, twin_socket=TwinSocketCapabilities(supported=True))
    answer = ALL.answer(asked)
    assert answer.write_multiple is False and answer.migration is None and answer.sparse_mmap_fds is None
    assert answer.twin_socket == TwinSocketCapabilities(supported=True, fd_index=0)
    asked = Capabilities(migration=MigrationCapabilities(pgsize=8192))
    assert Capabilities().answer(asked) == asked


def test_answers_get_shorter():
    """Keys leave, those that state a default first, then in the order of their drop numbers, as many as needed."""
    full = ALL.answer(ALL)
    names = ["pgsizes", "max_dma_maps", "migration", "write_multiple", "sparse_mmap_fds"]
    room = len(full.build(reply=True))
    assert ALL.answer(ALL, room) == full
    for i in range(len(names)):
        short = ALL.answer(ALL, room - 1)
        gone = [name for name in names if getattr(short, name) is None]
        assert gone == names[: i + 1]
        room = len(short.build(reply=True))
    assert ALL.answer(ALL, 0) == short
    idle = Capabilities(max_msg_fds=1, max_dma_maps=3).answer(None, 0)
    assert idle == Capabilities()


KEYS = [key for key in protocol.CAPABILITIES if key.type != "object"]


def one(key, value):
    """Capabilities that say this of one key."""
    if value is None:
        return Capabilities()
    if not key.object:
        return Capabilities(**{key.name: value})
    inner = {"twin_socket": TwinSocketCapabilities, "migration": MigrationCapabilities}[key.object]
    return Capabilities(**{key.object: inner(**{key.name: value})})


def of(caps, key):
    home = getattr(caps, key.object) if key.object else caps
    return home and getattr(home, key.name)


def ends(key):
    if key.type == "bool":
        return [None, False, True]
    least = key.multiple_of or 1
    return [None, -(-key.min // least) * least, key.max // least * least]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_what_two_sides_agree(key):
    """Each key in each combination, as the table says."""
    for mine, theirs in itertools.product(ends(key), ends(key)):
        client, server = one(key, mine if key.in_request else None), one(key, theirs)
        reply = server.answer(client)
        c, s = (key.default if v is None else v for v in (of(client, key), of(server, key)))
        held = {"own": (s, c), "min": (min(c, s),) * 2, "and": (c and s,) * 2, "echo": (c, c)}[key.combine]
        if key.feature and (of(client, key) is None or theirs is None and key.combine != "echo"):
            held = key.default, key.default
        by_client, by_server = client.agree(client, reply, server=False), server.agree(client, reply, server=True)
        assert (of(by_client, key), of(by_server, key)) == held, (mine, theirs)
        if key.limit:
            for caps, own, value in (by_client, server, held[0]), (by_server, client, held[1]):
                limit = value & -value if key.lowest_bit else value
                assert getattr(caps.limits(), key.limit) == limit
                assert getattr(caps.limits(own), key.limit) == limit


def test_any_capabilities_round_trip():
    luck = random.Random(1)

    def value(key, reply):
        if luck.random() < 0.4 or not (key.in_reply if reply else key.in_request):
            return None
        if key.type == "bool":
            return luck.random() < 0.5
        return luck.randint(key.min, key.max) // (key.multiple_of or 1) * (key.multiple_of or 1)

    def keys(cls, object_name, reply):
        out = cls()
        for key in protocol.CAPABILITIES:
            if key.object == object_name and key.type == "object":
                inner = {"twin_socket": TwinSocketCapabilities, "migration": MigrationCapabilities}[key.name]
                setattr(out, key.name, keys(inner, key.name, reply) if luck.random() < 0.5 else None)
            elif key.object == object_name:
                setattr(out, key.name, value(key, reply))
        return out

    for _ in range(200):
        for reply in False, True:
            caps = keys(Capabilities, "", reply)
            assert Capabilities.parse(caps.build(reply=reply), reply=reply) == caps
