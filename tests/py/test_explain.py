# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu explain, and the decoder it shares with vfu trace."""

import dataclasses
import json
import os
import pathlib
import re
import struct
import subprocess
import sys

import pytest

import rules
import vfu_protocol as protocol
from vfu.decode import Decoder, describe, hexdump, load, split, text
from vfu.decode.decoder import Connection
from wire_cases import payloads_of, vectors

CAPTURES = sorted((pathlib.Path(__file__).resolve().parent.parent / "data" / "captures").glob("*.jsonl"))
HEADER = struct.Struct("=HHIII")
MAP = HEADER.pack(2, 2, 48, 0, 0) + struct.pack("=IIQQQ", 32, 3, 0, 0x1000, 0x2000)


def captured(path):
    """(arguments of Decoder.message()) of each message of a recorded file."""
    connection = 0
    for record in map(json.loads, path.read_text().splitlines()):
        connection += record.get("ev") == "connect"
        if "dir" in record:
            head = HEADER.pack(*(record[key] for key in ("id", "cmd", "size", "flags", "error")))
            yield head + bytes.fromhex(record["payload"]), {
                "sender": int(record["dir"] == "s2c"), "connection": connection, "nfds": record["nfds"],
                "time": record["t_us"] / 1e6, "length": record["size"],
            }


def values(part):
    """The fields of a parsed part and of all in it, as Wireshark would list them."""
    if dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield from values(getattr(part, field.name))
    elif isinstance(part, list):
        for one in part:
            yield from values(one)
    elif part not in (b"", None):
        yield part


def shown(items):
    """The same of the decoder's: without single bits and structures."""
    for item in items:
        if item.value is None:
            yield from shown(item.items)
        else:
            yield item.value


# ---- what was recorded ----


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_recorded_messages(path):
    decoder, count = Decoder(), 0
    for data, where in captured(path):
        m = decoder.message(data, **where)
        count += 1
        assert text.complaints(m) == [], text.line(m)
        assert m.is_error or m.is_reply == (m.elapsed is not None)
        if m.is_whole and m.name != "version":
            request = m.request and m.request.is_whole and protocol.MESSAGES[m.header.command].request.unpack(m.request.payload)
            if not m.is_error and (request or not m.is_reply):
                parsed = protocol.parse(m.header.command, m.payload, reply=m.is_reply, nfds=m.nfds, request=request,
                                        limits=protocol.Limits(max_msg_fds=16, write_multiple=True))
                assert list(shown(m.items))[5:] == list(values(parsed))
    assert count > 100


def test_what_was_agreed_holds_for_its_receiver():
    decoder = Decoder()
    offer, answer = (b'\0\0\0\0{"capabilities":{"max_data_xfer_size":%d,"write_multiple":%s}}\0' % pair
                     for pair in ((8192, b"true"), (4096, b"true")))
    for sender, flags, body in ((0, 0, offer), (1, 1, answer)):
        assert not decoder.message(HEADER.pack(0, 1, 16 + len(body), flags, 0) + body, sender=sender).fault
    write = HEADER.pack(1, 10, 32 + 4097, 0, 0) + struct.pack("=QII", 0, 0, 4097) + bytes(4097)
    assert decoder.message(write).fault.field == "count"
    multi = HEADER.pack(2, 15, 48, 0, 0) + struct.pack("=QQIIQ", 1, 0, 0, 1, 7)
    assert not decoder.message(multi).fault
    decoder, none = Decoder(), b"\0\0\0\0"
    for sender, flags in (0, 0), (1, 1):
        assert not decoder.message(HEADER.pack(0, 1, 20, flags, 0) + none, sender=sender).fault
    assert decoder.message(multi).fault.rule == "needs write_multiple, which was not agreed"


