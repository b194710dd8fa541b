-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- What both sides must have agreed on before a thing may be sent: a capability (`requires`), or a minor
-- version, if the revision of its `since` has one.  Each need is a rule of what holds the thing, which
-- counts where the thing is there:
--
--	bit "wide" { 3, requires = cap.wide }     of each field with these flags: where wide is set,
--	                                          the limit `wide` is true
--	link "map" { 2, since = "0.2", ... }      of that link: the limit that counts the minor version
--	                                          is at least 2
--
-- What is around a thing is there with it, so that a need of both is looked at once, outside.

local E = require "expr"
local rules = require "rules"

local M = {}

-- What these entries need that is not needed around them: { [limit] = the least it must be }, a bool 1.
function M.needs(model, around, ...)
	local out, minor = {}, model.most.minor
	for i = 1, select("#", ...) do
		local e = select(i, ...) or {}
		local revision, cap = model.revisions[e.since] or {}, model.caps[e.requires]
		local limit = cap and cap.limit
		if minor and (revision.minor or 0) > math.max(around[minor] or 0, out[minor] or 0) then
			out[minor] = revision.minor
		end
		out[limit or 0] = limit and not around[limit] and 1 or nil
	end
	return out
end

-- Both, where what needs `more` lies in what needs `around`.
local function within(around, more)
	return setmetatable(more, { __index = around })
end

-- The rules of these needs, in the order of the limits.  x: what else is known of them.
function M.rules(model, needs, x)
	local out = {}
	for _, limit in ipairs(model.limits) do
		local least = rawget(needs, limit)
		local need = { limit = limit, least = least }
		for _, revision in ipairs(model.revisions) do
			need.version = limit == model.most.minor and revision.minor == least and revision.version or need.version
		end
		out[#out + 1] = least and rules.make(rules.agreed, setmetatable(need, { __index = x }))
	end
	return out
end

-- Whether all that is there, as a condition; nil if nothing is needed.
function M.holds(model, needs)
	local e
	for _, limit in ipairs(model.limits) do
		local least = rawget(needs, limit)
		local is = E.limit(limit)
		e = E.all(e, least and (limit == model.most.minor and E.ge(is, E.num(least)) or is))
	end
	return e
end

-- Of a part: a field is there when it is not zero; of its flags those that are set, of its enum that value.
function M.of_fields(model, fields, around)
	local out = {}
	local function add(f, needs, who, when, node)
		for _, r in ipairs(M.rules(model, needs, { field = f, who = who, value = E.field(f), when = when, loc = node })) do
			out[#out + 1] = r
		end
		return within(around, needs)
	end
	for _, f in ipairs(fields) do
		local value = E.field(f)
		local inside = add(f, M.needs(model, around, f), f.name, E.ne(value, E.zero), f.loc)
		local function values(enum, of)
			for _, v in ipairs(enum and not enum.made and enum.values or {}) do
				add(f, M.needs(model, inside, v), f.name .. "." .. v.name, E.eq(of, E.num(v.value, v.cname)), v.loc)
			end
		end
		values(f.enum, value)
		for _, m in ipairs(f.flags and f.flags.members or {}) do
			local bits = E.band(value, E.num(m.mask, m.cname))
			local set = E.ne(bits, E.zero)
			set.flag = m.name
			add(f, M.needs(model, inside, m), f.name .. "." .. m.name, set, m.loc)
			values(m.enum, m.shift == 0 and bits or E.shr(bits, E.num(m.shift)))
		end
	end
	return out
end

-- Puts the rules of an entry, which is there where they are looked at, before those that it has.
function M.guard(scope, list, x, ...)
	local model = scope.model
	for i, r in ipairs(M.rules(model, M.needs(model, scope.needs or {}, ...), x)) do
		table.insert(list, i, r)
	end
end

return M
