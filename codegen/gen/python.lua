-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- vfu_protocol.py: numbers, layouts (pyclass.lua), capabilities (pycaps.lua) and checks (pyfile.lua) of the
-- messages in Python; tail/ has what follows the fields.

local pycaps = require "pycaps"
local pyclass = require "pyclass"
local pyfile = require "pyfile"
local pyname = require "pyname"
local tails = require "tail"
local text = require "text"

local quote = pyname.quote

local template = pyname.banner:format("python") .. [[
"""The vfio-user protocol: numbers, layouts and checks of its messages.

Each side of a message is a class, as is each structure in it. What follows the fields is one of them:
bytes, or a list of other parts. help(vfu.protocol) has more of it.

    >>> reply = GetRegionInfoReply(size=8192, caps=[SparseMmap(areas=[SparseMmapArea(0, 4096)])])
    >>> parse(Command.GET_REGION_INFO, reply.build(), reply=True, request=GetRegionInfoRequest())
    GetRegionInfoReply(argsz=64, flags=RegionInfoFlags.CAPS, index=RegionIndex.BAR0, cap_offset=32, size=8192, ...)

parse() takes what the C library takes, and raises Fault with what it says of the rest; check() looks at
the same and makes nothing. Nothing but Python's standard library is needed.
"""

from __future__ import annotations

import dataclasses
import enum
import errno
import json
import struct

__all__ = [
    ${names}
]

_REMEMBERED = 1024  # combinations of flags that a class makes a member for and keeps it


class _Flags(enum.IntFlag):
    """Bits. Those without a name are kept. repr() is what makes them again."""

    @classmethod
    def _missing_(cls, value):
        member = super()._missing_(value)
        while len(cls._value2member_map_) > _REMEMBERED:  # a peer can think of many
            cls._value2member_map_.popitem()
        return member

    def _words(self):
        """Bits that are set, and what they are called."""
        for bit in type(self).__members__.values():
            if bit.bit_count() == 1 and int(bit) & int(self):
                yield int(bit), f"{type(self).__name__}.{bit.name}"
        for mask, shift, kind in _WIDE.get(type(self), ()):
            value = kind._value2member_map_.get((int(self) & mask) >> shift)
            if value:
                yield mask, f"{value!r} << {shift}" if shift else repr(value)

    def __repr__(self):
        known = dict(self._words())
        rest = int(self) & ~sum(known)
        if not known:
            return f"{type(self).__name__}({rest:#x})"
        return "|".join([*known.values(), hex(rest)] if rest else known.values())


class _Value(enum.IntEnum):
    """One of several values. repr() is what makes it again."""

    def __repr__(self):
        return f"{type(self).__name__}.{self.name}"


${enums}

# Of flags of several bits: mask, the lowest one's number, and what they mean together.
_WIDE = {
    ${wide}
}


class Fault(ValueError):
    """A payload breaks a rule: message.field, at this offset, has this value."""

    def __init__(self, message, field, rule, offset, value, number=errno.EINVAL):
        shown = f"{value:#x}" if isinstance(value, int) else repr(value)[:80]
        super().__init__(f"{message}: {field} {rule} (is {shown}, offset {offset})")
        self.errno = number
        self.message = message
        self.field = field
        self.rule = rule
        self.offset = offset
        self.value = value


@dataclasses.dataclass
class Limits:
    """${limits_doc}"""

    ${limits}

    @classmethod
    def widest(cls):
        """Those that refuse least, for what somebody else has checked."""
        return cls(${widest})


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
    """What is done where the protocol's text leaves a choice: the number and the title of its erratum, the choices, of
    which the first is the default, and {profile: choice}."""
    erratum: int
    title: str
    choices: tuple
    profiles: dict


POLICIES = {
    ${policy_table}
}


class _Numbers:
    """The fields of a part as bare numbers: what checks compute with. Its __dict__ may be that of a part."""


def _numbers(fields):
    out = _Numbers()
    out.__dict__ = fields
    return out


class _View:
    """What a check looks at."""

    def __init__(self, message, payload, nfds, limits, policy, request):
        self.message = message
        self.payload = payload
        self.len = len(payload)
        self.nfds = nfds
        self.limits = limits
        self.policy = policy
        self._request = request

    @property
    def request(self):
        if self._request is None:
            raise TypeError(f"to check a reply of {self.message} its request must be given")
        return _numbers(self._request.__dict__)

    def bad(self, field, rule, offset, value, number=errno.EINVAL):
        raise Fault(self.message, field, rule, offset, value, number)

    def part(self, cls, at, name):
        if self.len - at < cls.SIZE:
            self.bad(name, f"is at least {cls.SIZE} bytes", at, self.len)
        return cls._fixed(self.payload, at)


def _div_up(a, b):
    return -(-a // b)


def _is_text(v, at):
    return at < v.len and v.payload.find(b"\0", at) == v.len - 1


def _list():
    return dataclasses.field(default_factory=list)


class _Named:
    """A field whose numbers have names. It holds a number, and gives a member of kind if that has one."""

    def __init__(self, kind):
        self.kind = kind

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, part, owner=None):
        value = 0 if part is None else part.__dict__[self.name]
        try:
            return self.kind(value)
        except (ValueError, TypeError):
            return value

    def __set__(self, part, value):
        part.__dict__[self.name] = value


class Part:
    """Fields in host byte order, and what follows them.

    unpack() and pack() are of the fields alone. parse() checks and reads the whole. build() writes it,
    and before sets the fields that follow from the rest: counts, offsets, types of links, lengths, and
    the flag that says that something follows. So parse() gives what was built. Elements of an array may be
    dicts of their fields.
    """

    FORMAT = "="
    SIZE = 0

    def __init_subclass__(cls):
        cls._names = tuple(cls.__annotations__)[: len(cls.FORMAT) - 1]
        cls._struct = struct.Struct(cls.FORMAT)

    @classmethod
    def unpack(cls, data, offset=0):
        """From the first SIZE bytes at offset; struct.error if there are fewer. No rule is looked at."""
        return cls(*cls._struct.unpack_from(data, offset))

    @classmethod
    def _fixed(cls, data, offset=0):
        out = _Numbers()
        out.__dict__ = dict(zip(cls._names, cls._struct.unpack_from(data, offset)))
        return out

    def pack(self):
        """SIZE bytes. ValueError names a field whose value does not fit."""
        values = [self.__dict__[name] for name in self._names]
        try:
            return self._struct.pack(*values)
        except struct.error:
            for name, form, value in zip(self._names, self.FORMAT[1:], values):
                self._hold_numbers(name, form, [value])
            raise

    @classmethod
    def parse(cls, data, *, outer=None, nfds=0, limits=Limits(), policy=Policies()):
        """Raises Fault if a rule is broken; outer is the payload around, for what lies in one alone."""
        v = _View(cls.NAME, bytes(data), nfds, limits, policy, None)
        _CHECKS[cls](v, 0, outer)
        return cls._at(v, 0, outer)

    def build(self):
        """The bytes of all. TypeError or ValueError names what cannot be sent so."""
        tail = self._tail()
        return self.pack() + tail

    @classmethod
    def _at(cls, v, at, outer):
        part = cls.__new__(cls)
        part.__dict__ = dict(zip(cls._names, cls._struct.unpack_from(v.payload, at)))
        part._read(v, at + cls.SIZE, outer)
        return part

    def _hold_numbers(self, name, form, values):
        """ValueError tells which field holds no number of this form."""
        for value in values:
            try:
                struct.pack("=" + form, value)
            except struct.error:
                most = 256 ** struct.calcsize("=" + form) - 1
                raise ValueError(
                    f"{type(self).__name__}.{name} is a whole number from 0 to {most}, not {value!r}"
                ) from None

    def _hold_parts(self, name, values, *classes):
        """These, which may be dicts of fields if they are of one class; TypeError tells the field if they are none."""
        if isinstance(values, dict) or not hasattr(values or (), "__iter__"):
            raise TypeError(f"{type(self).__name__}.{name} is a list, not {values!r}")
        return [self._hold_part(name, value, *classes) for value in values or ()]

    def _hold_part(self, name, value, *classes):
        kinds = [one for one in classes if issubclass(one, Part)]
        if isinstance(value, dict) and len(kinds) == 1:
            unknown = value.keys() - {field.name for field in dataclasses.fields(kinds[0])}
            if not unknown:
                return kinds[0](**value)
            raise TypeError(f"{type(self).__name__}.{name}: {kinds[0].__name__} has no {unknown.pop()}")
        if isinstance(value, (Part, *classes)):
            return value
        if bytes in classes and not isinstance(value, (dict, int, str)):
            return bytes(value)
        names = " or ".join(one.__name__ for one in classes)
        raise TypeError(f"{type(self).__name__}.{name} is of {names}, not {value!r}")

    def _read(self, v, start, outer):
        """Sets what follows the fields from a payload that was checked."""

    def _tail(self):
        """Its bytes; sets the fields that follow from it."""
        return b""


class Payload(Part):
    """What follows the header of a message."""

    COMMAND = None
    REPLY = False

    @classmethod
    def parse(cls, data, *, request=None, nfds=0, limits=Limits(), policy=Policies()):
        """As parse() of the module. A layout of its own has its class."""
        return parse(
            cls.COMMAND, data, reply=cls.REPLY, nfds=nfds, limits=limits, policy=policy, request=request
        )


@dataclasses.dataclass
class UnknownLink:
    """A link of a list whose type or version is unknown: its head, and all bytes up to the next one."""

    head: Part
    data: bytes = b""

    def build(self):
        return self.head.build() + bytes(self.data)


${helpers}


${capabilities}

${classes}

${checks}

_CHECKS = {
    ${check_table}
}


def check_header(header, policy=Policies()):
    """Raises Fault if this Header cannot begin a message."""
    _check_header(_View("header", header.pack(), 0, Limits(), policy, None), 0, None)


@dataclasses.dataclass(frozen=True)
class Message:
    """What there is to know of one message."""

    command: Command
    sender: str
    status: str
    fence: bool
    gate: str | None
    keeps: str | None
    requires: str | None
    post: bool
    request: type
    reply: type
    check_request: object
    check_reply: object
    doc: str


MESSAGES = {
    ${messages}
}


def _checked(command, payload, reply, nfds, limits, policy, request):
    """What was looked at, and the class of its layout."""
    message = MESSAGES[Command(command)]
    v = _View(message.command.name.lower(), bytes(payload), nfds, limits, policy, request)
    usual, layout = (message.reply, message.check_reply) if reply else (message.request, message.check_request)
    return v, layout(v) or usual


def check(command, payload, *, reply=False, nfds=0, limits=Limits(), policy=Policies(), request=None):
    """Raises Fault if the payload breaks a rule; for a reply, request is its request."""
    _checked(command, payload, reply, nfds, limits, policy, request)


def parse(command, payload, *, reply=False, nfds=0, limits=Limits(), policy=Policies(), request=None):
    """The payload as an object of its class, checked as by check(); build() of it gives the bytes."""
    v, cls = _checked(command, payload, reply, nfds, limits, policy, request)
    return cls._at(v, 0, None)
]]

