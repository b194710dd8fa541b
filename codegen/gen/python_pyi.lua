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
	local vars = { profiles = '"default", "' .. table.concat(model.profiles, '", "') .. '"', enums = {}, classes = {}, limits = {}, policies = {} }
	for _, e in ipairs(model.enums) do
		local lines = {}
		for i, v in ipairs(e.values) do
			lines[i] = ("%s = %d"):format(v.name:upper(), v.value)
		end
		table.insert(vars.enums, class(pyname.class(e.name), "enum.IntEnum", lines))
	end
	for _, s in ipairs(model.flags) do
		local lines = {}
		for i, m in ipairs(s.members) do
			lines[i] = ("%s = 0x%x"):format((m.wide and m.name .. "_mask" or m.name):upper(), m.mask)
		end
		table.insert(vars.enums, class(pyname.flags(s.name), "enum.IntFlag", lines))
	end
	pyname.each_class(model, function(part)
		local lines = {}
		for i, f in ipairs(part.fields) do
			lines[i] = f.name .. ": int = ..."
		end
		table.insert(vars.classes, "@dataclass\n" .. class(pyname.part(part), "Part", lines))
	end)
	for i, l in ipairs(model.limits) do
		vars.limits[i] = ("%s: %s = ..."):format(l.name, l.type == "bool" and "bool" or "int")
	end
	for i, p in ipairs(model.policies) do
		vars.policies[i] = p.name .. ": str = ..."
	end
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
