-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The rules of a part: those its fields have as keys and those of `check`, in the order of the checks.

local E = require "expr"
local X = require "model.expressions"
local agreed = require "model.agreed"
local load = require "load"
local names = require "model.names"
local rules = require "rules"
local words = require "words"

local fault, at, describe = load.fault, load.at, load.describe
local M = {}

function M.member_mask(list, f, where)
	if not f.flags then
		fault(where, "%s: field '%s' has no flags", describe(where), f.name)
	elseif type(list) ~= "table" then
		fault(where, "%s: expected a list of members of '%s'", describe(where), f.flags.name)
	end
	local mask, parts = 0, {}
	for _, name in ipairs(list) do
		local m = f.flags.members[name]
		if not m then
			fault(where, "%s: '%s' is no member of flags '%s'%s", describe(where), tostring(name), f.flags.name,
			      words.near(name, f.flags.members))
		end
		mask = mask | m.mask
		parts[#parts + 1] = m.cname
	end
	return mask, E.num(mask, #parts == 1 and parts[1] or ("0x%x"):format(mask))
end

-- What a rule knows besides its fields.
local function argument(x, def, arg, scope, where)
	if def.takes == "expression" or def.extra then
		x.arg = X.computed(scope, arg, where)
	elseif def.takes == "members" then
		x.names = arg
		x.mask, x.mask_expr = M.member_mask(arg, x.field, where)
	elseif def.takes == "numbers" then
		x.numbers = table.move(arg, 1, #arg, 1, {})
		table.sort(x.numbers)
	end
	if x.field and x.field.flags then
		x.unknown_mask = ~x.field.flags.mask & E.type_max(x.field.size)
	end
end

local function add(out, def, x, node, key)
	local why = def.fault and def.fault(x)
	if why then
		fault(at(node, key), "%s:%s %s", describe(node), node.kind == "rule" and "" or (" rule '%s':"):format(def.name), why)
	end
	x.loc, x.order = names.loc(at(node, key)), #out
	out[#out + 1] = rules.make(def, x)
end

local function of_field(out, f, scope)
	local node, under, errno = f.node, f.node.under or {}, f.node.errno or {}
	for _, key in ipairs { "under", "errno" } do
		for name in names.sorted_pairs(node[key] or {}) do
			if node[name] == nil or not rules[name] then
				fault(at(node, key .. "." .. tostring(name)), "%s: %s names '%s', which is no rule of this field%s",
				      describe(node), key, tostring(name), words.near(name, rules))
			end
		end
	end
	for _, def in ipairs(rules.list) do
		local arg = def.where == "field" and node[def.name] or nil
		-- members come as a list, or as a list of lists for several rules
		local several = def.takes == "members" and arg and type(arg[1]) == "table"
		for _, one in ipairs(several and arg or arg ~= nil and { arg } or {}) do
			-- a field that was not agreed is not there
			local x = { field = f, value = E.field(f), errno = errno[def.name],
				    when = agreed.holds(scope.model, agreed.needs(scope.model, scope.needs or {}, f)) }
			x.under = X.policy(scope, under[def.name], at(node, "under." .. def.name))
			argument(x, def, one, scope, at(node, def.name))
			add(out, def, x, node, def.name)
		end
	end
end

-- A rule of `check`: its fields, then its argument.
local function of_check(out, rule, scope)
	local def, args, x = rules[rule.name], rule.args, { phase = 3, errno = rule.errno }
	x.when, x.under = X.condition(scope, rule, "when"), X.policy(scope, rule.under, at(rule, "under"))
	local nfields = def.takes == "nothing" and 0 or def.takes == "fields" and 2 or 1
	if nfields > 0 then
		x.field = X.find_field(scope.fields, args[1], rule, " here")
		x.value = E.field(x.field)
	end
	if nfields > 1 then
		x.other = X.find_field(scope.fields, args[2], rule, " here")
		x.other_value = E.field(x.other)
	end
	argument(x, def, args[nfields + 1], scope, rule)
	add(out, def, x, rule)
end

function M.build(fields, checks, scope)
	-- of the header nothing is agreed yet
	local out = scope.needs and agreed.of_fields(scope.model, fields, scope.needs) or {}
	for i, r in ipairs(out) do
		r.order = i - 1
	end
	for _, f in ipairs(fields) do
		of_field(out, f, scope)
	end
	for _, rule in ipairs(checks or {}) do
		of_check(out, rule, scope)
	end
	table.sort(out, function(a, b)
		return a.phase < b.phase or a.phase == b.phase and a.order < b.order
	end)
	return out
end

return M
