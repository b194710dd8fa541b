-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- tests/gen/vectors.py: the vectors as Python tables, for tests/py/test_protocol.py.

local pyname = require "pyname"
local text = require "text"
local vectors = require "vectors"

local quote = pyname.quote

local template = pyname.banner:format("tests_py") .. [[
"""Good payloads, and what the checks must say when something in them changes."""

LIMITS = {
    ${limits}
}

# message, name, reply, length, (class, offset, values) ..., (offset, bytes) of text, request,
# cases: about, lengths, descriptors, (offset, size, value) ..., bits, policies, limits that differ,
# (field, offset and an errno that is not EINVAL) or None, byte order or None
BASES = [
    ${bases}
]
]]

local function number(v)
	return v >= 0 and v < 10 and tostring(v) or ("0x%x"):format(v)
end

local function values(part, v)
	return "{" .. table.concat(text.map(part.fields, function(f) return quote(f.name) .. ": " .. number(v[f.name]) end), ", ") .. "}"
end

local function tuple(list)
	return "(" .. table.concat(list, ", ") .. (#list == 1 and ",)" or ")")
end

local function case(c)
	local puts = text.map(c.puts, function(p) return ("(%d, %d, %s)"):format(p.offset, p.size, number(p.value)) end)
	local policies = text.map(c.policy, function(p) return quote(p.name) .. ": " .. quote(p.choice) end)
	local limits = text.map(c.limits, function(l) return quote(l.name) .. ": " .. pyname.value(l.value) end)
	local bits = c.bits and ("(%d, %d, %s)"):format(c.bits.offset, c.bits.size, number(c.bits.mask)) or "None"
	local line = ("(%s, (%d, %d), (%d, %d), %s, %s, {%s}, {%s}, %s, %s),"):format(quote(c.about), c.len[1], c.len[2], c.nfds[1],
		c.nfds[2], tuple(puts), bits, table.concat(policies, ", "), table.concat(limits, ", "),
		c.field and ("(%s, %d%s)"):format(quote(c.field), c.offset, c.errno ~= "EINVAL" and ", " .. quote(c.errno) or "") or
		"None",
		c.order and quote(c.order) or "None")
	return text.wrap(line, 100, "        ", "         ")
end

local function segment(s)
	return ("(%s, %d, %s)"):format(quote(pyname.part(s.part)), s.at, values(s.part, s.values))
end

local function base(b)
	local part = b.part
	local segments, cases = text.map(b.segments, segment), text.map(b.cases, case)
	local bytes = {}
	for i = 1, #b.text do
		bytes[i] = ("\\x%02x"):format(b.text:byte(i))
	end
	local request = b.request_part and b.request_part.size > 0 and
			("(%s, %s)"):format(quote(pyname.part(b.request_part)), values(b.request_part, b.request)) or "None"
	return table.concat({ ("(%s, %s, %s, %d,"):format(quote(part.message and part.message.name or "header"), quote(b.name),
		pyname.boolean(part.key == "reply"), b.len), text.wrap(tuple(segments) .. ",", 100, "    "),
		("    (%d, b\"%s\"),"):format(b.text_at or 0, table.concat(bytes)), "    " .. request .. ",", "    [",
		table.concat(cases, "\n"), "    ])," }, "\n")
end

return function(model)
	local limits = text.map(model.limits, function(l) return l.test and quote(l.name) .. ": " .. pyname.value(l.test) .. "," or nil end)
	local vars = { limits = limits, bases = {} }
	for _, entry in ipairs(vectors.of(model)) do
		for _, b in ipairs(entry.bases) do
			table.insert(vars.bases, base(b))
		end
	end
	return text.fill(template, vars)
end
