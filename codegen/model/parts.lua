-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Parts: the fixed fields with their offsets, rules, and what follows them.  The header, a nested
-- structure, either side of a message, and another layout (alt) are all parts.

local E = require "expr"
local X = require "model.expressions"
local cname = require "cname"
local load = require "load"
local names = require "model.names"
local rules = require "rules"
local rules_of = require "model.rules"
local tails = require "tail"

local fault, at, describe = load.fault, load.at, load.describe
local M = {}

-- Fields ------------------------------------------------------------------------------------------

-- What a bound is, if that is known without the message.
local function static(v, size)
	return math.type(v) == "integer" and v or E.is_raw(v) and E.data(v).op == "sizeof_payload" and size or nil
end

local function field(model, node, offset)
	local size = cname.size[node.kind]
	if offset % size ~= 0 then
		fault(node, "%s: offset %d is not a multiple of %d; state the padding", describe(node), offset, size)
	end
	local f = names.entry(node, { type = node.kind, size = size, offset = offset, show = node.show, numbers = node.one_of, lo = 0.0,
				      hi = E.unsigned(E.type_max(size)), node = node })
	-- argsz: it says how long the payload is, or may be
	f.measures = E.is_raw(node.min) and E.data(node.min).op == "sizeof_payload"
	f.flags, f.enum = names.named(model.flags, "flag set", node, "flags"), names.named(model.enums, "enum", node, "enum")
	if f.flags and f.flags.width == 64 and size < 8 then
		fault(at(node, "flags"), "%s: flag set '%s' needs a u64", describe(node), node.flags)
	end
	return f
end

-- Lower and upper bounds that hold without condition.
local function bound(model, f, payload_size)
	local node, under = f.node, f.node.under or {}
	local function given(key)
		local v = not under[key] and static(node[key], payload_size)
		return v and E.unsigned(v)
	end
	local may_lack = f.requires or ((model.revisions[f.since] or {}).minor or 0) > 0
	f.lo = not may_lack and (given "equals" or given "min" or node.power_of_two and not under.power_of_two and 1.0) or f.lo
	f.hi = given "equals" or given "max" or f.hi
	local max = E.is_raw(node.max) and E.data(node.max)
	local limit = max and not under.max and max.op == "limit" and model.limits[max.name]
	f.hi = limit and math.min(f.hi, E.unsigned(limit.max)) or f.hi
end

function M.layout(model, items)
	local fields, offset = {}, 0
	for _, item in ipairs(items) do
		if cname.size[item.kind] then
			local f = field(model, item, offset)
			fields[#fields + 1], fields[f.name] = f, f
			offset = offset + f.size
		end
	end
	for _, f in ipairs(fields) do
		bound(model, f, offset)
	end
	return fields, offset
end

-- i386 aligns u64 to 4: only a size that is a multiple of 8 is the same everywhere.
local function check_padding(node, part)
	for _, f in ipairs(part.fields) do
		if f.size == 8 and part.size % 8 ~= 0 then
			fault(node, "%s: %d bytes with a u64 are no multiple of 8; state the padding", describe(node), part.size)
		end
	end
end

-- Variable parts ----------------------------------------------------------------------------------

-- How long what follows the fields can get: the number of bytes, or the limit that counts them.
local function room(model, node, key, known)
	local max, most = node[key] or known, model.most.bytes
	if math.type(max) == "integer" then
		return max
	elseif not (E.is_raw(max) and most and E.data(max).op == "limit" and E.data(max).name == most.name) then
		fault(at(node, key), "%s: %s must be a number of bytes%s%s", describe(node), key, most and " or limit." .. most.name or "",
		      node.kind == "array" and ", unless count has a max" or "")
	end
	return most
end

-- The item of variable length, the last but for alternatives.
local function tail_item(node)
	local last
	for _, item in ipairs(node.items) do
		if item.kind ~= "alt" and last then
			fault(item, cname.size[item.kind] and "%s: stands after '%s', which has no fixed size" or
			      "%s: '%s' already takes the rest", describe(item), last.name)
		elseif item.kind ~= "alt" and not cname.size[item.kind] then
			last = item
		end
	end
	return last
end

-- What the length must be.  A payload may be longer than its tail says (`longer`).
local function length_rule(part)
	local most = part.tail and type(part.tail.max) == "number" and part.tail.max or part.room > 0 and part.room or nil
	if part.bulk and (not part.tail or part.tail.kind ~= "bytes" or part.longer) then
		most = part.bulk
	end
	return rules.make(rules.length, { who = "payload", label = "the payload", size = part.size, value = E.len, loc = part.loc,
		exact = not part.tail and not part.longer,
		entries = part.tail and part.tail.most == most and part.tail.words or "",
		room = type(most) == "table" and E.limit(most) or most and E.num(most) })
end

local function longest(model, node, item, part)
	local function add(v)
		part.bulk = type(v) == "table" and v or part.bulk
		part.room = type(v) == "number" and math.max(part.room, v) or part.room
		return v
	end
	if item then
		local max = add(room(model, item, "max", part.tail.most))
		part.tail.max = max
	end
	if node.longer then
		part.longer = room(model, node, "longer")
		add(type(part.longer) == "number" and part.longer - part.size or part.longer)
	end
end

local function alternatives(node, part, scope)
	local sizes = { [part.size] = true }
	for _, item in ipairs(node.items) do
		if item.kind == "alt" then
			local alt = tails.alt.build(item, scope, M.layout)
			if sizes[alt.size] then
				fault(at(item, "size"), "%s: another layout has %d bytes too", describe(item), alt.size)
			end
			sizes[alt.size] = true
			part.room = math.max(part.room, alt.size - part.size)
			part.alts[#part.alts + 1] = alt
		end
	end
end

-- node: header, part or struct; the scope knows the request, and the message around a struct.
function M.build(node, scope, checks)
	local model = scope.model
	local part = { loc = names.loc(node), alts = {}, room = 0, name = node.name, before = {}, after = {} }
	part.fields, part.size = M.layout(model, node.items)
	scope.fields, scope.size = part.fields, part.size
	for _, f in ipairs(part.fields) do
		part.argsz = part.argsz or f.measures and f
	end
	local item = tail_item(node)
	if item then
		part.tail = tails.build(item, scope, part, node)
	end
	if node.kind == "part" then
		longest(model, node, item, part)
	end
	part.rules = rules_of.build(part.fields, checks or node.check, scope)
	if item then
		part.after = tails.rules(part)
	end
	if node.kind == "part" then
		alternatives(node, part, scope)
		part.before[1] = length_rule(part)
	end
	check_padding(node, part)
	return part
end

-- The side of a message that has nothing.
function M.empty(name, loc)
	local part = { name = name, fields = {}, size = 0, rules = {}, alts = {}, room = 0, empty = true, loc = loc, after = {} }
	part.before = { length_rule(part) }
	return part
end

return M
