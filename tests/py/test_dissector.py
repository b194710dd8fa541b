# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The dissector for Wireshark and our own decoder say the same, field by field: of what was recorded, and of the
generated payloads, good and bad."""

import itertools
import json
import os
import shutil
import subprocess
import sys

import pytest

import blocks
import vfu_protocol as protocol
from places import generated
from test_explain import CAPTURES, HEADER, captured, raw
from vfu.decode import Decoder, text
from version_texts import TEXTS
from vfu.trace import pcapng
from wire_cases import payloads_of, vectors

TSHARK = shutil.which("tshark")
needs_tshark = pytest.mark.skipif(TSHARK is None, reason="needs tshark (Debian: tshark)")
SCRIPT = generated("doc", "gen", "vfio-user.lua")
FULL = bool(os.environ.get("FULL"))  # .ci/run dissector
EACH, STEP = (None, 1) if FULL else (120, 16)  # messages of each capture, and of the cases each how many
AHEAD = pcapng.PSEUDO.size


def recorded():
    """All captures, one after the other."""
    for i, path in enumerate(CAPTURES):
        for data, where in itertools.islice(captured(path), EACH):
            yield data, where | {"connection": 100 * i + where["connection"]}


def made():
    """Generated payloads, each in a connection of its own."""
    connection = 0
    for name, _, reply, _, _, _, request, cases in vectors.BASES:
        if name == "header":
            continue
        base, command = (name, _, reply, _, _, _, request, cases), protocol.Command[name.upper()]
        for case in cases[::STEP]:
            connection += 1
            sender = int(protocol.MESSAGES[command].sender == "server")
            payload, nfds = bytes(next(payloads_of(raw, find(name, reply, cases), case))), case[2][0]
            if reply:
                body = raw(*request) if request else b""
                yield HEADER.pack(1, command, 16 + len(body), 0, 0) + body, {"sender": sender, "connection": connection}
                sender = 1 - sender
            data = HEADER.pack(1, command, 16 + len(payload), reply, 0) + payload
            yield data, {"sender": sender, "connection": connection, "nfds": nfds, "length": len(data)}


def find(name, reply, cases):
    return next(base for base in vectors.BASES if base[0] == name and base[2] == reply and base[-1] is cases)


def odd():
    """What is wrong with messages as such, and halves of one."""
    good = HEADER.pack(3, 2, 48, 0, 0) + bytes(range(32))
    yield from ((good[:length], {"length": 48}) for length in range(0, 48, 3))
    for header in ((1, 2, 16, 1, 0), (1, 99, 16, 0, 0), (1, 99, 20, 0, 0), (1, 13, 16, 0xF0, 0), (1, 13, 3, 0, 0), (1, 13, 16, 3, 0)):
        yield HEADER.pack(*header), {}
    yield HEADER.pack(7, 13, 20, 0, 0) + b"abcd", {}
    yield HEADER.pack(7, 13, 20, 0x21, 22) + b"abcd", {"sender": 1}
    yield HEADER.pack(8, 13, 16, 0x10, 0), {"sender": 1, "twin": True}
    yield HEADER.pack(9, 9, 32, 0, 0) + bytes(12) + b"\4\0\0\0", {}
    yield HEADER.pack(9, 10, 32, 1, 0) + bytes(12) + b"\4\0\0\0", {"sender": 1}


def decode(messages):
    decoder = Decoder()
    return [decoder.message(data, **{"connection": 1, "time": i / 1e6, **where}) for i, (data, where) in enumerate(messages)]


def dissect(messages, place, order=None):
    """The packets, as tshark has them."""
    file = place / "messages.pcapng"
    with open(file, "wb") as out:
        out.write(pcapng.head(1 << 18))
        for i, (data, where) in enumerate(messages):
            out.write(pcapng.packet(pcapng.Record(
                pcapng.MESSAGE, where_time(i, where), where.get("sender", 0), where.get("twin", False), where.get("connection", 1),
                where.get("nfds", 0), data, where.get("length", len(data)))))
    command = [TSHARK, "-X", f"lua_script:{SCRIPT}", "-r", str(file), "-T", "json", "-x", "-J", "vfio_user"]
    environment = os.environ | {"HOME": str(place), "XDG_CONFIG_HOME": str(place)}
    run = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=120, env=environment)
    assert run.returncode == 0 and "rror" not in run.stderr, run.stderr
    for word in ("_ws.malformed", "_ws.lua.error"):
        if word in run.stdout:
            pytest.fail(f"{word}: {run.stdout[run.stdout.index(word) :][:400]}")
    return [get(get(dict_of(packet), "layers"), "vfio_user") for packet in json.loads(run.stdout, object_pairs_hook=list)]


def where_time(i, where):
    return round(where.get("time", i / 1e6) * 1e9)


def dict_of(pairs):
    return dict(pairs)["_source"]


def get(pairs, key):
    return next(value for name, value in pairs if name == key)


def flat(pairs):
    """(key, what is shown, offset, size) of each field, in order."""
    place = {}
    for key, value in pairs:
        if key.endswith("_raw") and value and not isinstance(value[0], list):
            place[key[:-4]] = value[1:3]
        elif key in place:
            yield (key, value if isinstance(value, str) else "", *place[key])
        if isinstance(value, list) and value and isinstance(value[0], list | tuple) and not key.endswith("_raw"):
            yield from flat(value)


OWN = ("pseudo", "kind", "sender", "socket", "byte_order", "descriptors", "connection", "reply_in", "reply_to", "elapsed")


def theirs(packet):
    for key, value, at, size in flat(packet):
        name = key.removeprefix("vfio_user.")
        if name != key and name.partition(".")[0] not in OWN:
            yield name, value, at - AHEAD, size


def ours(m):
    for item in m.walk():
        yield item.key, item.value, item.at, item.size


def same(value, shown):
    if isinstance(value, bool):
        return shown in (("1", "True") if value else ("0", "False"))
    if isinstance(value, int):
        return int(shown, 0) == value
    if isinstance(value, bytes):
        return bytes.fromhex(shown.replace(":", "")) == value
    return value is None or value == shown


def experts(pairs):
    """(kind, text) of what is said to be wrong."""
    for key, value in pairs:
        if key == "_ws.expert":
            yield value[0][0].removeprefix("vfio_user."), get(value, "_ws.expert.message")
        elif isinstance(value, list) and value and isinstance(value[0], list | tuple) and not key.endswith("_raw"):
            yield from experts(value)


def compare(messages, place):
    messages = list(messages)
    packets = dissect(messages, place)
    decoded = decode(messages)
    assert len(packets) == len(decoded)
    faults = 0
    for m, packet in zip(decoded, packets):
        mine, other = list(ours(m)), list(theirs(packet))
        what = f"{m.number}: {text.line(m)}"
        assert [(key, at, size) for key, _, at, size in mine] == [(key, at, size) for key, _, at, size in other], what
        assert [(a, b) for a, b in zip(mine, other) if not same(a[1], b[1])] == [], what
        compare_complaints(m, packet)
        links = {key: value for key, value in packet if isinstance(value, str)}
        if m.request:
            assert int(links["vfio_user.reply_to"]) == m.request.number
            assert float(links["vfio_user.elapsed"]) == pytest.approx(m.elapsed, abs=1e-8)
        faults += m.fault is not None
    return len(decoded), faults


def compare_complaints(m, packet):
    said = list(experts(packet))
    told = [("broken" if m.fault and i == 0 else "odd", line) for i, line in enumerate(text.complaints(m))]
    assert [plain(e) for e in said if e[0] != "failed"] == [plain(e) for e in told], f"{m.number}: {text.line(m)}"
    assert ("failed" in [kind for kind, _ in said]) == m.is_error


def plain(expert):
    """Without the value, and without what Python's JSON reader says."""
    return expert[0], expert[1].partition(" (")[0]


