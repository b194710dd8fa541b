-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- What the model knows by name: enumerations, flag sets, limits, errata and policies, capabilities.

local E = require "expr"
local cname = require "cname"
local load = require "load"
local text = require "text"
local words = require "words"

local fault, at, describe = load.fault, load.at, load.describe
local M = {}

function M.loc(node)
	return ("%s:%d"):format(node.file, node.line)
end

function M.by_name(list)
	for _, v in ipairs(list) do
		list[v.name] = v
	end
	return list
end

function M.sorted_pairs(t)
	local keys = {}
	for k in pairs(t) do
		keys[#keys + 1] = k
	end
	table.sort(keys)
	local i = 0
	return function()
		i = i + 1
		return keys[i], t[keys[i]]
	end
end

-- What everything with a name has; more goes into it.
function M.entry(node, more, parent)
	local e = more or {}
	e.name, e.doc, e.loc = node.name, node.doc and text.oneline(node.doc), M.loc(node)
	e.since, e.status = node.since or parent and parent.since, node.status or "stable"
	e.requires = node.requires and E.data(node.requires).name
	return e
end

-- Where a new one of these belongs, if it has but one place.
local place = { limit = ": `limits` stand in protocol.lua" }

function M.lacks(list, what, name, where)
	local near = words.near(name, list)
	fault(where, "%s: there is no %s '%s'%s", describe(where), what, tostring(name), near ~= "" and near or place[what] or "")
end

-- list[name], which a key of a node names.
function M.named(list, what, node, key)
	local name = node[key]
	if name ~= nil and not list[name] then
		M.lacks(list, what, name, at(node, key))
	end
	return name and list[name]
end

local entry = M.entry

local function by_value(a, b)
	return a.value < b.value
end

local function revisions(spec, model)
	for _, r in ipairs(spec.protocol[1].revisions) do
		table.insert(model.revisions, { name = r.name, doc = text.oneline(r.doc), version = r.version,
						minor = r.version and tonumber(r.version:match("%d+$")) })
	end
	M.by_name(model.revisions)
end

local function enums(spec, model)
	for _, node in ipairs(spec.enum) do
		local enum = entry(node, { values = {} })
		for _, v in ipairs(node.items) do
			table.insert(enum.values, entry(v, { value = v.number, cname = cname.member(node.name, v.name) }, node))
		end
		table.sort(enum.values, by_value)
		M.by_name(enum.values)
		table.insert(model.enums, enum)
	end
	local commands = { name = "command", doc = "numbers of the messages", values = {}, made = true,
			   loc = spec.protocol[1].file .. ":1" }
	for _, m in ipairs(spec.message) do
		table.insert(commands.values, entry(m, { value = m.id, cname = cname.command(m.name) }))
	end
	table.sort(commands.values, by_value)
	M.by_name(commands.values)
	table.insert(model.enums, commands)
	M.by_name(model.enums)
end

local function flags(spec, model)
	for _, node in ipairs(spec.flags) do
		local set = entry(node, { width = node.width or 32, mask = 0, members = {} })
		for _, b in ipairs(node.items) do
			local wide = b.kind == "bits"
			local mask = ((1 << ((wide and b.last or b.number) - b.number + 1)) - 1) << b.number
			set.mask = set.mask | mask
			table.insert(set.members, entry(b, { shift = b.number, mask = mask, wide = wide,
				enum = M.named(model.enums, "enum", b, "enum"),
				cname = cname.member(node.name, wide and (b.mask or b.name .. "_mask") or b.name) }, node))
		end
		M.by_name(set.members)
		table.insert(model.flags, set)
	end
	M.by_name(model.flags)
end

local function limits(spec, model)
	for _, item in ipairs(spec.limits[1] and spec.limits[1].items or {}) do
		local limit = entry(item, { type = item.kind, size = cname.size[item.kind], min = item.min or 0,
			max = item.max or 1, default = item.default, power_of_two = item.power_of_two, test = item.test,
			counts = item.counts })
		if limit.counts then
			model.most[limit.counts] = limit
		end
		limit.widest = limit.type == "bool" or limit.power_of_two and limit.min or limit.max -- refuses least
		-- tests begin with everything agreed
		limit.test = limit.type == "bool" or limit.test
		for _, r in ipairs(limit.counts == "minor" and model.revisions or {}) do
			limit.test = math.max(limit.test or 0, r.minor or 0)
		end
		table.insert(model.limits, limit)
	end
	M.by_name(model.limits)
	for _, r in ipairs(model.revisions) do
		local minor, where = model.most.minor, at(spec.protocol[1], "revisions")
		if r.version and not minor then
			fault(where, "protocol: revision '%s' has a version, but no limit counts the minor one", r.name)
		elseif r.version and r.minor > minor.max then
			fault(where, "protocol: version %s of revision '%s' is above the max of limit '%s'", r.version, r.name, minor.name)
		end
	end
end

local function errata(spec, model)
	for _, node in ipairs(spec.erratum) do
		table.insert(model.errata, { number = node.number, subject = node.subject, messages = node.messages, title = text.oneline(node.title),
			text = text.oneline(node.text), peers = text.oneline(node.peers), decision = text.oneline(node.decision), policy = node.policy,
			choices = node.choices, profiles = node.profiles, loc = M.loc(node) })
	end
	table.sort(model.errata, function(a, b) return a.number < b.number end)
	for _, e in ipairs(model.errata) do
		if e.policy then
			table.insert(model.policies, { name = e.policy, choices = e.choices, default = e.choices[1],
				profiles = e.profiles, erratum = e, doc = e.title, loc = e.loc })
		end
	end
	M.by_name(model.policies)
end

local function sent(node)
	return { feature = node.feature or false, in_request = node.in_request or false, in_reply = node.in_reply or false,
		 drop = node.drop or 0 }
end

-- What a capability's value is as a limit.
local function as_limit(cap, value)
	return cap.as == "lowest_bit" and value & -value or value
end

local function limit_range(cap)
	if not cap.as then
		return cap.min, cap.ours.max
	end
	local most = 1
	while most <= cap.ours.max // 2 do
		most = most * 2
	end
	return as_limit(cap, cap.multiple_of or 1), most
end

-- A limit is set by one capability, and what that can be fits into it.
local function sets(node, cap, model)
	local limit = M.named(model.limits, "limit", node, "limit")
	local where = at(node, "limit")
	cap.limit = limit
	if limit.set_by then
		fault(where, "%s: limit '%s' is set by capability '%s'", describe(node), limit.name, limit.set_by.name)
	elseif (limit.type == "bool") ~= (cap.type == "bool") then
		fault(where, "%s: limit '%s' is a %s", describe(node), limit.name, limit.type)
	elseif limit.default ~= (cap.type == "bool" and cap.default or as_limit(cap, cap.default)) then
		fault(where, "%s: limit '%s' has another default", describe(node), limit.name)
	end
	local least, most = limit_range(cap)
	if cap.type ~= "bool" and (least < limit.min or most > limit.max) then
		fault(where, "%s: its values are not all within min to max of limit '%s'", describe(node), limit.name)
	end
	limit.set_by = cap
end

local function caps(spec, model)
	for _, object in ipairs(spec.object) do
		local all = entry(object, { feature = true, in_request = false, in_reply = false, drop = 0 })
		for _, cap in ipairs(object.items) do
			all.feature = all.feature and cap.feature or false
			all.in_request, all.in_reply = all.in_request or cap.in_request, all.in_reply or cap.in_reply
		end
		table.insert(model.cap_objects, all)
	end
	M.by_name(model.cap_objects)
	-- capabilities were noted in file order; those of an object before the object itself
	for _, node in ipairs(spec.capability) do
		local cap = entry(node, sent(node))
		for _, key in ipairs { "field", "type", "default", "min", "max", "multiple_of", "combine", "as" } do
			cap[key] = node[key]
		end
		cap.object, cap.signed = node.object or "", node.signed or false
		cap.path = (node.object and node.object .. "." or "") .. node.name
		local ours = node.ours or {}
		cap.ours = { value = ours.value, min = ours.min or cap.min, max = ours.max or cap.max }
		cap.kept = node.kept or false
		if node.limit then
			sets(node, cap, model)
		end
		model.caps[#model.caps + 1], model.caps[cap.field] = cap, cap
	end
end

function M.build(spec, model)
	for _, chapter in ipairs { revisions, enums, flags, limits, errata, caps } do
		chapter(spec, model)
	end
end

return M
