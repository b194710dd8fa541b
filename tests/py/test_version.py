# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""VERSION between a client and a server of ours: every key of the table, said and agreed by its name, and the
library's answers against those of vfu_protocol."""

import errno
import itertools
import json
import random
import socket
import struct

import pytest
from places import generated
from version_texts import TEXTS

import vfu
from vfu import protocol
from vfu.protocol import Capabilities

with open(generated("doc", "gen", "vfio-user.json"), encoding="utf-8") as file:
    MODEL = {".".join(filter(None, (c.get("object"), c["name"]))): c for c in json.load(file)["capabilities"]}
KEYS = {key.path: key for key in protocol.CAPABILITIES if key.type != "object"}


class Plain(vfu.Device):
    bar0 = vfu.Bar(size=4096)

    def on_connect(self):
        self.seen = dict(self.agreed)


def may_say(name, of):
    c = MODEL[name]
    sends = c["in_request"] if of == "client" else c["in_reply"] and c["combine"] != "echo"
    return sends and not c.get("kept")


def ours(name):
    """From where to where it goes; large numbers are text in the model."""
    low, high = (int(str(MODEL[name]["ours"][end]), 0) for end in ("min", "max"))
    step = KEYS[name].multiple_of or 1
    return -(-low // step) * step, high // step * step


def ends(name, of):
    """Values that this side's user may say, and None."""
    if not may_say(name, of):
        return [None]
    return [None, *([False, True] if KEYS[name].type == "bool" else ours(name))]


def put(caps, name, value):
    *objects, last = name.split(".")
    for inner in objects:
        if getattr(caps, inner) is None:
            fields = type(caps).__dataclass_fields__[inner].type
            setattr(caps, inner, getattr(protocol, str(fields).split(" |")[0])())
        caps = getattr(caps, inner)
    setattr(caps, last, value)


def get(caps, name):
    for part in name.split("."):
        caps = getattr(caps, part)
    return caps


def own(of="client", /, **chosen):
    """What the library says, if its user says this. A server grants a twin socket, unless told not to."""
    caps = Capabilities()
    if of == "server" and chosen.get("twin_socket.supported") is None:
        chosen["twin_socket.supported"] = True
    if of == "server" and chosen["twin_socket.supported"]:
        put(caps, "twin_socket.fd_index", 0)
    for name, c in MODEL.items():
        value = chosen.get(name, c["ours"].get("value"))
        if value is not None and (c["type"] != "bool" or value != KEYS[name].default):
            put(caps, name, value)
    return caps


def chosen(name, value):
    return {} if value is None else {name: value}


@pytest.mark.parametrize("name", KEYS)
def test_each_key_is_agreed_both_ways(serve, name):
    for client, server in itertools.product(ends(name, "client"), ends(name, "server")):
        request, mine = own(**chosen(name, client)), own("server", **chosen(name, server))
        reply = mine.answer(request)
        device = Plain()
        path = serve(device, capabilities=chosen(name, server))
        with vfu.Client(path, capabilities=chosen(name, client)) as dev:
            absent = None if KEYS[name].default == -1 else KEYS[name].default
            by_client = get(request.agree(request, reply, server=False), name)
            by_server = get(mine.agree(request, reply, server=True), name)
            assert dev.agreed[name] == (absent if by_client == KEYS[name].default else by_client), (client, server)
            assert device.agreed[name] == (absent if by_server == KEYS[name].default else by_server), (client, server)
            assert device.seen == dict(device.agreed)


def test_what_nobody_may_say():
    for name, of in itertools.product(KEYS, ("client", "server")):
        low, high = (False, True) if KEYS[name].type == "bool" else ours(name)
        if not may_say(name, of):
            wrong = [high]
        elif KEYS[name].type == "bool":
            wrong = []
        else:
            wrong = [high + 1, *([low - 1] if low else [])]
        for bad in wrong:
            with pytest.raises(ValueError, match=f"version.capabilities.{name} ") as caught:
                refuse(of, {name: bad})
            assert str(bad) in str(caught.value) or "is what" in str(caught.value)


def refuse(of, capabilities):
    """Either end with these, which it does not take: it does not come to a connection."""
    if of == "client":
        vfu.Client("/nonexistent", capabilities=capabilities)
    else:
        vfu.Server(Plain(), "/nonexistent/socket", capabilities=capabilities)


@pytest.mark.parametrize(
    "capabilities, text",
    [
        ({"max_msg_fd": 8}, "unknown capability 'max_msg_fd', did you mean 'max_msg_fds'?; there are max_msg_fds, "),
        ({"migration": 8}, "unknown capability 'migration'"),
        ({"max_msg_fds": True}, "capability max_msg_fds can not be True: it is u32"),
        ({"max_msg_fds": "8"}, "capability max_msg_fds can not be '8'"),
        ({"max_msg_fds": -1}, "capability max_msg_fds can not be -1"),
        ({"max_msg_fds": 65}, "version.capabilities.max_msg_fds can not be 65: from 1 to 64"),
        ({"write_multiple": 1}, "capability write_multiple can not be 1: it is bool"),
    ],
)
def test_complaints(capabilities, text):
    for of in "client", "server":
        with pytest.raises(ValueError) as caught:
            refuse(of, capabilities)
        assert text in str(caught.value)


def test_no_connection(serve):
    device = Plain()
    for what in lambda: device.agreed["pgsizes"], lambda: server.agreed["pgsizes"]:
        with vfu.Server(device, fd=socket.socketpair()[0]) as server, pytest.raises(vfu.Disconnected):
            what()
    with vfu.Client(serve(device)) as dev:
        agreed = dev.agreed
        assert set(agreed) == set(KEYS) and len(agreed) == len(KEYS) and "pgsizes" in repr(agreed)
        with pytest.raises(KeyError):
            agreed["nothing"]
    with pytest.raises(vfu.Disconnected):
        agreed["pgsizes"]


def random_request(luck):
    caps = Capabilities()
    for name, key in KEYS.items():
        if not key.in_request or luck.random() < 0.5:
            continue
        low, high = key.min, min(key.max or 0, luck.choice([1 << 13, 1 << 40, 1 << 62]))
        value = luck.random() < 0.5 if key.type == "bool" else luck.randint(low, max(low, high))
        put(caps, name, value if key.type == "bool" else value // (key.multiple_of or 1) * (key.multiple_of or 1))
    return caps


def message(flags, text):
    payload = struct.pack("=HH", 0, 0) + text
    return struct.pack("=HHIII", 0, 1, 16 + len(payload), flags, 0) + payload


def exchange(path, text):
    """The JSON text with which the library answers this."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(path)
        peer.sendall(message(0, text))
        header = peer.recv(16, socket.MSG_WAITALL)
        reply = peer.recv(struct.unpack("=HHIII", header)[2] - 16, socket.MSG_WAITALL)
        return reply[4:]


def test_the_library_answers_as_vfu_protocol(serve):
    """Also where an answer must leave keys out."""
    luck = random.Random(7)
    said = {"max_msg_fds": 64, "max_data_xfer_size": 1 << 20, "max_dma_maps": 1000}
    path = serve(Plain(), capabilities=said)
    for _ in range(60):
        text = random_request(luck).build() + b""
        asked = Capabilities.parse(text)
        # One that is not asked for is not mentioned.
        mine = own("server", **said, **{"twin_socket.supported": bool(asked.twin_socket and asked.twin_socket.supported)})
        room = max(20 + len(text), 128) - 20
        assert exchange(path, text) == mine.answer(asked, room).build(reply=True), asked


def told(error):
    return error.field, error.offset, str(error).partition("breaks the rule: ")[2]


def said_by_server(text):
    """What the library says of a client that says this: field, offset, rule; None: nothing."""
    mine, theirs = socket.socketpair()
    with theirs, vfu.Server(Plain(), fd=mine.detach()) as server:
        theirs.sendall(message(0, text))
        theirs.shutdown(socket.SHUT_WR)
        server.run()
        error = struct.unpack("=HHIII", theirs.recv(16))[4]
        assert (error == errno.EINVAL) if server.fault else (error == 0)
        return server.fault and told(server.fault)


def said_by_client(text):
    """The same of a server."""
    mine, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(message(1, text))
        try:
            vfu.Client(fd=mine.detach()).close()
        except vfu.Error as error:
            return told(error)
    return None


def said_by_protocol(text, is_reply):
    request = protocol.VersionRequest() if is_reply else None
    try:
        protocol.parse(protocol.Command.VERSION, struct.pack("=HH", 0, 0) + text, reply=is_reply, request=request)
    except protocol.Fault as fault:
        return f"version.{fault.field}", fault.offset, fault.rule
    return None


def test_texts():
    """The library and vfu.protocol say the same of each; but why it is no JSON Python's own reader says in its words."""
    for name, text, is_reply, verdict in TEXTS:
        field, rule = verdict or ("", "")
        expected = verdict and (f"version.{field}", 0 if field == "payload" else 4, rule)
        assert (said_by_client if is_reply else said_by_server)(text) == expected, name
        said = said_by_protocol(text, is_reply)
        assert (said and (*said[:2], said[2].partition(" (")[0])) == (verdict and (*expected[:2], rule.partition(" (")[0])), name
