# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Messages of connections: which request a reply answers, what was agreed, which rule is broken."""

from __future__ import annotations

import collections
import dataclasses
import struct
from collections.abc import Callable, Iterator

from .. import protocol
from . import limits
from .expressions import Scope
from .items import Item
from .layout import HEADER_SIZE, Reader
from .model import Model, load

REPLY, NO_REPLY, ERROR = 1, 0x10, 0x20
CLIENT, SERVER = 0, 1
SIDES = ("client", "server")


@dataclasses.dataclass
class Message:
    """A decoded message. data may be less than length, the bytes it had on the wire.

    fault is the first rule of the payload or header that it breaks; notes say what else is odd. request and
    elapsed, in seconds, are those of what it answers.
    """

    number: int
    time: float
    sender: int
    twin: bool
    connection: int
    nfds: int
    data: bytes
    length: int
    items: list[Item] = dataclasses.field(default_factory=list)
    fault: protocol.Fault | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    header: protocol.Header = dataclasses.field(default_factory=lambda: protocol.Header())
    command: int = 0  # as in the header, which makes members of enumerations of them
    flags: int = 0
    name: str = ""
    request: Message | None = None
    elapsed: float | None = None
    fields: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def is_reply(self) -> bool:
        return self.flags & 15 == REPLY

    @property
    def is_error(self) -> bool:
        return self.is_reply and bool(self.flags & ERROR)

    @property
    def payload(self) -> bytes:
        return self.data[HEADER_SIZE:]

    @property
    def is_whole(self) -> bool:
        return len(self.data) == self.length

    def walk(self) -> Iterator[Item]:
        for item in self.items:
            yield from item.walk()