def test_alone_all_is_agreed():
    """Without VERSION a message is not broken for what was not agreed, which would hide what is."""
    multi = HEADER.pack(2, 15, 48, 0, 0) + struct.pack("=QQIIQ", 1, 0, 0, 1, 7)
    m = Decoder().message(multi)
    assert m.fault is None and m.notes == [
        "is taken as if all were agreed, for no VERSION was seen; else command needs write_multiple, which was not agreed"
    ]
    for sized in range(9, 12):
        m = Decoder().message(multi[:36] + struct.pack("=I", sized) + multi[40:])
        assert m.fault.field == "write_multi_entry.count" and len(m.notes) == 1
    big = HEADER.pack(1, 9, 32, 0, 0) + struct.pack("=QII", 0, 0, (1 << 20) + 1)
    m = Decoder().message(big)  # a number that was not said is its default
    assert m.fault.field == "count" and not m.notes
    status, out, err = explain(multi.hex())
    assert (status, err) == (0, "") and "note: region_write_multi is taken as if all were agreed" in out
    status, out, _ = explain(MAP.hex())
    assert "agreed" not in out


# ---- what nobody sent: the generated payloads, good and bad ----



def raw(name, fields):
    return getattr(protocol, name)(**fields).pack()


def test_every_rule():
    """The decoder finds what the checks find, and reads what it can of everything."""
    for base in vectors.BASES:
        rules_of(base)


def rules_of(base):
    name, _, reply, _, _, _, request, cases = base
    if name == "header":
        return
    command = protocol.Command[name.upper()]
    for case in cases[::5]:
        about, _, nfds, _, _, policies, limits, expected, order = case
        if order not in (None, sys.byteorder):
            continue
        payload = bytes(next(payloads_of(raw, base, case)))
        decoder = Decoder(dict(policies))
        here = decoder.connections[0] = Connection()
        here.limits = [protocol.Limits(**vectors.LIMITS | dict(limits))] * 2
        sender = int(protocol.MESSAGES[command].sender == "server")
        if reply:
            body = raw(*request) if request else b""
            decoder.message(HEADER.pack(1, command, 16 + len(body), 0, 0) + body, sender=sender)
            sender = 1 - sender
        m = decoder.message(HEADER.pack(1, command, 16 + len(payload), reply, 0) + payload, sender=sender, nfds=nfds[0])
        found = m.fault and (m.fault.field, m.fault.offset)
        assert found == (expected and expected[:2]) or name == "version", about
        assert all(item.at + item.size <= 16 + len(payload) for item in m.walk()), about
        json.dumps(text.as_dict(m))
        text.line(m), text.lines(m)


@pytest.mark.parametrize("length", range(len(MAP)))
def test_cut_short(length):
    """A message that was captured in part shows what is there."""
    m = Decoder().message(MAP[:length], length=len(MAP))
    assert m.fault is None
    assert sum(item.size for item in m.items) <= length
    text.line(m)


def test_notes():
    decoder = Decoder()
    notes = [
        decoder.message(HEADER.pack(1, 2, 16, 1, 0), sender=1).notes,
        decoder.message(HEADER.pack(1, 99, 16, 0, 0)).notes,
        decoder.message(HEADER.pack(1, 13, 16, 0, 0), sender=1).notes,
        decoder.message(HEADER.pack(1, 13, 20, 0, 0)).notes,
    ]
    assert notes == [
        ["answers no request that was seen"],
        ["command 99 is unknown"],
        ["is a command of the client"],
        ["size says 20, but there are 16 bytes"],
    ]


def test_the_other_byte_order():
    """Its fields are read; the generated checks are for this machine's order, which is said."""
    sign, order = ("<", "little") if sys.byteorder == "big" else (">", "big")
    data = struct.pack(sign + "HHIII", 2, 2, 48, 0, 0) + struct.pack(sign + "IIQQQ", 32, 3, 0, 0x1000, 0x2000)
    m = Decoder(order=sign).message(data)
    assert m.name == "dma_map" and m.fields["address"] == 0x1000 and len(m.notes) == 1
    status, out, _ = explain(f"--order={order}", data.hex())
    assert status == 0 and "address: 0x1000" in out and "the other byte order" in out


# ---- pasted bytes ----

