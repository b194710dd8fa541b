-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- vfu_protocol.py: numbers, layouts and checks (pyfile.lua, and tail/ for what follows the fields) of the
-- messages in Python.

local pyfile = require "pyfile"
local pyname = require "pyname"
local tails = require "tail"
local text = require "text"

local quote = pyname.quote

local template = pyname.banner:format("python") .. [[
"""The vfio-user protocol: numbers, layouts and checks of its messages.

Each payload has a class with its fields, pack() and unpack(); what follows the fixed part is left
to the caller.  check() says of a whole payload what the C library says of it.
"""

import dataclasses
import enum
import errno
import struct

__all__ = [
    ${names}
]

${enums}

class Fault(ValueError):
    """A payload breaks a rule: message.field, at this offset, has this value."""

    def __init__(self, message, field, rule, offset, value, number=errno.EINVAL):
        super().__init__(f"{message}: {field} {rule} (is {value:#x}, offset {offset})")
        self.errno = number
        self.message = message
        self.field = field
        self.rule = rule
        self.offset = offset
        self.value = value


class Part:
    """Fields in host byte order."""

    @classmethod
    def unpack(cls, data, offset=0):
        return cls(*struct.unpack_from(cls.FORMAT, data, offset))

    def pack(self):
        return struct.pack(self.FORMAT, *dataclasses.astuple(self))


${classes}

@dataclasses.dataclass
class Limits:
    """${limits_doc}"""

    ${limits}


@dataclasses.dataclass
class Policies:
    """What to do where the protocol leaves a choice; see POLICIES."""

    ${policies}

    @classmethod
    def profile(cls, name):
        """All choices of ${profiles}."""
        return cls(**{key: policy.profiles[name] for key, policy in POLICIES.items()})


@dataclasses.dataclass(frozen=True)
class Policy:
    erratum: int
    title: str
    choices: tuple
    profiles: dict


POLICIES = {
    ${policy_table}
}


@dataclasses.dataclass(frozen=True)
class Capability:
    """A key of VERSION; object is the name of the JSON object it lies in, or empty."""

    object: str
    name: str
    type: str
    default: object
    min: object
    max: object
    multiple_of: object
    feature: bool
    in_request: bool
    in_reply: bool
    doc: str


CAPABILITIES = (
    ${caps}
)


class _View:
    """What a check looks at."""

    def __init__(self, message, payload, nfds, limits, policy, request):
        self.message = message
        self.payload = payload
        self.len = len(payload)
        self.nfds = nfds
        self.limits = limits
        self.policy = policy
        self.request = request

    def bad(self, field, rule, offset, value, number=errno.EINVAL):
        raise Fault(self.message, field, rule, offset, value, number)

    def part(self, cls, at, name):
        if self.len - at < cls.SIZE:
            self.bad(name, f"is at least {cls.SIZE} bytes", at, self.len)
        return cls.unpack(self.payload, at)


def _div_up(a, b):
    return -(-a // b)


def _is_text(v, at):
    return at < v.len and v.payload.find(b"\0", at) == v.len - 1


${helpers}


${checks}

def check_header(header, policy=Policies()):
    """Raises Fault if this Header cannot begin a message."""
    v = _View("header", b"", 0, None, policy, None)
    p = header
    ${header}


@dataclasses.dataclass(frozen=True)
class Message:
    """What there is to know of one message."""

    command: Command
    sender: str
    status: str
    message_class: str
    fence: bool
    quiesce: bool
    post: bool
    request: type
    reply: type
    check_request: object
    check_reply: object
    doc: str


MESSAGES = {
    ${messages}
}


def check(command, payload, *, reply=False, nfds=0, limits=Limits(), policy=Policies(), request=None):
    """Raises Fault if the payload breaks a rule; for a reply, request is the unpacked request."""
    message = MESSAGES[Command(command)]
    v = _View(message.command.name.lower(), bytes(payload), nfds, limits, policy, request)
    (message.check_reply if reply else message.check_request)(v)
]]

-- Enumerations --------------------------------------------------------------------------------------

local function enumeration(name, base, doc, members)
	local out = { ("class %s(enum.%s):"):format(name, base), '    """' .. doc .. '"""', "" }
	for _, m in ipairs(members) do
		out[#out + 1] = ("    %s = %s"):format(m.name:upper(), m.text)
		if m.doc then
			out[#out] = text.wrap(("# %s"):format(m.doc), 100, "    ", "    # ") .. "\n" .. out[#out]
		end
	end
	return table.concat(out, "\n") .. "\n\n"
end

local function enums(model, out, names)
	for _, e in ipairs(model.enums) do
		local members = text.map(e.values, function(v)
			return { name = v.name, text = tostring(v.value), doc = not e.made and v.doc or nil }
		end)
		names[#names + 1] = pyname.class(e.name)
		out[#out + 1] = enumeration(pyname.class(e.name), "IntEnum", e.doc, members)
	end
	for _, s in ipairs(model.flags) do
		local members = text.map(s.members, function(m)
			return { name = pyname.member(m), text = m.wide and ("0x%x"):format(m.mask) or "1 << " .. m.shift, doc = m.doc }
		end)
		names[#names + 1] = pyname.flags(s.name)
		out[#out + 1] = enumeration(pyname.flags(s.name), "IntFlag", s.doc, members)
	end
end

-- Checks --------------------------------------------------------------------------------------------

-- What follows the fields of a payload or structure.
local function check_tail(f, part)
	local t = part.tail
	for i, l in ipairs(t and t.locals or {}) do
		if i == 1 then
			f:line("start = %s", f.start)
			f.env.start = "start"
		end
		f:line("%s = %s", l.name, f.expression(l.value))
	end
	f:tests(part.after)
	if t and tails[t.kind].py then
		tails[t.kind].py(f, t, part)
	end
end

local function check_struct(out, s)
	local f = pyfile.check(out, ("(at + %d)"):format(s.size), "outer", "at", s.name)
	f:line("p = v.part(%s, at, %s)", pyname.part(s), quote(s.name))
	f:tests(s.rules)
	check_tail(f, s)
	f:finish(("%s(v, at, outer)"):format(pyname.check(s)))
end

local function check_part(out, part)
	local f = pyfile.check(out, tostring(part.size), "p")
	for _, alt in ipairs(part.alts) do
		f:alternative(part.owner .. "_" .. alt.name, alt)
	end
	f:tests(part.before)
	if part.size > 0 then
		f:line("p = %s.unpack(v.payload)", pyname.part(part))
	end
	f:tests(part.rules)
	check_tail(f, part)
	f:finish(("%s(v)"):format(pyname.check(part)))
end

-- Tables --------------------------------------------------------------------------------------------

local function limits(model, out)
	for _, l in ipairs(model.limits) do
		out[#out + 1] = text.wrap("# " .. l.doc, 96, "", "# ")
		out[#out + 1] = l.type == "bool" and ("%s: bool = %s"):format(l.name, pyname.boolean(l.default)) or
				("%s: int = %d"):format(l.name, l.default)
	end
end

local function policies(model, vars)
	for _, p in ipairs(model.policies) do
		local choices = {}
		for i, c in ipairs(p.choices) do
			choices[i] = quote(c)
		end
		table.insert(vars.policies, ("%s: str = %s"):format(p.name, quote(p.default)))
		local profiles = { '"default": ' .. quote(p.default) }
		for _, name in ipairs(model.profiles) do
			profiles[#profiles + 1] = quote(name) .. ": " .. quote(p.profiles[name])
		end
		table.insert(vars.policy_table, ("%s: Policy(%d, %s,\n    (%s),\n    {%s}),"):format(quote(p.name), p.erratum.number,
			quote(p.erratum.title), table.concat(choices, ", "), table.concat(profiles, ", ")))
	end
end

local function value(v)
	return v == nil and "None" or type(v) == "boolean" and pyname.boolean(v) or tostring(v)
end

local function caps(model, out)
	for _, c in ipairs(model.caps) do
		out[#out + 1] = ("Capability(%s, %s, %s, %s, %s, %s, %s,\n    %s, %s, %s,\n    %s),"):format(quote(c.object),
			quote(c.name), quote(c.type), value(c.default), value(c.min), value(c.max), value(c.multiple_of),
			value(c.feature), value(c.in_request), value(c.in_reply), quote(c.doc))
	end
end

local function message(m)
	local command = "Command." .. m.name:upper()
	local function class_of(part)
		return part.size > 0 and pyname.part(part) or "None"
	end
	return ("%s: Message(\n    %s, %s, %s, %s, %s, %s, %s,\n    %s, %s,\n    %s, %s,\n    %s),"):format(command, command,
		quote(m.from), quote(m.status), quote(m.class), value(m.fence), value(m.quiesce), value(m.post),
		class_of(m.request), class_of(m.reply), pyname.check(m.request), pyname.check(m.reply), pyname.strings(m.doc, "        "))
end

return function(model)
	local vars = { names = {}, enums = {}, classes = {}, limits = {}, policies = {}, policy_table = {}, caps = {},
		       checks = {}, helpers = {}, profiles = text.either("default", model.profiles), messages = {}, limits_doc = "What both ends agreed on, or this one takes." }
	local names = {}
	enums(model, vars.enums, names)
	pyname.each_class(model, function(part, doc)
		names[#names + 1] = pyname.part(part)
		table.insert(vars.classes, pyfile.class(part, doc))
	end)
	for _, name in ipairs { "Fault", "Part", "Limits", "Policies", "Policy", "POLICIES", "Capability", "CAPABILITIES",
				"Message", "MESSAGES", "check", "check_header" } do
		names[#names + 1] = name
	end
	vars.names = text.map(names, function(name) return quote(name) .. "," end)
	limits(model, vars.limits)
	policies(model, vars)
	caps(model, vars.caps)
	for _, s in ipairs(model.structs) do
		check_struct(vars.checks, s)
	end
	for _, m in ipairs(model.messages) do
		check_part(vars.checks, m.request)
		check_part(vars.checks, m.reply)
		table.insert(vars.messages, message(m))
	end
	local header = pyfile.check({}, "16", "p")
	header:tests(model.header.rules, 0)
	vars.header = header.body
	for _, kind in ipairs(tails.kinds) do
		table.insert(vars.helpers, tails[kind].py_helper)
	end
	return (text.fill(template, vars):gsub("\n\n\n\n+", "\n\n\n"))
end
