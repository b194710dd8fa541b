-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Payloads in the making.  A scene is all that a check looks at: a tree of drafts (one for the payload,
-- one for each structure in it), descriptors, limits, policy, request.  Values can be pinned; the rest
-- is mended until every rule holds.

local E = require "expr"
local tails = require "tail"
local verdict = require "verdict"

local M = {}

-- What bytes hold that no field covers: the letters up to W, over and over.
local letters = "ABCDEFGHIJKLMNOPQRSTUVW"

function M.filled(from, to)
	while #letters < to do
		letters = letters .. letters
	end
	return letters:sub(from + 1, to)
end

-- Drafts ------------------------------------------------------------------------------------------

local Draft = {}
Draft.__index = Draft

local function first_value(f, i)
	if f.flags then
		return 0
	elseif f.enum then
		return f.enum.values[1].value
	end
	return f.size == 8 and 0x10000 * i or f.size == 4 and 0x100 * i or i
end

local function new(scene, part)
	local d = setmetatable({ scene = scene, part = part, v = {}, pins = {}, kids = {}, at = 0 }, Draft)
	for i, f in ipairs(part.fields) do
		d.v[f.name] = first_value(f, i)
	end
	local t = part.tail or {}
	local counts = t.size or t.count
	if counts and counts.op == "field" then
		d.v[counts.field.name] = t.size and 5 or 0
	end
	return d
end

function Draft.get(d, f)
	return d.v[f.name]
end

-- The bits of a field that are pinned.
function Draft.pinned(d, f)
	return d.pins[f.name] or 0
end

-- Sets what is not pinned.
function Draft.set(d, f, value)
	local pinned = d:pinned(f)
	d.v[f.name] = (d.v[f.name] & pinned | value & ~pinned) & E.type_max(f.size)
end

function Draft.pin(d, f, value, bits)
	bits = bits or E.type_max(f.size)
	d:set(f, d.v[f.name] & ~bits | value & bits)
	d.pins[f.name] = d:pinned(f) | bits
end

-- The field that lies where f lies in another layout.
function Draft.same_place(d, f)
	for _, other in ipairs(d.part.fields) do
		if other.offset == f.offset and other.size == f.size then
			return other
		end
	end
end

function Draft.pin_at(d, f, value)
	d:pin(d:same_place(f), value)
end

function Draft.want_fds(d, n)
	d.scene.nfds = d.scene.nfds_pinned and d.scene.nfds or n
end

-- Calls visit(draft) for the draft and all in it.
function Draft.walk(d, visit)
	visit(d)
	for _, kid in ipairs(d.kids) do
		kid:walk(visit)
	end
end

local function copy(d, scene)
	local c = setmetatable({ scene = scene, part = d.part, v = {}, pins = {}, kids = {}, at = d.at, stride = d.stride }, Draft)
	for _, f in ipairs(d.part.fields) do
		c.v[f.name], c.pins[f.name] = d.v[f.name], d.pins[f.name]
	end
	for i, kid in ipairs(d.kids) do
		c.kids[i] = copy(kid, scene)
	end
	return c
end

-- Scenes ------------------------------------------------------------------------------------------

local Scene = {}
Scene.__index = Scene

-- root: another layout of the part than the usual one
function M.scene(model, part, root)
	local s = setmetatable({ part = part, nfds = 0, usual = {}, limits = {}, policy = {}, text = "{}\0" }, Scene)
	for _, l in ipairs(model.limits) do
		s.usual[l.name] = l.test or l.default
	end
	setmetatable(s.limits, { __index = s.usual })
	s.most_fds = model.most.descriptors and s.limits[model.most.descriptors.name] or 0
	s.most_bytes = model.most.bytes and s.limits[model.most.bytes.name] or 4096
	s.root = new(s, root or part)
	for _, policy in ipairs(model.policies) do
		s.policy[policy.name] = policy.default
	end
	if part.key == "reply" then
		s.request_scene = M.scene(model, part.message.request)
		s.request_scene:solve()
		s.request_draft = s.request_scene.root
		s.request = s.request_draft.v
	end
	return s
