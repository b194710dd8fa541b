-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- vfio-user.json: the model, for generators in other languages.  codegen/MODEL.md says what it means.

local E = require "expr"
local J = require "json"
local tails = require "tail"
local text = require "text"
local words = require "words"

local object, tree = J.object, J.tree

-- What everything with a name begins with; more pairs go behind it, the prose last.
local function entry(e, more, parent)
	local out = object { { "name", e.name } }
	table.move(more, 1, #more, 2, out)
	out[#out + 1] = { "since", e.since and e.since ~= (parent and parent.since) and e.since or nil }
	out[#out + 1] = { "status", e.status and e.status ~= "stable" and e.status or nil }
	out[#out + 1] = { "requires", e.requires }
	out[#out + 1] = { "doc", e.doc }
	out[#out + 1] = { "spec", e.loc }
	return out
end

-- nil instead of false, so that the key is left out
local function set(v)
	return v or nil
end

-- What a rule's fault says; its offset is one in the part, or an expression of one in the payload.
local function rule(r)
	return object { { "rule", r.name }, { "when", tree(r.when) }, { "under", tree(r.under) }, { "broken", tree(r.broken) },
			{ "field", r.who }, { "at", tree(r.at) }, { "value", tree(r.value) }, { "errno", r.errno },
			{ "text", r.said }, { "spec", r.loc } }
end

local function rules(list)
	return #list > 0 and text.map(list, rule) or nil
end

local function field(f)
	return entry(f, { { "type", f.type }, { "offset", f.offset }, { "flags", f.flags and f.flags.name },
			  { "enum", f.enum and f.enum.name }, { "values", f.numbers }, { "show", f.show },
			  { "argsz", set(f.measures) } })
end

local function item(i)
	return entry(i, { { "value", i.value }, { "struct", i.struct.name }, { "version", i.version },
			  { "condition", tree(i.condition) }, { "optional", set(i.optional) }, { "min_stride", i.min_stride },
			  { "excludes", i.excludes and #i.excludes > 0 and i.excludes or nil }, { "bit", i.seen },
			  { "rules", rules(i.rules) } })
end

local function tail(t)
	local out = { { "kind", t.kind }, { "max", J.bound(t.max) }, { "whole", tree(t.whole) }, { "when", tree(t.when) } }
	out[#out + 1] = { "variables", t.locals and object(text.map(t.locals, function(l) return { l.name, tree(l.value) } end)) }
	for _, pair in ipairs(tails[t.kind].json and tails[t.kind].json(t, J, rule) or {}) do
		out[#out + 1] = pair
	end
	if t.items[1] and t.items[1].name then
		out[#out + 1] = { "items", text.map(t.items, item) }
	end
	return entry(t, out)
end

local function descriptors(f)
	return f and object { { "min", tree(f.min) }, { "max", tree(f.max) }, { "count", tree(f.count) }, { "or_none", set(f.or_none) },
			      { "when", tree(f.when) }, { "extra", f.extra }, { "doc", f.doc } }
end

local function layout(p)
	return { { "size", p.size }, { "fields", text.map(p.fields, field) }, { "before", rules(p.before or {}) },
		 { "rules", rules(p.rules) }, { "after", rules(p.after or {}) }, { "tail", p.tail and tail(p.tail) } }
end

local function alternative(a)
	local out = layout(a)
	table.insert(out, 1, { "condition", tree(a.condition) })
	return entry(a, out)
end

local function side(p)
	local out = object(layout(p))
	out[#out + 1] = { "alternatives", #p.alts > 0 and text.map(p.alts, alternative) or nil }
	out[#out + 1] = { "longer", J.bound(p.longer) }
	out[#out + 1] = { "descriptors", descriptors(p.fds) }
	return out
end

local function message(m)
	local effect = m.effect and object { { "field", m.effect.field.name }, { "mask", m.effect.mask }, { "value", m.effect.value },
						{ "text", m.effect.text } }
	return entry(m, { { "id", m.id }, { "from", m.from }, { "post", set(m.post) }, { "basic", set(m.basic) },
			  { "fence", set(m.fence) }, { "gate", m.gate }, { "effect", effect }, { "keeps", m.keeps },
			  { "states", #m.states > 0 and J.names(m.states) or nil },
			  { "errors", object(text.map(m.errors, function(e) return { e.name, e.doc } end)) },
			  { "request", side(m.request) }, { "reply", side(m.reply) } })
end

local function structure(s)
	local out = layout(s)
	table.insert(out, 1, { "inside", s.inside })
	table.insert(out, 3, { "fits", J.says("fits", ("is at least %d bytes"):format(s.size)) })
	return entry(s, out)
end

local function flag_set(s)
	return entry(s, { { "width", s.width }, { "members", text.map(s.members, function(m)
		return entry(m, { { "shift", m.shift }, { "mask", m.mask }, { "enum", m.enum and m.enum.name } }, s)
	end) } })
end

local function enum(e)
	return entry(e, { { "values", text.map(e.values, function(v) return entry(v, { { "value", v.value } }, e) end) } })
end

local function limit(l)
	return entry(l, { { "type", l.type }, { "default", l.default }, { "min", l.type ~= "bool" and l.min or nil },
			  { "max", l.type ~= "bool" and l.max or nil }, { "power_of_two", set(l.power_of_two) }, { "counts", l.counts },
			  { "test", l.test } })
end

local function sent(c)
	return { "feature", c.feature }, { "in_request", c.in_request }, { "in_reply", c.in_reply }, { "drop", c.drop }
end

local function ours(c)
	local number = c.type ~= "bool" or nil
	return object { { "value", c.ours.value }, { "min", number and c.ours.min }, { "max", number and c.ours.max } }
end

-- -1 says that none is meant; false is one
local function default(c)
	if c.default ~= -1 then
		return c.default
	end
end

-- The words for a value that is not of its type, and for one that is, but no multiple.
local function key_rules(c)
	local kind = c.type == "bool" and "is true or false" or ("is a whole number from %d to %d"):format(c.min or 0, c.max or 0)
	return { J.says("type", kind),
		 c.multiple_of and J.says("multiple_of", ("is a multiple of %d"):format(c.multiple_of)) or nil }
end

local function capability(c)
	return entry(c, { { "object", c.object ~= "" and c.object or nil }, { "type", c.type },
			  { "default", default(c) }, { "min", c.min }, { "max", c.max },
			  { "multiple_of", c.multiple_of }, { "rules", key_rules(c) }, { "combine", c.combine },
			  { "limit", c.limit and c.limit.name }, { "as", c.as }, { "ours", ours(c) }, { "kept", set(c.kept) }, sent(c) })
end

local function policy(p, profiles)
	return object { { "name", p.name }, { "choices", p.choices }, { "default", p.default },
			{ "profiles", object(text.map(profiles, function(n) return { n, p.profiles[n] } end)) },
			{ "erratum", p.erratum.number } }
end

local function erratum(e)
	return object { { "number", e.number }, { "subject", e.subject }, { "messages", e.messages }, { "title", e.title }, { "text", e.text }, { "peers", e.peers },
			{ "decision", e.decision }, { "policy", e.policy }, { "spec", e.loc } }
end

-- Which fields of the header tell what, and what the bits of its flags make of a message.
local function header(model)
	local out, fields = object(layout(model.header)), {}
	for _, f in ipairs(model.header.fields) do
		fields[f.name] = f
	end
	for _, role in ipairs { { "id", "id" }, { "command", "command" }, { "length", "size" }, { "error", "error" } } do
		out[#out + 1] = { role[1], fields[role[2]] and role[2] }
	end
	local bits = fields.flags and fields.flags.flags
	local function has(name, value)
		local m = bits and bits.members[name]
		local number = m and m.enum and m.enum.values[value].value or 1
		return m and tree { op = "eq", a = { op = "band", a = E.field(fields.flags, "in"), b = E.num(m.mask) }, b = E.num(number << m.shift) }
	end
	out[#out + 1] = { "is", bits and object { { "reply", has("type", "reply") }, { "no_reply", has "no_reply" }, { "failed", has "error" } } }
	out[#out + 1] = { "doc", model.header.doc }
	return out
end

return function(model)
	return J.encode(object {
		{ "format", 1 }, { "doc", model.doc },
		{ "revisions", object(text.map(model.revisions, function(r) return { r.name, r.doc } end)) },
		{ "versions", object(text.map(model.revisions, function(r) return { r.name, r.version } end)) },
		{ "limits", text.map(model.limits, limit) },
		{ "policies", text.map(model.policies, function(p) return policy(p, model.profiles) end) },
		{ "flags", text.map(model.flags, flag_set) }, { "enums", text.map(model.enums, enum) },
		{ "capabilities", text.map(model.caps, capability) },
		{ "objects", text.map(model.cap_objects, function(o) return entry(o, {}) end) },
		{ "errnos", object(text.map(words.errnos, function(e) return { e.name, e.number } end)) },
		{ "header", header(model) }, { "structs", text.map(model.structs, structure) },
		{ "messages", text.map(model.messages, message) }, { "errata", text.map(model.errata, erratum) },
	}) .. "\n"
end