class Connection:
    """What is known of one: requests that wait, by socket, who sent them and id; the limits of both sides, or
    None while no VERSION was seen."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[bool, int, int], collections.deque[Message]] = {}
        self.limits: list[protocol.Limits] | None = None


class Decoder:
    """Decodes messages in the order in which they went by.

    policies: choices other than the defaults, {"dma_write_reply": "exact"}; order: "=" for the byte order of this
    machine, "<" or ">" for that of where the messages come from.
    """

    def __init__(self, policies: dict[str, str] | None = None, model: Model | None = None, order: str = "="):
        self.model, self.order = model or load(), order
        self.policies = {p["name"]: p["default"] for p in self.model.tree["policies"]} | (policies or {})
        self.policy = protocol.Policies(**self.policies)
        self.connections: dict[int, Connection] = {}
        self.number = 0

    def message(self, data: bytes, *, sender: int = CLIENT, twin: bool = False, connection: int = 0, nfds: int = 0,
                time: float = 0.0, length: int | None = None) -> Message:
        """The next message; data begins with its header, and is cut where length is larger."""
        self.number += 1
        length = len(data) if length is None else length
        m = Message(self.number, time, sender, twin, connection, nfds, data, length)
        if connection not in self.connections:
            self.connections[connection] = Connection()
        here = self.connections[connection]
        reader = Reader(self.model, data, Scope(m.length, 0, {}, self.policies), self.order)
        m.items, values = reader.fields(self.model.header, 0)
        for item in [inner for outer in m.items for inner in outer.walk()]:
            item.at -= HEADER_SIZE
        if len(values) < len(self.model.header.fields):
            m.notes.append("is shorter than a header")
            return m
        m.header = protocol.Header(**values)
        m.command, m.flags = values["command"], values["flags"]
        self._pair(here, m)
        self._look(here, m)
        return m

    def closed(self, connection: int) -> None:
        """Forgets it."""
        self.connections.pop(connection, None)

    def _pair(self, here: Connection, m: Message) -> None:
        """Finds what a reply answers; remembers a request that will be answered."""
        if not m.is_reply:
            if not m.flags & NO_REPLY:
                here.waiting.setdefault((m.twin, m.sender, m.header.id), collections.deque()).append(m)
            return
        queue = here.waiting.get((m.twin, 1 - m.sender, m.header.id))
        if queue:
            m.request = queue.popleft()
            m.elapsed = m.time - m.request.time
            if m.request.command != m.command:
                m.notes.append(f"answers {m.request.name or m.request.command} with another command's number")
        else:
            m.notes.append("answers no request that was seen")

    def _look(self, here: Connection, m: Message) -> None:
        """Name, payload, faults."""
        entry = self.model.messages.get(m.command)
        m.name = entry["name"] if entry else ""
        m.fault = self._header_fault(m)
        if entry is None:
            m.notes.append(f"command {m.command} is unknown")
        elif m.header.size != m.length:
            m.notes.append(f"size says {m.header.size}, but there are {m.length} bytes")
        else:
            if not m.is_reply and entry["from"] != SIDES[m.sender]:
                m.notes.append(f"is a command of the {entry['from']}")
            if not m.is_error:
                self._payload(here, m)
                return
        m.items += Reader(self.model, m.payload, Scope(0, 0, {}, {})).data(
            f"{m.name or 'unknown'}.rest", "rest", 0, len(m.payload))

    def _payload(self, here: Connection, m: Message) -> None:
        takes = here.limits[1 - m.sender] if here.limits else limits.unseen()  # what its receiver takes
        scope = Scope(m.length - HEADER_SIZE, m.nfds, vars(takes), self.policies)
        if m.request:
            scope.fields["request"] = m.request.fields
        m.items += Reader(self.model, m.payload, scope, self.order).side(self.model.sides[m.command, m.is_reply])
        m.fields = scope.fields.get("self", {})
        if not self._is_native():
            m.notes.append("comes from a machine of the other byte order: its rules were not looked at")
        elif m.fault is None and m.is_whole:
            self._check(here, m, takes)

    def _is_native(self) -> bool:
        return struct.pack(self.order + "H", 1) == struct.pack("=H", 1)

    def _header_fault(self, m: Message) -> protocol.Fault | None:
        try:
            protocol.check_header(m.header, self.policy)
        except protocol.Fault as fault:
            return fault
        return None

    def _check(self, here: Connection, m: Message, takes: protocol.Limits) -> None:
        """By the generated checks; a reply without its request only up to the first rule that needs that."""
        entry = protocol.MESSAGES[m.command]
        if m.is_reply and m.request and len(m.request.payload) < entry.request.SIZE:
            return
        request = entry.request.unpack(m.request.payload) if m.is_reply and m.request else None

        def look(takes: protocol.Limits) -> protocol.Payload | None:
            how = protocol.parse if m.name == "version" else protocol.check
            return how(m.command, m.payload, reply=m.is_reply, nfds=m.nfds, limits=takes, policy=self.policy,
                       request=request)

        try:
            self._version(here, m, look(takes))
        except protocol.Fault as fault:
            m.fault = fault
        except TypeError:
            m.notes.append("not all rules were looked at, for want of the request")
        if here.limits is None:
            self._note_agreed(m, look)

    def _note_agreed(self, m: Message, look: Callable[[protocol.Limits], object]) -> None:
        """What it would break had nothing been agreed, of which no VERSION told."""
        try:
            look(protocol.Limits())
        except protocol.Fault as fault:
            if m.fault is None or m.fault.rule != fault.rule:
                m.notes.append(f"is taken as if all were agreed, for no VERSION was seen; else {fault.field} {fault.rule}")
        except TypeError:
            pass  # was noted

    def _version(self, here: Connection, m: Message, parsed: protocol.Payload | None) -> None:
        """What was agreed holds from here on."""
        if isinstance(parsed, protocol.VersionReply) and m.request and m.request.is_whole:
            try:
                asked = protocol.VersionRequest.parse(m.request.payload)
            except protocol.Fault:
                return
            assert isinstance(asked, protocol.VersionRequest)
            here.limits = limits.agreed(asked, parsed)


def split(data: bytes, order: str = "=") -> Iterator[bytes]:
    """The messages that follow one another in these bytes; the last one may be cut."""
    while data:
        size = struct.unpack_from(order + "I", data, 4)[0] if len(data) >= HEADER_SIZE else 0
        size = size if size >= HEADER_SIZE else len(data)
        yield data[:size]
        data = data[size:]