@needs_tshark
def test_recorded(tmp_path):
    count, faults = compare(recorded(), tmp_path)
    assert count > (1000 if EACH else 6000) and faults == 0


@needs_tshark
def test_generated(tmp_path):
    count, faults = compare(made(), tmp_path)
    assert count > (3000 if FULL else 150) and faults > (1000 if FULL else 50)


def texts_of_version():
    """Each in a connection of its own; an answer's request says nothing."""
    for connection, (_, said, is_reply, _) in enumerate(TEXTS):
        if is_reply:
            yield HEADER.pack(1, 1, 20, 0, 0) + bytes(4), {"connection": connection}
        yield HEADER.pack(1, 1, 20 + len(said), is_reply, 0) + bytes(4) + said, {"connection": connection, "sender": int(is_reply)}


@needs_tshark
def test_texts_of_version(tmp_path):
    """Those are broken that the library refuses: test_version.py looks at the same."""
    messages = list(texts_of_version())
    decoded = decode(messages)
    for m, packet in zip(decoded, dissect(messages, tmp_path), strict=True):
        compare_complaints(m, packet)
    assert sum(m.fault is not None for m in decoded) == sum(verdict is not None for *_, verdict in TEXTS)


@needs_tshark
def test_filters_of_the_page(tmp_path):
    """Each is a filter, with names that the dissector has."""
    filters = next(block for block in blocks.find("doc/howto/wireshark.md") if block.owner == "Filters").text.splitlines()
    assert len(filters) == 3
    (tmp_path / "empty.pcapng").write_bytes(pcapng.head(1 << 18))
    for text in filters:
        command = [TSHARK, "-X", f"lua_script:{SCRIPT}", "-r", tmp_path / "empty.pcapng", "-Y", text]
        subprocess.run(command, check=True, timeout=120, env=os.environ | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)})


@needs_tshark
def test_odd(tmp_path):
    compare(odd(), tmp_path)