end

-- A copy to be changed; the request stays what it is.
function Scene.copy(s)
	local c = setmetatable({}, Scene)
	for key, v in pairs(s) do
		c[key] = v
	end
	c.root, c.policy, c.request_draft, c.request_scene, c.bytes = copy(s.root, c), {}, nil, nil, nil
	c.limits = setmetatable({}, { __index = s.usual })
	for name, v in pairs(s.limits) do
		c.limits[name] = v
	end
	for name, choice in pairs(s.policy) do
		c.policy[name] = choice
	end
	return c
end

-- Sets a limit for good; false if it has another value already, but the usual one.
function Scene.agree(s, name, v)
	if rawget(s.limits, name) == nil then
		s.limits[name] = v
	end
	return s.limits[name] == v
end

-- n structures; those with entries of their own have two.
function Scene.entries(s, struct, n)
	local out = {}
	for i = 1, n do
		local d, t = new(s, struct), struct.tail
		out[i] = d
		if t and t.element then
			d.kids = s:entries(t.element, 2)
			for j, kid in ipairs(t.disjoint and d.kids or {}) do
				kid:pin(t.disjoint[1], 64 * j)
				kid:pin(t.disjoint[2], 16 * j)
			end
		end
	end
	return out
end

function Scene.context(s, d)
	return verdict.context { ["in"] = d.v, outer = s.root.v, req = s.request or {}, nfds = s.nfds, limits = s.limits,
				 policy = s.policy, bytes = s.bytes or "", start = d.at + d.part.size, base = d.at, scene = s }
end

-- Rendering ---------------------------------------------------------------------------------------

local function set_if_field(d, e, value)
	if e and e.op == "field" and e.of == "in" then
		d:set(e.field, value)
	end
end

