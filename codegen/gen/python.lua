-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- vfu_protocol.py: numbers, layouts and checks of the messages in Python.
--
-- A check becomes one function for each payload and structure, line for line what wire.c does.  In
-- them `p` is the fixed part, `request` that of the request, `outer` that of the message around.

local E = require "expr"
local pyname = require "pyname"
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

    def __init__(self, message, field, rule, offset, value):
        super().__init__(f"{message}: {field} {rule} (is {value:#x}, offset {offset})")
        self.errno = errno.EINVAL
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
        """All choices of "default", "strict" or "libvfio-user"."""
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

    def bad(self, field, rule, offset, value):
        raise Fault(self.message, field, rule, offset, value)

    def part(self, cls, at, name):
        if self.len - at < cls.SIZE:
            self.bad(name, f"is at least {cls.SIZE} bytes", at, self.len)
        return cls.unpack(self.payload, at)


def _div_up(a, b):
    return -(-a // b)


def _check_text(v, name, at):
    if v.payload.find(b"\0", at) != v.len - 1 or v.len <= at:
        v.bad(name, "ends with a NUL and holds no other", at, v.len - at)


def _check_entries(v, name, at, n, size, more):
    if more:
        if n > (v.len - at) // size:
            v.bad(name, f"holds all entries of {size} bytes", at, n)
    elif n * size != v.len - at:
        v.bad(name, f"is entries of {size} bytes, as many as counted, and ends the payload", at, n)


def _check_disjoint(v, name, cls, at, n, start, length):
    """The entry at `at` and the n before it."""
    new = cls.unpack(v.payload, at)
    for i in range(1, n + 1):
        old = cls.unpack(v.payload, at - i * cls.SIZE)
        first, second = (getattr(new, start), getattr(old, start))
        if (first - second) % 2**64 < getattr(old, length) or (second - first) % 2**64 < getattr(new, length):
            v.bad(name, "do not overlap", at, n)


def _check_strided(v, name, p, whole, count, at, least, offset, format, variants):
    """variants: (value, smallest stride, check), the longest first."""
    if v.len < whole:
        if v.len != at:
            v.bad("payload", "is whole or only its fixed part", 0, v.len)
        return
    if count == 0:
        if v.len != at:
            v.bad(name, "is empty when there are no entries", at, v.len)
        return
    stride = (whole - at) // count
    if stride < least or stride * count != v.len - at:
        v.bad(name, f"is entries of one size, at least {least} bytes", at, stride)
    for entry in range(at, v.len, stride):
        (by,) = struct.unpack_from(format, v.payload, entry + offset)
        for value, smallest, check in variants:
            if by == value and stride >= smallest:
                check(v, entry, p)
                break


def _check_chain(v, name, p, head, at, start, key, version, next, links):
    """links: key -> (name, version or None, keys it excludes, check)."""
    seen = set()
    while True:
        if at < start or v.len - at < head.SIZE:
            v.bad(name, "each lies behind the one before, in the payload", at, at)
        link = head.unpack(v.payload, at)
        known = links.get(getattr(link, key))
        if known and known[1] in (None, getattr(link, version)):
            if seen & known[2]:
                v.bad(known[0], "excludes another one present", at, getattr(link, key))
            seen.add(getattr(link, key))
            known[3](v, at, p)
        if getattr(link, next) == 0:
            return
        start, at = at + head.SIZE, getattr(link, next)


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

local env = { ["in"] = "p.", req = "v.request.", outer = "outer.", limits = "v.limits.", policy = "v.policy.",
	      nfds = "v.nfds", len = "v.len" }

local function py(e)
	return E.py(e, env)
end

local function conjunction(...)
	local e
	for i = 1, select("#", ...) do
		local part = select(i, ...)
		if part then
			e = e and E.andalso(e, part) or part
		end
	end
	return e
end

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
		local members = {}
		for i, v in ipairs(e.values) do
			members[i] = { name = v.name, text = tostring(v.value), doc = e.name ~= "command" and v.doc or nil }
		end
		names[#names + 1] = pyname.class(e.name)
		out[#out + 1] = enumeration(pyname.class(e.name), "IntEnum", e.doc, members)
	end
	for _, s in ipairs(model.flags) do
		local members = {}
		for _, m in ipairs(s.members) do
			members[#members + 1] = { name = m.wide and m.name .. "_mask" or m.name,
						  text = m.wide and ("0x%x"):format(m.mask) or "1 << " .. m.shift, doc = m.doc }
		end
		names[#names + 1] = pyname.flags(s.name)
		out[#out + 1] = enumeration(pyname.flags(s.name), "IntFlag", s.doc, members)
	end
end

-- Classes -------------------------------------------------------------------------------------------

local function class(part, doc)
	local format = { "=" }
	local out = { "@dataclasses.dataclass", ("class %s(Part):"):format(pyname.part(part)),
		      text.wrap('"""' .. doc .. '"""', 100, "    "), "" }
	for _, f in ipairs(part.fields) do
		format[#format + 1] = pyname.format[f.type]
		out[#out + 1] = text.wrap("# " .. f.doc, 100, "    ", "    # ")
		out[#out + 1] = ("    %s: int = 0"):format(f.name)
	end
	out[#out + 1] = ""
	out[#out + 1] = ('    FORMAT = "%s"'):format(table.concat(format))
	out[#out + 1] = ("    SIZE = %d"):format(part.size)
	return table.concat(out, "\n") .. "\n\n"
end

-- Checks --------------------------------------------------------------------------------------------

local function test(out, depth, comment, condition, arguments)
	local tabs = ("    "):rep(depth)
	out[#out + 1] = text.wrap("# " .. comment, 100, tabs, tabs .. "# ")
	out[#out + 1] = ("%sif %s:"):format(tabs, condition)
	out[#out + 1] = ("%s    v.bad(%s)"):format(tabs, arguments)
end

local function prefixed(prefix, name)
	return prefix and prefix .. "." .. name or name
end

local function rule_tests(out, rules, at, prefix)
	for _, r in ipairs(rules) do
		local name = r.field and r.field.name or "fds"
		local guard = conjunction(r.under, r.when)
		local where = guard and ", where " .. E.text(guard) or ""
		local offset = r.field and r.field.offset or 0
		test(out, 1, ("%s: %s %s%s"):format(r.loc, name, r.text, where), py(conjunction(guard, r.broken)),
		     ("%s, %s, %s, %s"):format(quote(prefixed(prefix, name)), quote(r.text),
					       at and at .. " + " .. offset or offset, r.field and "p." .. name or "v.nfds"))
	end
end

local function entries(out, t, from, prefix, outer)
	out[#out + 1] = ("    n = %s"):format(py(t.count))
	out[#out + 1] = ("    _check_entries(v, %s, %s, n, %d, %s)"):format(quote(prefixed(prefix, t.name)), from,
									       t.element_size, pyname.boolean(t.more))
	if t.element.scalar then
		return
	end
	local at = ("%s + i * %d"):format(from, t.element_size)
	out[#out + 1] = "    for i in range(n):"
	out[#out + 1] = ("        %s(v, %s, %s)"):format(pyname.check(t.element), at, outer)
	if t.disjoint then
		out[#out + 1] = ("        _check_disjoint(v, %s, %s, %s, i, %s, %s)"):format(quote(t.name),
			pyname.part(t.element), at, quote(t.disjoint[1].name), quote(t.disjoint[2].name))
	end
end

local function define(out, head, body)
	out[#out + 1] = head .. "\n" .. table.concat(body, "\n") .. "\n\n"
end

local function check_struct(out, s)
	local body = { ("    p = v.part(%s, at, %s)"):format(pyname.part(s), quote(s.name)) }
	rule_tests(body, s.rules, "at", s.name)
	if s.tail then
		entries(body, s.tail, ("at + %d"):format(s.size), s.name, "outer")
	end
	define(out, ("def %s(v, at, outer):"):format(pyname.check(s)), body)
end

local tail = {}

function tail.bytes(out, part, t)
	local size = py(t.size)
	if t.when then
		size = ("%s if %s else 0"):format(size, py(t.when))
	end
	local rule = ("is as long as %s says"):format(E.text(t.size))
	test(out, 1, ("%s: %s %s"):format(t.loc, t.name, rule),
	     ("v.len - %d %s (%s)"):format(part.size, part.longer and "<" or "!=", size),
	     ("%s, %s, %d, v.len - %d"):format(quote(t.name), quote(rule), part.size, part.size))
end

function tail.json(out, part, t)
	local tabs = t.optional and "        " or "    "
	if t.optional then
		out[#out + 1] = ("    if v.len > %d:"):format(part.size)
	end
	out[#out + 1] = ("%s_check_text(v, %s, %d)"):format(tabs, quote(t.name), part.size)
end

local function strided(out, part, t)
	local variants = {}
	for i, v in ipairs(t.variants) do
		variants[i] = v
	end
	table.sort(variants, function(a, b)
		return a.min_stride > b.min_stride or a.min_stride == b.min_stride and a.value < b.value
	end)
	out[#out + 1] = "    variants = ("
	for _, v in ipairs(variants) do
		out[#out + 1] = ("        (%d, %d, %s),"):format(v.value, v.min_stride, pyname.check(v.struct))
	end
	out[#out + 1] = "    )"
	out[#out + 1] = ("    _check_strided(v, %s, p, %s, %s, %d, %d, %d, %s, variants)"):format(quote(t.name),
		py(t.whole), py(t.count), part.size, t.min_stride, t.by.offset, quote("=" .. pyname.format[t.by.type]))
end

function tail.array(out, part, t)
	if t.stride then
		strided(out, part, t)
	else
		entries(out, t, tostring(part.size), nil, "p")
	end
end

local function excluded(links, link)
	local out = {}
	for _, other in ipairs(links) do
		for _, pair in ipairs { { link, other }, { other, link } } do
			for _, name in ipairs(pair[1].excludes) do
				if name == pair[2].name then
					out[#out + 1] = tostring(other.value)
				end
			end
		end
	end
	return #out > 0 and "{" .. table.concat(out, ", ") .. "}" or "set()"
end

function tail.chain(out, part, t)
	local when = conjunction(t.when, t.whole and E.ge({ op = "len" }, t.whole))
	out[#out + 1] = "    links = {"
	for _, l in ipairs(t.links) do
		out[#out + 1] = ("        %d: (%s, %s, %s, %s),"):format(l.value, quote(l.name), l.version or "None",
								    excluded(t.links, l), pyname.check(l.struct))
	end
	out[#out + 1] = "    }"
	out[#out + 1] = ("    if %s:"):format(when and py(when) or "True")
	out[#out + 1] = ("        _check_chain(v, %s, p, %s, %s, %d, %s, %s, %s, links)"):format(quote(t.name),
		pyname.part(t.head), py(t.at), part.size, quote(t.key.name), quote(t.version.name), quote(t.next.name))
end

function tail.union(out, part, t)
	for i, c in ipairs(t.cases) do
		local optional = c.optional and E.ne({ op = "len" }, E.num(part.size))
		local when = conjunction(E.eq(t.by, E.num(c.value)), c.when, optional)
		out[#out + 1] = text.wrap(("# %s: %s"):format(c.loc, c.doc), 100, "    ", "    # ")
		out[#out + 1] = ("    %s %s:"):format(i == 1 and "if" or "elif", py(when))
		if not c.struct.tail then
			out[#out + 1] = ("        if v.len - %d != %d:"):format(part.size, c.struct.size)
			out[#out + 1] = ("            v.bad(%s, %s, %d, v.len - %d)"):format(quote(c.name),
				quote(("is exactly %d bytes"):format(c.struct.size)), part.size, part.size)
		end
		out[#out + 1] = ("        %s(v, %d, p)"):format(pyname.check(c.struct), part.size)
	end
end

local function length_test(out, part)
	local t, size = part.tail, part.size
	local max = t and t.max or part.room > 0 and part.room
	local wrong, rule
	if not t and not part.longer then
		wrong, rule = ("v.len != %d"):format(size), size == 0 and "is empty" or ("is exactly %d bytes"):format(size)
	elseif part.bulk and (not t or t.kind ~= "bytes" or part.longer) then
		wrong = ("v.len < %d or v.len - %d > v.limits.max_data_xfer_size"):format(size, size)
		rule = ("is %d bytes and at most max_data_xfer_size more"):format(size)
	elseif max then
		wrong = ("v.len < %d or v.len > %d"):format(size, size + max)
		rule = ("is at least %d bytes and at most %d"):format(size, size + max)
	else
		wrong, rule = ("v.len < %d"):format(size), ("is at least %d bytes"):format(size)
	end
	test(out, 1, ("%s: the payload %s"):format(part.loc, rule), wrong,
	     ("\"payload\", %s, 0, v.len"):format(quote(rule)))
end

local function fd_tests(out, fds, early)
	local nfds = { op = "nfds" }
	local function one(key, wrong, rule)
		local e = fds and fds[key]
		if e and (e.op == "num" and not fds.when and key ~= "count") == early then
			test(out, 1, ("%s: %s"):format(fds.loc, rule), py(conjunction(fds.when, wrong(e))),
			     ("\"fds\", %s, 0, v.nfds"):format(quote(rule)))
		end
	end
	one("max", function(e) return E.gt(nfds, e) end, "are not too many")
	one("min", function(e) return E.lt(nfds, e) end, "are not too few")
	one("count", function(e)
		return fds.or_none and E.andalso(E.ne(nfds, E.num(0)), E.ne(nfds, e)) or E.ne(nfds, e)
	end, "are as many as counted")
end

local function check_alts(out, body, part)
	for _, alt in ipairs(part.alts) do
		local when = conjunction(E.eq({ op = "len" }, E.num(alt.size)), alt.under, alt.when)
		body[#body + 1] = text.wrap(("# %s: %s"):format(alt.loc, alt.doc), 100, "    ", "    # ")
		body[#body + 1] = ("    if %s:"):format(py(when))
		if #alt.rules > 0 then
			local name = pyname.class(part.owner .. "_" .. alt.name)
			out[#out + 1] = class(setmetatable({ owner = part.owner .. "_" .. alt.name }, { __index = alt }), alt.doc)
			local inner = { ("    p = %s.unpack(v.payload)"):format(name) }
			rule_tests(inner, alt.rules)
			define(out, ("def _check_%s_%s(v):"):format(part.owner, alt.name), inner)
			body[#body + 1] = ("        _check_%s_%s(v)"):format(part.owner, alt.name)
		end
		body[#body + 1] = "        return"
	end
end

local function check_part(out, part)
	local body = {}
	check_alts(out, body, part)
	length_test(body, part)
	fd_tests(body, part.fds, true)
	if part.size > 0 then
		body[#body + 1] = ("    p = %s.unpack(v.payload)"):format(pyname.part(part))
	end
	rule_tests(body, part.rules)
	fd_tests(body, part.fds, false)
	if part.tail then
		tail[part.tail.kind](body, part, part.tail)
	end
	define(out, ("def %s(v):"):format(pyname.check(part)), body)
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
		table.insert(vars.policy_table, ("%s: Policy(%d, %s,\n    (%s),\n    {\"default\": %s, \"strict\": %s, \"libvfio-user\": %s}),")
			:format(quote(p.name), p.erratum.number, quote(p.erratum.title), table.concat(choices, ", "),
				quote(p.default), quote(p.profiles.strict), quote(p.profiles["libvfio-user"])))
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
		       checks = {}, header = {}, messages = {}, limits_doc = "What both ends agreed on, or this one takes." }
	local names = {}
	enums(model, vars.enums, names)
	pyname.each_class(model, function(part, doc)
		names[#names + 1] = pyname.part(part)
		table.insert(vars.classes, class(part, doc))
	end)
	for _, name in ipairs { "Fault", "Part", "Limits", "Policies", "Policy", "POLICIES", "Capability", "CAPABILITIES",
				"Message", "MESSAGES", "check", "check_header" } do
		names[#names + 1] = name
	end
	for i, name in ipairs(names) do
		vars.names[i] = quote(name) .. ","
	end
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
	rule_tests(vars.header, model.header.rules)
	for i, line in ipairs(vars.header) do
		vars.header[i] = line:gsub("^    ", ""):gsub("\n    ", "\n")
	end
	return (text.fill(template, vars):gsub("\n\n\n\n+", "\n\n\n"))
end
