-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- vfu_protocol.pyi: the types of vfu_protocol.py.

local pycaps = require "pycaps"
local pyclass = require "pyclass"
local pyname = require "pyname"
local text = require "text"

local template = pyname.banner:format("python_pyi") .. [[
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from typing_extensions import Self

__all__ = [
    ${names}
]

${enums}

class Fault(ValueError):
    errno: int
    message: str
    field: str
    rule: str
    offset: int
    value: Any
    def __init__(
        self, message: str, field: str, rule: str, offset: int, value: Any, number: int = ...
    ) -> None: ...

@dataclass
class Limits:
    ${limits}
    @classmethod
    def widest(cls) -> Self: ...

@dataclass
class Policies:
    ${policies}
    @classmethod
    def profile(cls, name: Literal[${profiles}]) -> Self: ...

@dataclass(frozen=True)
class Policy:
    erratum: int
    title: str
    choices: tuple[str, ...]
    profiles: dict[str, str]

POLICIES: Mapping[str, Policy]

_Bytes = bytes | bytearray | memoryview
_Value = TypeVar("_Value", bound=int)

class _Named(Generic[_Value]):
    def __get__(self, part: object, owner: type | None = ...) -> _Value: ...
    def __set__(self, part: object, value: int) -> None: ...

class Part:
    FORMAT: ClassVar[str]
    SIZE: ClassVar[int]
    NAME: ClassVar[str]
    @classmethod
    def unpack(cls, data: _Bytes, offset: int = ...) -> Self: ...
    def pack(self) -> bytes: ...
    @classmethod
    def parse(
        cls,
        data: _Bytes,
        *,
        outer: Part | None = ...,
        nfds: int = ...,
        limits: Limits = ...,
        policy: Policies = ...,
    ) -> Self: ...
    def build(self) -> bytes: ...

class Payload(Part):
    COMMAND: ClassVar[Command]
    REPLY: ClassVar[bool]
    @classmethod
    def parse(  # type: ignore[override]
        cls,
        data: _Bytes,
        *,
        request: Payload | None = ...,
        nfds: int = ...,
        limits: Limits = ...,
        policy: Policies = ...,
    ) -> Payload: ...

@dataclass
class UnknownLink:
    head: Part
    data: bytes = ...
    def build(self) -> bytes: ...

@dataclass(frozen=True)
class Capability:
    object: str
    name: str
    type: Literal["bool", "u32", "u64", "object"]
    default: bool | int | None
    min: int | None
    max: int | None
    multiple_of: int | None
    combine: Literal["own", "min", "and", "echo"] | None
    limit: str | None
    lowest_bit: bool
    feature: bool
    in_request: bool
    in_reply: bool
    ours: bool | int | None
    drop: int
    doc: str
    @property
    def path(self) -> str: ...
    def combined(self, mine: Any, theirs: Any) -> Any: ...
    def rule(self, value: Any) -> str | None: ...

CAPABILITIES: tuple[Capability, ...]

${objects}
@dataclass
class Capabilities:
    ${caps}
    @classmethod
    def parse(cls, text: _Bytes, *, reply: bool = ...) -> Self: ...
    def build(self, *, reply: bool = ...) -> bytes: ...
    def complete(self) -> Self: ...
    def answer(self, asked: Capabilities | None, room: int | None = ...) -> Self: ...
    def agree(self, request: Capabilities, reply: Capabilities, *, server: bool) -> Capabilities: ...
    def limits(self, own: Capabilities | None = ..., minor: int = 0) -> Limits: ...

${classes}

@dataclass(frozen=True)
class Message:
    command: Command
    sender: Literal["client", "server"]
    status: Literal["stable", "experimental", "retired"]
    fence: bool
    gate: str | None
    keeps: str | None
    requires: str | None
    post: bool
    request: type[Payload]
    reply: type[Payload]
    check_request: Callable[[Any], type[Payload] | None]
    check_reply: Callable[[Any], type[Payload] | None]
    doc: str

MESSAGES: Mapping[int, Message]

def check_header(header: Header, policy: Policies = ...) -> None: ...
def check(
    command: int,
    payload: _Bytes,
    *,
    reply: bool = ...,
    nfds: int = ...,
    limits: Limits = ...,
    policy: Policies = ...,
    request: Payload | None = ...,
) -> None: ...
def parse(
    command: int,
    payload: _Bytes,
    *,
    reply: bool = ...,
    nfds: int = ...,
    limits: Limits = ...,
    policy: Policies = ...,
    request: Payload | None = ...,
) -> Payload: ...
]]

local function class(name, base, lines)
	return ("class %s%s:\n    %s\n"):format(name, base and "(" .. base .. ")" or "", table.concat(lines, "\n    "))
end

-- Attributes of an object of capabilities.
local function keys(model, object)
	local out = {}
	pycaps.each_field(model, object, function(name, type) out[#out + 1] = ("%s: %s = ..."):format(name, type) end)
	return out
end

return function(model)
	local vars = { names = pycaps.exported(model), profiles = '"default", "' .. table.concat(model.profiles, '", "') .. '"', enums = {}, classes = {}, objects = {} }
	for _, e in ipairs(model.enums) do
		table.insert(vars.enums, class(pyname.class(e.name), "enum.IntEnum", text.map(e.values, function(v)
			return ("%s = %d"):format(v.name:upper(), v.value)
		end)))
	end
	for _, s in ipairs(model.flags) do
		table.insert(vars.enums, class(pyname.flags(s.name), "enum.IntFlag", text.map(s.members, function(m)
			return ("%s = 0x%x"):format(pyname.member(m), m.mask)
		end)))
	end
	pyname.each_class(model, function(part)
		local fields, given, named = {}, {}, nil
		pyclass.each_field(part, function(name, type, _, _, kind)
			fields[#fields + 1] = ("%s: %s = ..."):format(name, kind and ("_Named[%s]"):format(type) or type)
			given[#given + 1] = ("%s: %s = ..."):format(name, kind and "int" or type)
			named = named or kind
		end)
		if named then -- a number does for one of them
			fields[#fields + 1] = ("def __init__(self, %s) -> None: ..."):format(table.concat(given, ", "))
		end
		fields[1] = fields[1] or "..."
		table.insert(vars.classes, (named and "@dataclass(init=False)\n" or "@dataclass\n") .. class(pyname.part(part), part.message and "Payload" or "Part", fields))
	end)
	vars.caps = keys(model, "")
	for _, o in ipairs(model.cap_objects) do
		local members = keys(model, o.name)
		members[#members + 1] = "def complete(self) -> Self: ..."
		table.insert(vars.objects, "@dataclass\n" .. class(pycaps.class_of(o), nil, members))
	end
	vars.limits = text.map(model.limits, function(l) return ("%s: %s = ..."):format(l.name, l.type == "bool" and "bool" or "int") end)
	vars.policies = text.map(model.policies, function(p) return p.name .. ": str = ..." end)
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
