-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Resolves the raw expressions of a spec.  A scope is what names mean at one place: { model, fields,
-- size } of the part, request and outer where there is a request or a message around.

local E = require "expr"
local load = require "load"
local names = require "model.names"
local words = require "words"

local fault, at, describe = load.fault, load.at, load.describe
local M = {}

function M.find_field(fields, name, where, whose)
	local f = fields and fields[name]
	if not f then
		fault(where, "%s: there is no field '%s'%s%s", describe(where), tostring(name), whose, words.near(name, fields))
	end
	return f
end

local resolve

-- What can stand where a condition is wanted.
local conditions = words.set "eq ne lt gt ge andalso orelse not policy one_bit"

local function is_condition(e)
	return conditions[e.op] or e.op == "limit" and e.limit.type == "bool"
end

local function number(scope, v, where)
	local e = resolve(scope, v, where)
	if is_condition(e) then
		fault(where, "%s: expected a number, not the condition that %s", describe(where), E.text(e))
	end
	return e
end

-- policy.NAME.CHOICE
local function policy(scope, d, where)
	local p = scope.model.policies[E.data(d.base).name]
	if not p then
		local name = E.data(d.base).name
		fault(where, "%s: there is no policy '%s'%s", describe(where), name, words.near(name, scope.model.policies))
	end
	for _, choice in ipairs(p.choices) do
		if choice == d.name then
			return { op = "policy", policy = p.name, choice = choice }
		end
	end
	fault(where, "%s: policy '%s' has no choice '%s'%s", describe(where), p.name, d.name, words.near(d.name, p.choices))
end

-- A member of a field's flags: a condition, or the number in several bits.
local function member(scope, d, where)
	if E.is_raw(d.base) and E.data(d.base).op == "policy" then
		return policy(scope, d, where)
	end
	local base = resolve(scope, d.base, where)
	local set = base.op == "field" and base.field.flags
	local m = set and set.members[d.name]
	if not m then
		fault(where, "%s: '%s' is no member of %s%s", describe(where), d.name,
		      set and "flags '" .. set.name .. "'" or "anything with flags", words.near(d.name, set and set.members))
	end
	local v = E.band(base, E.num(m.mask, m.cname))
	local e = m.wide and (m.shift == 0 and v or E.shr(v, E.num(m.shift))) or E.ne(v, E.zero)
	e.member, e.flag = m, (base.of == "req" and "the request's " or "") .. d.name
	return e
end

local function fold(op)
	return function(scope, d, where)
		local e
		for _, item in ipairs(d.list) do
			local r = resolve(scope, item, where)
			e = e and E[op](e, r) or r
		end
		return e
	end
end

local leaf = {
	field = function(scope, d, where) return E.field(M.find_field(scope.fields, d.name, where, " here")) end,
	request = function(scope, d, where)
		if not scope.request then
			fault(where, "%s: request.%s: only a reply can look at its request", describe(where), d.name)
		end
		return E.field(M.find_field(scope.request, d.name, where, " in the request"), "req")
	end,
	outer = function(scope, d, where)
		if not scope.outer then
			fault(where, "%s: outer.%s: only a struct with inside = ... has a message around it", describe(where), d.name)
		end
		return E.field(M.find_field(scope.outer, d.name, where, " around it"), "outer")
	end,
	limit = function(scope, d, where)
		local limit = scope.model.limits[d.name]
		if not limit then
			names.lacks(scope.model.limits, "limit", d.name, where)
		end
		return E.limit(limit)
	end,
	cap = function(_, d, where)
		fault(where, "%s: cap.%s belongs to requires; a condition is the limit it sets", describe(where), d.name)
	end,
	sizeof = function(scope, d, where)
		return E.num(M.struct_named(scope, d.a, where).size)
	end,
	sizeof_payload = function(scope) return E.num(scope.size) end,
	member = member,
	policy = function(_, d, where)
		fault(where, "%s: a policy is named with its choice: policy.%s.CHOICE", describe(where), d.name)
	end,
	no = function(scope, d, where)
		local a = resolve(scope, d.a, where)
		local e = E.negate(a)
		e.flag = a.flag
		return e
	end,
	is_whole = function(scope, d, where) return E.ge(E.len, number(scope, d.a, where)) end,
	has_fd = function() return E.ne(E.nfds, E.zero) end,
	is = function(scope, d, where) return E.eq(number(scope, d.a, where), number(scope, d.b, where)) end,
	below = function(scope, d, where) return E.lt(number(scope, d.a, where), number(scope, d.b, where)) end,
	all = fold "andalso", any = fold "orelse",
}

function resolve(scope, v, where)
	if math.type(v) == "integer" then
		return E.num(v)
	elseif not E.is_raw(v) then
		fault(where, "%s: expected a number or an expression", describe(where))
	end
	local d = E.data(v)
	return leaf[d.op] and leaf[d.op](scope, d, where) or E[d.op](number(scope, d.a, where), number(scope, d.b, where))
end

-- A number that is computed: refused if it may wrap.
function M.computed(scope, v, where, assume)
	local e = number(scope, v, where)
	local lo, why = E.range(e, assume)
	if not lo then
		fault(where, "%s: the expression %s %s", describe(where), E.text(e), why)
	end
	return e
end

-- The number or condition that a key of a node gives; nil without the key.
function M.number(scope, node, key, assume)
	return node[key] and M.computed(scope, node[key], at(node, key), assume)
end

function M.condition(scope, node, key)
	local e = node[key] and resolve(scope, node[key], at(node, key))
	if e and not is_condition(e) then
		fault(at(node, key), "%s: %s needs a condition, not a number", describe(node), key)
	end
	return e
end

-- v: policy.NAME.CHOICE or nil
function M.policy(scope, v, where)
	local e = v and resolve(scope, v, where)
	if e and e.op ~= "policy" then
		fault(where, "%s: under needs policy.NAME.CHOICE", describe(where))
	end
	return e
end

function M.struct_named(scope, name, where)
	local struct = scope.model.structs[name]
	if not struct then
		fault(where, "%s: there is no struct '%s' before this%s", describe(where), tostring(name),
		      words.near(name, scope.model.structs))
	elseif struct.inside and struct.inside ~= scope.inside then
		fault(where, "%s: struct '%s' belongs inside %s", describe(where), name, struct.inside)
	end
	struct.used = true
	return struct
end

return M
