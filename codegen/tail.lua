-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The kinds of what may follow the fields of a part, a file each in tail/.  A file has all that is
-- known of its kind:
--
--	build(item, scope, part)   the model
--	rules(t, part)             what it must be, as rules; { wrong, words, who, at, value } each
--	c, py(f, t, part)          how what lies in it is checked (cfile.lua, pyfile.lua)
--	c_parse, c_build, c_copy(g, t, part)   how it is read and built in parts.h, and copied in tests (cparts.lua)
--	py_type, py_read, py_build how Python's classes have it (pyclass.lua)
--	json(t, J, rule)           its keys in vfio-user.json (json.lua)
--	says(t)                    words of a rule that is no expression
--	verdict(c, t, part)        the same, computed (verdict.lua)
--	text(t), box(t)            sentences of the reference that are no rules (may be absent), and what its boxes say
--	shapes(t, add)             payloads that tests begin with (vectors.lua)
--	loose(t, c)                bytes that no field describes, in a test's payload
--
-- What lies in a tail are its `items`: { struct, value, condition, rules }.  A part of the payload is one
-- of them where condition holds; then its rules, and those of struct, must hold.

local E = require "expr"
local X = require "model.expressions"
local agreed = require "model.agreed"
local names = require "model.names"
local rules = require "rules"

local M = { kinds = { "alt", "array", "bytes", "chain", "json", "strided", "union" } }
for _, kind in ipairs(M.kinds) do
	M[kind] = require("tail." .. kind)
end

function M.build(item, scope, part)
	local kind = item.kind == "array" and item.stride and "strided" or item.kind
	local t = names.entry(item, M[kind].build(item, scope, part))
	t.kind, t.word, t.items = kind, item.kind, t.items or {}
	t.whole = X.number(scope, item, "whole")
	local many = t.count or t.size
	t.guards = {}
	agreed.guard(scope, t.guards, { who = t.name, when = many and E.ne(many, E.zero) or E.gt(E.len, E.start), phase = 4, at = E.start,
					value = E.sub(E.len, E.start), loc = t.loc }, t, t.element)
	for _, i in ipairs(t.element and {} or t.items) do
		local known = t.key and t.key.enum and t.key.enum.values[i.name] -- no rule looks at the head of a link
		agreed.guard(scope, i.rules, { who = i.name, at = E.name "at", value = E.num(i.value), phase = 4, loc = i.loc }, i, i.struct,
			     known)
	end
	return t
end

-- The rules of the variable part itself.
function M.rules(part)
	local t = part.tail
	local out = table.move(t.guards, 1, #t.guards, 1, {})
	for _, x in ipairs(M[t.kind].rules and M[t.kind].rules(t, part) or {}) do
		x.who, x.loc, x.at, x.value = x.who or t.name, t.loc, x.at or E.start, x.value or E.sub(E.len, E.start)
		x.label = x.who
		out[#out + 1] = rules.make(rules.tail, x)
	end
	return out
end

-- All that is checked of a part itself, in the order of the checks: what lies in its tail has rules of its own.
function M.all_rules(part)
	local out, t = {}, part.tail
	local said = t and M[t.kind].says and M[t.kind].says(t)
	for _, list in ipairs { part.before or {}, part.rules, part.after or {} } do
		table.move(list, 1, #list, #out + 1, out)
	end
	out[#out + 1] = t and t.rule
	out[#out + 1] = said and { who = t.name, said = said, errno = "EINVAL" } or nil
	for _, item in ipairs(t and t.items or {}) do
		table.move(item.rules or {}, 1, #(item.rules or {}), #out + 1, out)
	end
	return out
end

-- Calls visit(part) for a part, its alternatives and all structures it may hold.
function M.each_part(part, visit)
	visit(part)
	for _, alt in ipairs(part.alts or {}) do
		visit(alt)
	end
	for _, item in ipairs(part.tail and part.tail.items or {}) do
		M.each_part(item.struct, visit)
	end
end

return M
