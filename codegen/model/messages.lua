-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Structures and messages.

local E = require "expr"
local X = require "model.expressions"
local agreed = require "model.agreed"
local cname = require "cname"
local load = require "load"
local names = require "model.names"
local parts = require "model.parts"
local rules = require "rules"
local rules_of = require "model.rules"
local tails = require "tail"
local text = require "text"
local words = require "words"

local fault, at, describe = load.fault, load.at, load.describe
local M = {}

function M.structs(spec, model)
	local around = {}
	for _, m in ipairs(spec.message) do
		around[m.name .. ".request"], around[m.name .. ".reply"] = m.request, m.reply
	end
	for _, node in ipairs(spec.struct) do
		local scope = { model = model, inside = node.inside, needs = agreed.needs(model, {}, { since = node.since }) }
		if node.inside then
			local part = around[node.inside]
			if not part or part.kind ~= "part" then
				fault(at(node, "inside"), "%s: inside: there is no '%s'%s", describe(node), node.inside,
				      words.near(node.inside, around))
			end
			scope.outer = parts.layout(model, part.items)
		end
		local struct = names.entry(node, parts.build(node, scope))
		struct.inside, struct.cname = node.inside, cname.struct(node.name)
		model.structs[#model.structs + 1], model.structs[node.name] = struct, struct
	end
end

-- The descriptors of one side.  Rules that need no field stand before the fields are read.
local function descriptors(node, key, part, scope)
	local raw = node.fds and node.fds[key]
	if not raw then
		return
	end
	local path = "fds." .. key
	if not raw.max and not raw.count and not raw.extra then
		fault(at(node, path), "%s, %s: needs max, count or extra = \"close\"", describe(node), path)
	end
	if raw.or_none and not raw.count then
		fault(at(node, path .. ".or_none"), "%s, %s: or_none means nothing without count", describe(node), path)
	end
	local fds = { doc = raw.doc, or_none = raw.or_none or false, extra = raw.extra, loc = names.loc(node) }
	local inner = setmetatable({ lines = {} }, { __index = node })
	for name, v in pairs(raw) do
		inner[name], inner.lines[name] = v, node.lines[path .. "." .. name]
	end
	fds.when = X.condition(scope, inner, "when")
	local late = 0
	for _, name in ipairs { "max", "min", "count" } do
		local e = X.number(scope, inner, name)
		if e then
			local early = e.op == "num" and not fds.when and name ~= "count"
			local rule = rules.make(rules[name .. "_fds"], { label = "", arg = e, or_none = fds.or_none, when = fds.when,
									 loc = fds.loc, phase = early and 0 or 4 })
			late, fds[name] = late + (early and 0 or 1), e
			-- behind the others of its kind, but before what the tail says
			table.insert(early and part.before or part.after, early and #part.before + 1 or late, rule)
		end
	end
	fds.none = fds.max and E.is_zero(fds.max) or false
	part.fds = fds
end

local function side(model, node, key, scope, message, checks)
	local part = parts.empty(key, message.loc)
	scope.inside = node.name .. "." .. key
	if node[key].kind == "part" then
		part = parts.build(node[key], scope, checks)
	end
	descriptors(node, key, part, scope)
	part.owner = message.name .. "_" .. key
	part.cname = part.size > 0 and cname.struct(part.owner) or nil
	part.message, part.key = message, key
	for _, alt in ipairs(part.alts) do
		alt.owner, alt.message, alt.key = part.owner .. "_" .. alt.name, message, key
	end
	return part
end

local function effect(node, request)
	local raw = node.effect
	if raw then
		local f = X.find_field(request.fields, raw.field, at(node, "effect.field"), " in the request")
		local set = rules_of.member_mask(raw.set, f, at(node, "effect.set"))
		return { field = f, mask = set | (raw.clear and rules_of.member_mask(raw.clear, f, at(node, "effect.clear")) or 0),
			 value = set, text = ("%s has %s%s"):format(f.name, table.concat(raw.set, " and "),
				raw.clear and " and not " .. table.concat(raw.clear, " or ") or "") }
	end
end

local function states(spec, model, node)
	local out = {}
	local enum = node.states and names.named(model.enums, "enum", spec.protocol[1], "states")
	for _, name in ipairs(node.states or {}) do
		if not (enum and enum.values[name]) then
			fault(at(node, "states"), "%s: states: '%s' is no device state%s", describe(node), name,
			      words.near(name, enum and enum.values))
		end
		out[#out + 1] = enum.values[name]
	end
	out.enum = enum
	return out
end

-- What of the spec a rule comes from.
local function gives(r)
	return r.name ~= "agreed" and ("a rule of '%s'"):format(r.who) or r.version and "the version of its since" or "its requires"
end

local function message(spec, model, node)
	local m = names.entry(node, { id = node.id, from = node.from, fence = node.fence or false, basic = node.basic or false,
		gate = node.gate, keeps = node.keeps and text.oneline(node.keeps), post = node.post or false, errors = {}, errata = {},
		cname = cname.command(node.name) })
	local needs = agreed.needs(model, {}, m)
	m.request = side(model, node, "request", { model = model, needs = needs }, m, node.check)
	m.reply = side(model, node, "reply", { model = model, request = m.request.fields, needs = needs }, m)
	agreed.guard({ model = model }, m.request.before, { who = "command", label = "the command", phase = 0, errno = "ENOSYS",
							    value = E.num(m.id), loc = m.loc }, m)
	for name, doc in names.sorted_pairs(node.errors) do
		m.errors[#m.errors + 1] = { name = name, doc = doc }
	end
	-- what a check of the request answers stands among the errors
	tails.each_part(m.request, function(part)
		for _, list in ipairs { part.before or {}, part.rules } do
			for _, r in ipairs(list) do
				if r.errno ~= "EINVAL" and not node.errors[r.errno] then
					fault(r.loc, "%s: errors lacks %s, which %s gives", describe(node), r.errno, gives(r))
				end
			end
		end
	end)
	m.effect, m.states = effect(node, m.request), states(spec, model, node)
	return m
end

-- Each message gets the errata about it; those without messages are about all.
local function errata(spec, model)
	for _, node in ipairs(spec.erratum) do
		if not node.messages == not node.general then
			fault(node, "erratum %d: says either the messages that it is about or general = true", node.number)
		end
		for _, name in ipairs(node.messages or {}) do
			if not model.messages[name] then
				fault(at(node, "messages"), "erratum %d: messages: there is no message '%s'%s", node.number, name,
				      words.near(name, model.messages))
			end
		end
	end
	model.errata.of_all = {}
	for _, e in ipairs(model.errata) do
		for _, name in ipairs(e.messages or {}) do
			table.insert(model.messages[name].errata, e)
		end
		if not e.messages then
			table.insert(model.errata.of_all, e)
		end
	end
end

function M.messages(spec, model)
	for _, node in ipairs(spec.message) do
		table.insert(model.messages, message(spec, model, node))
	end
	table.sort(model.messages, function(a, b) return a.id < b.id end)
	names.by_name(model.messages)
	errata(spec, model)
end

return M
