# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Checks lesson 3.   ./run python3 ../doc/course/3-regions/check.py [FILE]"""

import os
import struct
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import vfu  # noqa: E402
from judge import NO_REPLY, Wrong, example, main, protocol, same, served  # noqa: E402

AREAS = [(4096, 8192), (32768, 4096)]


class Sparse(vfu.Device):
    bar0 = vfu.Bar(65536, mmap=AREAS)
    bar2 = vfu.Bar(8192, mmap=True)


def ask_info(argsz, index):
    return protocol.GetRegionInfoRequest(argsz=argsz, index=index)


def info(student):
    """exercise 1: region_info, and a real device answers"""
    with served(Sparse()) as device:
        for index, sizes, files in (7, [32], 0), (0, [32, 80], 1):
            with student.calls("region_info", index) as talk:
                for argsz in sizes:
                    title = f"GET_REGION_INFO of region {index}" + (", asked again" if argsz > 32 else "")
                    reply = talk.forward(talk.expect(ask_info(argsz, index), title=title), device)
            found = talk.result()
            right = protocol.GetRegionInfoReply.unpack(reply.payload)
            for name in "size", "flags", "offset":
                same(f"{name} of region {index}", getattr(found, name, None), getattr(right, name))
            same(f"payload of region {index}", found.payload, reply.payload)
            if len(found.files) != files:
                raise Wrong(f"region_info() returns {len(found.files)} files of region {index}; {files} came")
            for file in found.files:
                os.close(file)


def chain(*links, size=65536, flags=0x0F):
    """A reply with these capabilities: (id, version, what follows the head); a number is a hole."""
    data, at, heads = b"", 32, []
    for link in links:
        if isinstance(link, int):
            data += b"\xee" * link
        else:
            heads.append((len(data), link))
            data += b"\0" * 8 + link[2]
    out = bytearray(data)
    for i, (place, (id, version, _)) in enumerate(heads):
        following = at + heads[i + 1][0] if i + 1 < len(heads) else 0
        struct.pack_into("=HHI", out, place, id, version, following)
    start = at + heads[0][0] if heads else 0
    return struct.pack("=IIIIQQ", 32 + len(out), flags, 0, start, size, 0) + out


def areas(*areas):
    return struct.pack("=II", len(areas), 0) + b"".join(struct.pack("=QQ", *area) for area in areas)


def maps(student):
    """exercise 2: mappable"""
    cap_type = (2, 1, struct.pack("=II", 9, 9))
    for what, payload, want in (
        ("a region without the flag MMAP", chain(flags=0x03), []),
        ("a region with MMAP and without capabilities", chain(flags=0x07), [(0, 65536)]),
        ("one SPARSE_MMAP with two areas", chain((1, 1, areas(*AREAS))), AREAS),
        ("a SPARSE_MMAP behind another capability", chain(cap_type, (1, 1, areas(*AREAS))), AREAS),
        ("capabilities that begin at 40 (cap_offset), with 16 bytes between two", chain(8, cap_type, 16, (1, 1, areas(*AREAS))), AREAS),
        ("a SPARSE_MMAP of version 2, which is skipped", chain((1, 2, areas((0, 4096)))), [(0, 65536)]),
        ("a SPARSE_MMAP without areas", chain((1, 1, areas())), []),
    ):
        same(f"mappable() of {what}", [tuple(area) for area in student.value("mappable", payload)], want)


def reads(student):
    """exercise 3: read_region, and a real device answers"""
    with served(example("counter")()) as device:
        device.write(0, 0, 0x11223344)
        for index, offset, count, most in (0, 0, 4, 4096), (7, 0, 256, 100):
            want = bytes(device.ask(protocol.RegionReadRequest(region=index, offset=offset, count=count)))[16:]
            with student.calls("read_region", index, offset, count, most) as talk:
                for at in range(offset, offset + count, most):
                    part = min(most, offset + count - at)
                    request = protocol.RegionReadRequest(region=index, offset=at, count=part)
                    talk.forward(talk.expect(request, title=f"REGION_READ of {count} bytes, {most} at most, at {at}"), device)
            talk.returned(want, "the data alone, which begins behind 16 bytes of payload")


def writes(student):
    """exercise 4: write_region, and a real device gets it"""
    with served(example("counter")()) as device:
        request = protocol.RegionWriteRequest(region=0, offset=0, data=b"\1\2\3\4")
        with student.calls("write_region", 0, 0, b"\1\2\3\4") as talk:
            talk.forward(talk.expect(request), device)
        talk.result()
        same("the register, once it has been written", device.read(0, 0), 0x04030201)
        request = protocol.RegionWriteRequest(region=0, offset=0, data=b"\5\6\7\x08")
        with student.calls("write_region", 0, 0, b"\5\6\7\x08", True) as talk:
            talk.forward(talk.expect(request, flags=NO_REPLY, title="posted REGION_WRITE"), device)
        talk.result()
        same("the register, once it has been written by a posted write", device.read(0, 0), 0x08070605)


EXERCISES = info, maps, reads, writes

if __name__ == "__main__":
    sys.exit(main(__file__, EXERCISES))
