-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- tests/gen/check-wire.c: the vectors as C tables, for tests/lib/wire-cases.c.

local cname = require "cname"
local text = require "text"
local vectors = require "vectors"

local template = cname.banner:format("tests_c") .. [[
#include "wire-cases.h"

#include <errno.h>
#include <string.h>

/* None is a default. */
const struct vfui_limits wire_limits = {
	${limits}
};

${others}

${readers}

${tables}

const struct wire_base wire_bases[] = {
	${bases}
};

const size_t wire_bases_count = sizeof(wire_bases) / sizeof(wire_bases[0]);
]]

local function number(v)
	return v >= 0 and v < 10 and tostring(v) or ("0x%x%s"):format(v, (v < 0 or v > 0xffffffff) and "ull" or "")
end

local function put(p)
	return ("{ %d, %d, %s }"):format(p.offset, p.size, number(p.value))
end

-- The members of all limits, which are the usual ones but for those of a row.
local function limits(model, row)
	local others = {}
	for _, o in ipairs(row) do
		others[o.name] = o
	end
	return text.map(model.limits, function(l)
		local v = (others[l.name] or { value = l.test }).value
		return v and (".%s = %s,"):format(l.name, tostring(v)) or nil
	end)
end

-- The name of a row's limits, which stand among `vars.others` then.
local function limits_of(vars, row)
	if #row.limits == 0 then
		return nil
	end
	local members = table.concat(limits(vars.model, row.limits), "\n\t")
	if not vars.known[members] then
		vars.known[members] = ("&limits_%d"):format(#vars.others)
		table.insert(vars.others, ("static const struct vfui_limits limits_%d = {\n\t%s\n};\n"):format(#vars.others, members))
	end
	return vars.known[members]
end

-- Readers: one for each structure ------------------------------------------------------------------

local function reader(part)
	local out = { ("static void read_%s(const uint8_t *from, uint64_t *values)"):format(part.cname), "{",
		      ("\tstruct %s in;\n"):format(part.cname), "\tmemcpy(&in, from, sizeof(in));" }
	for i, f in ipairs(part.fields) do
		out[#out + 1] = ("\tvalues[%d] = in.%s;"):format(i - 1, f.name)
	end
	out[#out + 1] = "}\n"
	return table.concat(out, "\n")
end

-- Tables of one base -------------------------------------------------------------------------------

local function puts_of(base)
	local out = {}
	for _, s in ipairs(base.segments) do
		for _, f in ipairs(s.part.fields) do
			local p = { offset = s.at + f.offset, size = f.size, value = s.values[f.name] }
			out[#out + 1] = ("\t%s, /* %s */"):format(put(p), f.name)
		end
	end
	for i = 1, #base.text do
		out[#out + 1] = ("\t{ %d, 1, %d },"):format(base.text_at + i - 1, base.text:byte(i))
	end
	return out
end

local function segments_of(base)
	return text.map(base.segments, function(s)
		return s.part.cname and ("\t{ %d, %d, read_%s },"):format(s.at, #s.part.fields, s.part.cname) or nil
	end)
end

local function case(c, limits_name)
	local fields = { ('"%s"'):format(c.about), (".len = { %d, %d }"):format(c.len[1], c.len[2]),
			 (".nfds = { %d, %d }"):format(c.nfds[1], c.nfds[2]) }
	local function add(form, ...)
		fields[#fields + 1] = form:format(...)
	end
	if #c.puts > 0 then
		add(".nputs = %d", #c.puts)
		add(".puts = (const struct wire_put[]){ %s }", table.concat(text.map(c.puts, put), ", "))
	end
	if c.bits then
		add(".bits = { %d, %d, %s }", c.bits.offset, c.bits.size, number(c.bits.mask))
	end
	local policy = text.map(c.policy, function(p) return (".%s = %s"):format(p.name, cname.policy(p.name, p.choice)) end)
	if #policy > 0 then
		add(".policy = { %s }", table.concat(policy, ", "))
	end
	if limits_name then
		add(".limits = %s", limits_name)
	end
	if c.order then
		add(".order = WIRE_%s", c.order:upper())
	end
	if c.field then
		add('.err = %s, .field = "%s", .offset = %d', c.errno, c.field, c.offset)
	end
	return text.wrap("{ " .. table.concat(fields, ", ") .. " },", 100, "\t", "\t  ")
end

local function request(base, n)
	local out = text.map(base.request_part.fields, function(f) return (".%s = %s"):format(f.name, number(base.request[f.name])) end)
	return ("static const struct %s request_%d = {\n%s,\n};\n"):format(base.request_part.cname, n,
		text.wrap(table.concat(out, ", "), 100, "\t"))
end

local function table_of(out, kind, name, n, lines)
	if #lines > 0 then
		out[#out + 1] = ("static const struct wire_%s %s_%d[] = {"):format(kind, name, n)
		out[#out + 1] = table.concat(lines, "\n")
		out[#out + 1] = "};\n"
	end
end

local function add_base(vars, base, n)
	local part = base.part
	local puts, segments, cases = puts_of(base), segments_of(base), text.map(base.cases, function(c)
		return case(c, limits_of(vars, c))
	end)
	local message = part.message and part.message.name or "header"
	table.insert(vars.tables, ("/* %s, %s, %s */"):format(message, part.key or "-", base.name))
	table_of(vars.tables, "put", "puts", n, puts)
	table_of(vars.tables, "segment", "segments", n, segments)
	local has_request = base.request_part and base.request_part.cname
	if has_request then
		table.insert(vars.tables, request(base, n))
	end
	table_of(vars.tables, "case", "cases", n, cases)
	local function pointer(name, list)
		return #list > 0 and ("%s_%d, %d"):format(name, n, #list) or "NULL, 0"
	end
	local line = ('{ "%s", "%s", %s, %s, %d, %s, %s, %s, %s },'):format(message, base.name,
		part.message and part.message.cname or "0", part.key == "reply" and "true" or "false", base.len,
		pointer("puts", puts), pointer("segments", segments), has_request and "&request_" .. n or "NULL",
		pointer("cases", cases))
	table.insert(vars.bases, text.wrap(line, 96, "", "  "))
end

return function(model)
	local vars = { model = model, known = {}, limits = limits(model, {}), others = {}, readers = {}, tables = {}, bases = {} }
	local known, n = {}, 0
	for _, entry in ipairs(vectors.of(model)) do
		for _, base in ipairs(entry.bases) do
			for _, s in ipairs(base.segments) do
				if s.part.cname and not known[s.part] then
					known[s.part] = true
					table.insert(vars.readers, reader(s.part))
				end
			end
			add_base(vars, base, n)
			n = n + 1
		end
	end
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