DUMPS = {
    "digits": MAP.hex(),
    "words": MAP.hex(" ", 4),
    "commas": ", ".join(f"0x{byte:02x}" for byte in MAP),
    "strings": "".join(f"\\x{byte:02x}" for byte in MAP),
    "xxd": "\n".join(f"{i:08x}: {MAP[i:i + 16].hex(' ', 2)}  0123456789abcdef" for i in range(0, 48, 16)),
    "hexdump -C": "\n".join(
        f"{i:08x}  {MAP[i:i + 8].hex(' ')}  {MAP[i + 8:i + 16].hex(' ')}  |0123456789abcdef|" for i in range(0, 48, 16)
    ),
    "tcpdump": "\n".join(f"\t0x{i:04x}:  {MAP[i:i + 16].hex(' ', 2)}  ................" for i in range(0, 48, 16)),
    "wireshark": "\n".join(f"{i:04x}   {MAP[i:i + 16].hex(' ')}   abcd ef.........." for i in range(0, 48, 16)),
}


@pytest.mark.parametrize("form", DUMPS)
def test_dumps(form):
    assert hexdump.parse(DUMPS[form]) == MAP


@pytest.mark.parametrize("wrong", ["12 3", "xyz", "00 00 0g"])
def test_no_dump(wrong):
    with pytest.raises(ValueError):
        hexdump.parse(wrong)


def test_split():
    assert list(split(MAP + MAP[:20])) == [MAP, MAP[:20]]


# ---- the command ----


def explain(*words, stdin=None):
    run = subprocess.run([sys.executable, "-m", "vfu", "explain", *words], capture_output=True, text=True, timeout=60, input=stdin)
    return run.returncode, run.stdout, run.stderr


def test_a_message():
    status, out, err = explain("dma_map")
    assert (status, err) == (0, "")
    assert "command 2 of the client" in out and "size is at least 1" in out and "overlaps a live range" in out


@pytest.mark.parametrize("size", [4, 7, 15])
def test_the_start_of_a_header(size):
    status, out, _ = explain(MAP[:size].hex())
    assert status == 3 and "command: dma_map (2)" in out and "shorter than a header" in out


def test_where_a_rule_holds():
    """Its condition is in the sentence of the fault, and once in that of the message."""
    status, out, _ = explain("dma_unmap")
    assert "- size is at least 1, where all is clear\n" in out
    assert "- address equals 0, where all is set\n" in out
    bad = HEADER.pack(1, 3, 40, 0, 0) + struct.pack("=IIQQ", 24, 0, 0x1000, 0)
    assert Decoder().message(bad).fault.rule == "is at least 1, where all is clear"
    with pytest.raises(protocol.Fault, match="size .*is at least 1, where all is clear"):
        protocol.DmaUnmapRequest.parse(bad[16:])


def test_the_reference_has_the_same_rules():
    model, shown = load(), {}
    for kind, word in ("messages", "message"), ("structs", "struct"):
        for entry in model.tree[kind]:
            lines = re.sub(r"\n    (?![- ])", " ", "\n".join(describe.page(model, kind, entry))).split("\n")
            shown[word, entry["name"]] = sorted(rules.plain(line[6:]) for line in lines if line.startswith("    - "))
    assert shown == rules.of_reference() and sum(map(len, shown.values())) > 150


def test_a_false_default():
    status, out, _ = explain("write_multiple")
    assert status == 0 and "bool, default False" in out and "none" not in out


@pytest.mark.parametrize("word", ["ENOSPC", "28", "enospc"])
def test_an_errno(word):
    status, out, _ = explain(word)
    assert status == 0 and out.startswith("ENOSPC (28)") and "dma_map" in out and "set_irqs" in out


def test_every_name():
    """Of all lists, at once, and as JSON."""
    tree = load().tree
    names = [e["name"] for kind in ("structs", "flags", "enums", "limits", "capabilities", "objects", "policies", "messages") for e in tree[kind]]
    status, out, err = explain(*names, "header", *(f"E{e['number']}" for e in tree["errata"]))
    assert (status, err) == (0, "") and len(out.splitlines()) > 500
    status, out, _ = explain("--json", *names)
    assert status == 0 and {json.loads(line)["name"] for line in out.splitlines()} == set(names)


