-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- A layout for each value of a field; what no case takes is left to the receiver.

local E = require "expr"
local X = require "model.expressions"
local cname = require "cname"
local cparts = require "cparts"
local load = require "load"
local names = require "model.names"
local pyname = require "pyname"
local rules = require "rules"
local text = require "text"
local words = require "words"

local M = {}
local fault, at, describe = load.fault, load.at, load.describe

local function case(t, c, scope)
	local value = t.enum.values[c.name]
	if not value then
		fault(c, "%s: is no value of enum '%s'%s", describe(c), t.enum.name, words.near(c.name, t.enum.values))
	end
	local when, struct = X.condition(scope, c, "when"), X.struct_named(scope, c.of, at(c, "of"))
	local out = names.entry(c, { value = value.value, cname = value.cname, when = when, optional = c.optional or false, struct = struct, rules = {},
		condition = E.all(E.eq(t.by, E.num(value.value, value.cname)), when, c.optional and E.ne(E.len, E.start)) })
	if not struct.tail then
		local behind = E.sub(E.len, E.start)
		out.rules[1] = rules.make(rules.tail, { who = c.name, loc = out.loc, at = E.start, value = behind,
			words = ("is exactly %d bytes"):format(struct.size), wrong = E.ne(behind, E.num(struct.size)) })
	end
	return out
end

function M.build(item, scope)
	local t = { by = X.number(scope, item, "by"), items = {} }
	t.enum = t.by.op == "field" and t.by.field.enum or t.by.member and t.by.member.enum
	if not t.enum then
		fault(at(item, "by"), "%s: by must name a field or bits with an enum", describe(item))
	end
	for i, c in ipairs(item.items) do
		t.items[i] = case(t, c, scope)
	end
	return t
end

function M.c(f, t, part)
	f.items_function(part.owner .. "_" .. t.name, t.items, "no layout is known")
end

function M.py(f, t)
	f:line("at = %s", f.start)
	f:entries(t.items, 1, "return")
end

local c_parse = [[
out->kind = ${unknown};
out->data = (const uint8_t *)payload;
out->len = out->rest = 0;
${fields}
out->data += ${size};
out->len = out->rest = len - ${size};
${choose}
return out->kind != ${unknown};
]]

function M.c_parse(g, t)
	g:piece()
	g:inline("bool", "parse", ("struct vfu_wire_%s *out, const void *payload, size_t len"):format(g.name), c_parse,
		 { unknown = cname.member(g.name, "unknown"), fields = g:fields("false"), choose = g:choose(t.items) })
end

-- How many bytes the payload has behind fields like these, at least.
local function c_size(g, t)
	local env, lines = setmetatable({ ["in"] = "in->" }, { __index = g.env }), {}
	for _, c in ipairs(t.items) do
		if not c.optional then
			lines[#lines + 1] = text.c_statement("", "if (", E.c(E.all(E.eq(t.by, E.num(c.value, c.cname)), cparts.public(c.when)), env), ")")
			lines[#lines + 1] = ("\treturn sizeof(struct %s);"):format(c.struct.cname)
		end
	end
	lines[#lines + 1] = "return 0;"
	local body = table.concat(lines, "\n")
	if body:find("in->", 1, true) then
		g:inline("size_t", "size", ("const struct %s *in"):format(g.part.cname), body)
	end
end

function M.c_build(g, t)
	if g.part.cname then
		c_size(g, t)
	end
	for _, kind in ipairs(g.kinds) do
		g:add("add_" .. kind.name, kind.struct, { "b->part = vfu_wire_builder_append(b, in, sizeof(*in));" })
	end
end

function M.c_copy(g)
	g:copy([[
struct vfu_wire_${name} one;

vfu_wire_${name}_parse(&one, payload, len${given});
switch (one.kind) {
${cases}
default:
	wire_saw(seen, 0, one.data, one.len);
	vfu_wire_builder_append(b, one.data, one.len);
}
]], { cases = g:copy_cases("") })
end

function M.py_type(t)
	return pyname.one_of(t.items, "bytes"), 'b""'
end

function M.py_read(f, t)
	f:class_of(t.items, "cls")
	f:line("self.%s = cls._at(v, start, self) if cls else v.payload[start:]", t.name)
end

function M.py_build(_, t)
	return ("self.%s.build() if isinstance(self.%s, Part) else bytes(self.%s)"):format(t.name, t.name, t.name)
end

function M.verdict(c, t)
	return c:entry(t.items, c.start)
end

function M.box(t)
	return "depends on " .. E.text(t.by)
end

function M.json(t, J)
	return { { "by", J.tree(t.by) }, { "enum", t.enum.name } }
end

function M.text(t, where)
	local out = {}
	for i, c in ipairs(t.items) do
		out[i] = ("is, for %s%s, %s%s: %s"):format(c.name, where(c.when), text.link("struct", c.struct.name), c.optional and " or nothing" or "",
							   c.doc)
	end
	return out
end

function M.shapes(t, add)
	for _, c in ipairs(t.items) do
		local function choose(s)
			return s:force(s.root, E.eq(t.by, E.num(c.value)), true) and (not c.when or s:force(s.root, c.when, true))
		end
		add(c.name, function(s)
			s.root.kids = s:entries(c.struct, 1)
			return choose(s)
		end)
		add(c.name .. ", no data", choose)
		add(c.name .. ", another method", function(s)
			return c.when and s:force(s.root, E.eq(t.by, E.num(c.value)), true) and s:force(s.root, c.when, false)
		end)
	end
end

return M
