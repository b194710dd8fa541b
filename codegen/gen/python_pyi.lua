-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- vfu_protocol.pyi: the types of vfu_protocol.py.

local pyname = require "pyname"
local text = require "text"

local template = pyname.banner:format("python_pyi") .. [[
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from typing_extensions import Self

${enums}

class Fault(ValueError):
    errno: int
    message: str
    field: str
    rule: str
    offset: int
    value: int

class Part:
    FORMAT: ClassVar[str]
    SIZE: ClassVar[int]
    @classmethod
    def unpack(cls, data: bytes | bytearray | memoryview, offset: int = ...) -> Self: ...
    def pack(self) -> bytes: ...

${classes}

@dataclass
class Limits:
    ${limits}

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

@dataclass(frozen=True)
class Capability:
    object: str
    name: str
    type: Literal["bool", "u32", "u64"]
    default: bool | int
    min: int | None
    max: int | None
    multiple_of: int | None
    feature: bool
    in_request: bool
    in_reply: bool
    doc: str

CAPABILITIES: tuple[Capability, ...]

@dataclass(frozen=True)
class Message:
    command: Command
    sender: Literal["client", "server"]
    status: Literal["stable", "experimental", "retired"]
    message_class: Literal["wait", "nowait", "async", "posted"]
    fence: bool
    quiesce: bool
    post: bool
    request: type[Part] | None
    reply: type[Part] | None
    check_request: Callable[[object], None]
    check_reply: Callable[[object], None]
    doc: str

MESSAGES: Mapping[Command, Message]

def check_header(header: Header, policy: Policies = ...) -> None: ...
def check(
    command: int,
    payload: bytes | bytearray | memoryview,
    *,
    reply: bool = ...,
    nfds: int = ...,
    limits: Limits = ...,
    policy: Policies = ...,
    request: Part | None = ...,
) -> None: ...
]]

local function class(name, base, lines)
	return ("class %s(%s):\n    %s\n"):format(name, base, table.concat(lines, "\n    "))
end

return function(model)
	local vars = { profiles = '"default", "' .. table.concat(model.profiles, '", "') .. '"', enums = {}, classes = {} }
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
		local fields = text.map(part.fields, function(f) return f.name .. ": int = ..." end)
		table.insert(vars.classes, "@dataclass\n" .. class(pyname.part(part), "Part", fields))
	end)
	vars.limits = text.map(model.limits, function(l) return ("%s: %s = ..."):format(l.name, l.type == "bool" and "bool" or "int") end)
	vars.policies = text.map(model.policies, function(p) return p.name .. ": str = ..." end)
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