-- Enumerations --------------------------------------------------------------------------------------

local function enumeration(name, base, doc, members)
	local out = { ("class %s(%s):"):format(name, base), pyclass.docstring(doc, text.map(members, function(m)
		return m.doc and { m.name:upper(), m.doc }
	end)), "" }
	for _, m in ipairs(members) do
		out[#out + 1] = ("    %s = %s"):format(m.name:upper(), m.text)
	end
	return table.concat(out, "\n") .. "\n\n"
end

-- Members of several bits that have names.
local function wide(set)
	local out = text.map(set.members, function(m)
		return m.wide and m.enum and ("(0x%x, %d, %s)"):format(m.mask, m.shift, pyname.class(m.enum.name)) or nil
	end)
	return #out > 0 and ("%s: (%s,),"):format(pyname.flags(set.name), table.concat(out, ", ")) or nil
end

local function enums(model, out)
	for _, e in ipairs(model.enums) do
		local members = text.map(e.values, function(v)
			return { name = v.name, text = tostring(v.value), doc = not e.made and v.doc or nil }
		end)
		out[#out + 1] = enumeration(pyname.class(e.name), "_Value", e.doc, members)
	end
	for _, s in ipairs(model.flags) do
		local members = text.map(s.members, function(m)
			return { name = pyname.member(m), text = m.wide and ("0x%x"):format(m.mask) or "1 << " .. m.shift, doc = m.doc }
		end)
		out[#out + 1] = enumeration(pyname.flags(s.name), "_Flags", s.doc, members)
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

-- The header too, whose fields are named without it.
local function check_struct(out, s, prefix)
	local f = pyfile.check(out, ("(at + %d)"):format(s.size), "outer", "at", prefix)
	f:line("p = v.part(%s, at, %s)", pyname.part(s), quote(s.name))
	f:tests(s.rules)
	check_tail(f, s)
	f:finish(("%s(v, at, outer)"):format(pyname.check(s)))
end

local function check_part(out, part)
	local f = pyfile.check(out, tostring(part.size), "p")
	for _, alt in ipairs(part.alts) do
		f:alternative(alt)
	end
	f:tests(part.before)
	if part.size > 0 then
		f:line("p = %s._fixed(v.payload)", pyname.part(part))
	end
	f:tests(part.rules)
	check_tail(f, part)
	f:finish(("%s(v)"):format(pyname.check(part)))
end

-- Tables --------------------------------------------------------------------------------------------

local function limits(model, out)
	local widest = text.map(model.limits, function(l) return ("%s=%s"):format(l.name, pyname.value(l.widest)) end)
	out.widest = text.wrap(table.concat(widest, ", "), 76, "", "            ")
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

local function message(model, m)
	local requires = model.caps[m.requires]
	local command, value = "Command." .. m.name:upper(), pyname.boolean
	return ("%s: Message(\n    %s, %s, %s, %s, %s,\n    %s, %s, %s,\n    %s, %s,\n    %s, %s,\n    %s),"):format(command, command,
		quote(m.from), quote(m.status), value(m.fence), m.gate and quote(m.gate) or "None",
		m.keeps and quote(m.keeps) or "None", requires and quote(requires.path) or "None", value(m.post),
		pyname.part(m.request), pyname.part(m.reply), pyname.check(m.request), pyname.check(m.reply), pyname.strings(m.doc, "        "))
end

return function(model)
	local vars = { names = pycaps.exported(model), enums = {}, classes = {}, limits = {}, policies = {}, policy_table = {}, capabilities = pycaps.text(model),
		       checks = {}, helpers = {}, check_table = {}, profiles = text.either("default", model.profiles), messages = {}, limits_doc = "What both ends agreed on, or this one takes." }
	enums(model, vars.enums)
	vars.wide = text.map(model.flags, wide)
	pyname.each_class(model, function(part, doc) table.insert(vars.classes, pyclass.class(part, doc)) end)
	limits(model, vars.limits)
	vars.widest = vars.limits.widest
	policies(model, vars)
	check_struct(vars.checks, model.header)
	for _, s in ipairs(model.structs) do
		check_struct(vars.checks, s, s.name)
	end
	vars.check_table = text.map({ model.header, table.unpack(model.structs) }, function(s)
		return ("%s: %s,"):format(pyname.part(s), pyname.check(s))
	end)
	for _, m in ipairs(model.messages) do
		check_part(vars.checks, m.request)
		check_part(vars.checks, m.reply)
		table.insert(vars.messages, message(model, m))
	end
	for _, kind in ipairs(tails.kinds) do
		table.insert(vars.helpers, tails[kind].py_helper and tails[kind].py_helper .. "\n")
	end
	return (text.fill(template, vars):gsub("\n\n\n\n+", "\n\n\n"))
end