-- Where the draft and each kid in it lie; returns the end.  Counts, links and lengths follow the kids.
local function place(s, d, at)
	local t = d.part.tail or {}
	d.at = at
	if #d.kids > 0 then
		set_if_field(d, t.count, #d.kids)
	end
	local last = at + d.part.size
	for i, kid in ipairs(d.kids) do
		local from = last
		last = place(s, kid, from)
		if t.next then
			kid:set(kid:same_place(t.next), d.kids[i + 1] and last or 0)
		end
		last = d.stride and from + d.stride or last
	end
	local loose = t.kind and tails[t.kind].loose
	last = last + (loose and loose(t, s:context(d), d) or 0)
	set_if_field(d, t.whole, last)
	if #d.kids > 0 then
		set_if_field(d, t.at, d.part.size)
	end
	return last
end

function M.pack(offset, size, value, bytes)
	-- a pattern: string.pack takes no negative numbers for unsigned fields
	return bytes:sub(1, offset) .. string.pack("<i8", value):sub(1, size) .. bytes:sub(offset + size + 1)
end

-- Little-endian bytes of the scene, kept in s.bytes.
function Scene.render(s)
	local bytes = M.filled(0, place(s, s.root, 0))
	local t = s.root.part.tail
	if t and t.kind == "json" then
		bytes = bytes:sub(1, s.root.part.size) .. s.text
	end
	s.root:walk(function(d)
		for _, f in ipairs(d.part.fields) do
			bytes = M.pack(d.at + f.offset, f.size, d.v[f.name], bytes)
		end
	end)
	s.bytes = bytes
	return bytes
end

function Scene.case(s, bytes)
	return { part = s.part, bytes = bytes or s.bytes, nfds = s.nfds, limits = s.limits, policy = s.policy,
		 request = s.request }
end

-- Conditions --------------------------------------------------------------------------------------

local function owner(s, d, e)
	return e.of == "in" and d or e.of == "outer" and s.root or s.request_draft
end

local compare = {
	eq = function(a, b) return a == b end, ne = function(a, b) return a ~= b end,
	lt = math.ult, gt = function(a, b) return math.ult(b, a) end,
}

-- Pins the left side, or the right one if that is the field: the first value that will do of those the
-- field may have, or of those next to the other side.
local function force_compare(s, d, e, want)
	if e.a.op == "num" or e.a.op == "limit" then
		e = { op = ({ lt = "gt", gt = "lt" })[e.op] or e.op, a = e.b, b = e.a }
	end
	local field, bits, shift, value = e.a, nil, 0, s:context(d):value(e.b)
	if field.op == "shr" then
		field, shift = field.a, field.b.v
	end
	if field.op == "band" then
		field, bits = field.a, field.b.v
	end
	local target = owner(s, d, field)
	local numbers = field.field and field.field.numbers or { value, bits and bits >> shift or value + 1, value + 1, value - 1 }
	for _, v in ipairs(numbers) do
		if compare[e.op](v, value) == want then
			if field.op == "nfds" then
				s.nfds, s.nfds_pinned = v, true
			elseif field.op == "field" and target then
				target:pin(field.field, v << shift, bits)
			else
				return false
			end
			return true
		end
	end
	return false
end

-- Pins values so that the condition is `want`; false if it cannot.
function Scene.force(s, d, e, want)
	local op = e.op
	if op == "andalso" or op == "orelse" then
		if want == (op == "andalso") then
			return s:force(d, e.a, want) and s:force(d, e.b, want)
		end
		return s:force(d, e.a, want) or s:force(d, e.b, want)
	elseif op == "not" then
		return s:force(d, e.a, not want)
	elseif op == "limit" then
		return s:agree(e.limit.name, want)
	elseif op == "ge" and e.a.op == "limit" then
		return s:agree(e.a.limit.name, e.b.v - (want and 0 or 1))
	elseif compare[op] then
		return force_compare(s, d, e, want)
	elseif op == "ge" and e.a.op == "len" and e.b.op == "field" then
		if not want then
			owner(s, d, e.b):pin(e.b.field, 0x7000)
		end
		return true
	end
	return false
end

-- Mending -----------------------------------------------------------------------------------------

-- The draft whose rule this is.
local function draft_of(s, found)
	local owner_of_rule
	s.root:walk(function(d)
		for _, list in ipairs(d.at == found.at and { d.part.before or {}, d.part.rules, d.part.after or {} } or {}) do
			for _, r in ipairs(list) do
				owner_of_rule = r == found.rule and d or owner_of_rule
			end
		end
		owner_of_rule = d.part.tail and d.part.tail.rule == found.rule and d or owner_of_rule
	end)
	return owner_of_rule
end

-- Mends until the verdict is nil or about `target`; returns it.
function Scene.solve(s, target)
	local found
	for _ = 1, 40 do
		s:render()
		found = verdict.of(s:case())
		local d = found and found.rule.mend and draft_of(s, found)
		if not found or found.rule == target or not d then
			return found
		end
		found.rule.mend(found.rule, d, function(e) return s:context(d):value(e) end)
	end
	return found
end

-- Bounds ------------------------------------------------------------------------------------------

-- nil if the value does not exist in the field's type
local function in_range(e, c, f)
	local v = c:value(e)
	if e.op == "add" and math.ult(v, c:value(e.a)) or e.op == "sub" and math.ult(c:value(e.a), v) or
	   v & ~E.type_max(f.size) ~= 0 then
		return nil
	end
	return v
end

-- Puts a rule's bound into the draft; false if it has no such value.
function Draft.apply(d, bound)
	local s = d.scene
	for name, v in pairs(bound.limits or {}) do
		s.limits[name] = v
	end
	for _, f in ipairs(d.part.fields) do
		local e = bound.set[f.name]
		if e then
			local v = in_range(e, s:context(d), f)
			if not v then
				return false
			end
			d.pins[f.name] = nil
			d:pin(f, v)
			s.nfds_pinned = s.nfds_pinned or e.op == "nfds"
		end
		local clear, raise = bound.clear and bound.clear[f.name], bound.raise and bound.raise[f.name] or 0
		if clear then
			d.pins[f.name] = d:pinned(f) & ~clear
			d:pin(f, raise, clear)
		end
	end
	if bound.nfds then
		s.nfds, s.nfds_pinned = bound.nfds, true
	end
	return true
end

return M