@pytest.mark.parametrize("word, text", [
    ("dma_map.flags", "dma_map.flags: u32 at 4 of the request"),
    ("dma_map.flags", "- flags has at most one of mmap and file_io"),
    ("dma_map.flags.mmap", "0x4 mmap"),
    ("write_multi_entry.count", "- count is at most 8"),
    ("region_write_multi.command", "- command needs write_multiple, which was not agreed"),
    ("region_write_multi.writes", "the writes"),
    ("region_read.payload", "- payload is exactly 16 bytes"),
    ("file_io", "file_io: 0x8 of flags dma_map"),
    ("pre_copy", "pre_copy: 6 of device_state"),
    ("device_state.pre_copy", "pre_copy: 6 of device_state"),
    ("migration.pgsize", "Capability pgsize"),
    ("15", "region_write_multi: command 15 of the client"),
    ("15", "ENOTBLK (15)"),
])
def test_names_inside_others(word, text):
    """What errors print, and what users must give; a number is of a message and of an errno."""
    for options in [], ["--json"]:
        status, out, err = explain(*options, word)
        assert (status, err) == (0, "")
        assert options or text in out


def test_every_field_an_error_names():
    """Each of the generated cases that is refused."""
    model = load()
    broken = {(base[0], case[7][0]) for base in vectors.BASES for case in base[7] if case[7]}
    called = {name for _, entry in describe._inside(model) for name in entry["called"]}
    parts = {message["name"] for message in model.tree["messages"]}
    lost = [f"{name}.{field}" for name, field in broken if name in parts and "." not in field and f"{name}.{field}" not in called]
    assert not lost


def test_what_is_unknown_does_not_end_the_run():
    status, out, err = explain("dma_mpa", "dma_map.flgs", "max_msg_fds")
    assert status == 1 and "Limit max_msg_fds" in out and len(err.splitlines()) == 1
    assert "'dma_mpa'; is it dma_map" in err and "'dma_map.flgs'; is it dma_map.flags" in err


def test_an_unknown_name():
    status, out, err = explain("dma_mpa")
    assert (status, out) == (1, "") and "dma_map" in err and len(err.splitlines()) == 1


def test_good_bytes():
    status, out, _ = explain(MAP.hex())
    assert status == 0 and "address: 0x1000" in out and "broken" not in out


def test_broken_bytes():
    bad = MAP[:20] + struct.pack("=I", 12) + MAP[24:]
    status, out, _ = explain("-", stdin=DUMPS["xxd"].replace("0300 0000", "0c00 0000") if sys.byteorder == "little" else bad.hex())
    assert status == 3 and "broken: dma_map: flags has at most one of mmap and file_io (is 0xc, offset 4)" in out


def test_a_reply_with_its_request():
    read = HEADER.pack(7, 9, 32, 0, 0) + struct.pack("=QII", 0, 7, 4)
    reply = HEADER.pack(7, 9, 36, 1, 0) + struct.pack("=QII", 0, 6, 4) + b"abcd"
    status, out, _ = explain("--json", read.hex(), reply.hex())
    assert status == 3
    fault = json.loads(out.splitlines()[1])["fault"]
    assert (fault["field"], fault["at"], fault["value"]) == ("region", 8, 6)
    assert explain(reply.hex())[0] == 0


def test_completion():
    """As bash asks; what is possible comes through descriptor 8."""
    pytest.importorskip("argcomplete")
    line = "vfu explain dma_m"
    environment = os.environ | {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": " "}
    program = """if True:
        import os, sys
        null = os.open(os.devnull, os.O_WRONLY)
        for old, new in (1, 8), (null, 9), (null, 1):
            os.dup2(old, new)
        os.execv(sys.executable, [sys.executable, "-m", "vfu"])"""
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert run.stdout.split() == ["dma_map"]


def test_policy():
    odd = MAP[:40] + struct.pack("=Q", 0x1801)
    assert explain(odd.hex())[0] == 3
    assert explain("--profile=libvfio-user", odd.hex())[0] == 0
    assert explain("--policy=map_misaligned=accept", odd.hex())[0] == 0
    assert explain("--policy=map_misaligned=perhaps", odd.hex())[0] == 2
