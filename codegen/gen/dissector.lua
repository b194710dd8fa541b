-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- vfio-user.lua: the dissector for Wireshark.  Here the tables are made: its fields, the layouts and rules of
-- parts.  dissect.lua is what reads them, the same for every spec.

local E = require "expr"
local L = require "luafile"
local dissect = require "dissect"
local text = require "text"

local fn, record = L.fn, L.record

-- Fields of Wireshark -------------------------------------------------------------------------------

local function values_of(enum)
	return enum and record(text.map(enum.values, function(v) return { v.value, v.name } end))
end

-- The list of all, each key once: what Wireshark registers.
local Fields = {}
Fields.__index = Fields

function Fields:add(key, type, name, doc, more)
	if not self.seen[key] then
		self.seen[key] = true
		local out = record { { "key", key }, { "type", type }, { "name", name }, { "doc", doc } }
		table.move(more or {}, 1, more and #more or 0, #out + 1, out)
		self.list[#self.list + 1] = out
	end
end

-- The bits of a field that mean something of their own.
function Fields:members(f, key)
	return text.map(f.flags and f.flags.members or {}, function(m)
		local type = m.wide and f.type or "bool"
		self:add(key .. "." .. m.name, type, m.name, m.doc, { { "mask", m.mask }, { "bits", f.size * 8 }, { "values", m.wide and values_of(m.enum) or nil } })
		return key .. "." .. m.name
	end)
end

function Fields:field(f, key)
	self:add(key, f.type, f.name, f.doc, { { "hex", (f.flags or f.show == "hex") and true or nil }, { "values", values_of(f.enum) } })
	local members = self:members(f, key)
	return record { { "name", f.name }, { "key", key }, { "offset", f.offset }, { "size", f.size },
			{ "members", #members > 0 and members or nil } }
end

-- Rules ---------------------------------------------------------------------------------------------

-- A number counts from the begin of the part, a function gives an offset in the payload.
local function rule(r)
	return record { { "who", r.who }, { "text", r.said }, { "at", r.at.op == "num" and r.at.v or fn(r.at) }, { "value", fn(r.value) },
			{ "broken", fn(E.all(r.under, r.when, r.broken)) } }
end

local function rules(list)
	return list and #list > 0 and text.map(list, rule) or nil
end

-- What follows the fields ---------------------------------------------------------------------------

local function item(i)
	return record { { "name", i.name }, { "struct", i.struct.name }, { "condition", fn(i.condition) }, { "bit", L.number(i.seen) },
			{ "rules", rules(i.rules) } }
end

-- What each kind has besides; dissect.lua has a function for it.
local kinds = {
	bytes = function(t) return { { "size", fn(t.size) } } end,
	json = function(t) return { { "schema", t.schema }, { "depth", t.depth } } end,
	array = function(t)
		return { { "of", not t.scalar and t.element.name or nil }, { "entry_size", t.element_size },
			 { "disjoint", t.disjoint and { t.disjoint[1].name, t.disjoint[2].name } } }
	end,
	strided = function(t)
		return { { "min_stride", t.min_stride }, { "by_offset", t.by.offset }, { "by_size", t.by.size },
			 { "items", text.map(t.by_length, item) } }
	end,
	chain = function(t)
		return { { "present", fn(E.all(t.when, t.whole and E.ge(E.len, t.whole))) }, { "at", fn(t.at) }, { "head", t.head.name },
			 { "next", t.next.name }, { "each", rule(t.rule) }, { "items", text.map(t.items, item) } }
	end,
	union = function(t) return { { "items", text.map(t.items, item) } } end,
}

function Fields:tail(t, key)
	local type = t.kind == "json" and "string" or t.scalar or "bytes"
	self:add(key, type, t.name, t.doc)
	local out = record { { "kind", t.kind }, { "name", t.name }, { "key", key }, { "when", fn(t.when) },
		{ "variables", t.locals and text.map(t.locals, function(l) return record { { "name", l.name }, { "value", fn(l.value) } } end) } }
	if t.kind == "chain" then
		self:add(t.head.name .. ".unknown", "bytes", "unknown", "the bytes of a link that is unknown")
	end
	for _, pair in ipairs(kinds[t.kind](t)) do
		out[#out + 1] = pair
	end
	return out
end

-- Parts ---------------------------------------------------------------------------------------------

-- prefix: of its keys; home(name): where this key differs from that.
function Fields:part(part, prefix, home)
	home = home or function() return prefix end
	local function key(name)
		return home(name) == "" and name or home(name) .. "." .. name
	end
	return record { { "name", part.name or prefix }, { "prefix", prefix }, { "size", part.size },
		{ "fields", text.map(part.fields, function(f) return self:field(f, key(f.name)) end) },
		{ "before", rules(part.before) }, { "rules", rules(part.rules) }, { "after", rules(part.after) },
		{ "tail", part.tail and self:tail(part.tail, key(part.tail.name)) } }
end

-- What a name means, for one that means something else in the reply.
local function meanings(part)
	local out = {}
	for _, f in ipairs(part.fields) do
		out[f.name] = ("%s %s %s"):format(f.type, f.flags and f.flags.name, f.enum and f.enum.name)
	end
	if part.tail then
		out[part.tail.name] = part.tail.scalar or tostring(part.tail.kind == "json")
	end
	return out
end

function Fields:side(m, key)
	local part, request, reply = m[key], meanings(m.request), meanings(m.reply)
	local function home(name)
		local differs = key == "reply" and request[name] and request[name] ~= reply[name]
		return m.name .. (differs and ".reply" or "")
	end
	local out = self:part(part, m.name, home)
	self:add(m.name .. ".rest", "bytes", "rest", "bytes that no layout describes")
	local alts = text.map(part.alts, function(alt)
		local other = self:part(alt, m.name .. "." .. alt.name)
		other[#other + 1] = { "condition", fn(alt.condition) }
		self:add(m.name .. "." .. alt.name .. ".rest", "bytes", "rest", "bytes that no layout describes")
		return other
	end)
	out[#out + 1] = { "alternatives", #alts > 0 and alts or nil }
	return out
end

function Fields:struct(s)
	self:add(s.name, "none", s.name, s.doc)
	return self:part(s, s.name)
end

-- VERSION -------------------------------------------------------------------------------------------

function Fields:capability(c)
	local key = "capabilities." .. c.path
	self:add(key, c.type == "bool" and "bool" or "u64", c.path, c.doc)
	local number = c.type ~= "bool"
	return record { { "key", key }, { "path", c.path }, { "object", c.object ~= "" and c.object or nil }, { "name", c.name },
		{ "type", c.type }, { "default", number and not c.signed and L.number(c.default) or not number and c.default or nil },
		{ "min", number and L.number(c.min) or nil }, { "max", number and L.number(c.max) or nil },
		{ "multiple_of", L.number(c.multiple_of) }, { "combine", c.combine }, { "limit", c.limit and c.limit.name },
		{ "lowest_bit", c.as == "lowest_bit" or nil }, { "feature", c.feature or nil }, { "in_request", c.in_request or nil },
		{ "in_reply", c.in_reply or nil } }
end

-- Everything ----------------------------------------------------------------------------------------

local function profiles(model)
	local names = { "default", table.unpack(model.profiles) }
	return text.map(names, function(name)
		return record { { "name", name }, { "policy", record(text.map(model.policies, function(p)
			return { p.name, name == "default" and p.default or p.profiles[name] }
		end)) } }
	end)
end

local function messages(model, fields)
	return record(text.map(model.messages, function(m)
		return { m.id, record { { "name", m.name }, { "from", m.from }, { "request", fields:side(m, "request") },
					{ "reply", fields:side(m, "reply") } } }
	end))
end

return function(model)
	local fields = setmetatable({ list = {}, seen = {} }, Fields)
	local header = fields:part(model.header, "")
	local structs = record(text.map(model.structs, function(s) return { s.name, fields:struct(s) } end))
	local sides = messages(model, fields)
	fields:add("unknown.rest", "bytes", "rest", "bytes that no layout describes")
	local tables = record {
		{ "header", header }, { "structs", structs }, { "messages", sides },
		{ "capabilities", text.map(model.caps, function(c) return fields:capability(c) end) },
		{ "limits", record(text.map(model.limits, function(l)
			return { l.name, l.type == "bool" and (l.default or false) or L.number(l.default) }
		end)) },
		-- where VERSION was not seen: whatever must be agreed was, and numbers are those of who says nothing
		{ "unseen", record(text.map(model.limits, function(l)
			return { l.name, l.type == "bool" or L.number(l == model.most.minor and l.max or l.default) }
		end)) },
		{ "minor", model.most.minor and model.most.minor.name }, { "profiles", profiles(model) }, { "fields", fields.list },
	}
	return text.fill(dissect, { tables = L.encode(tables) })
end
