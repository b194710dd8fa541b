-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Payloads in the making.  A scene is all that a check looks at: a tree of drafts (one for the payload,
-- one for each structure in it), descriptors, limits, policy, request.  Values can be pinned; the rest
-- is mended until every rule holds.

local verdict = require "verdict"

local M = {}
local eval = verdict.eval

-- Limits of the tests.  None is a default, so a check cannot pass by using one.
M.limits = { max_msg_fds = 5, max_data_xfer_size = 1000, max_dma_maps = 9, pgsize = 8192 }

-- What a byte holds that no field covers.
function M.fill(offset)
	return 0x41 + offset % 23
end

-- Drafts ------------------------------------------------------------------------------------------

local function first_value(f, i)
	if f.flags then
		return 0
	elseif f.enum then
		return f.enum.values[1].value
	end
	return f.size == 8 and 0x10000 * i or f.size == 4 and 0x100 * i or i
end

function M.new(part)
	local d = { part = part, v = {}, pins = {}, kids = {}, at = 0 }
	for i, f in ipairs(part.fields) do
		d.v[f.name] = first_value(f, i)
	end
	local t = part.tail or {}
	if t.size and t.size.op == "field" then
		d.v[t.size.field.name] = 5
	elseif t.count and t.count.op == "field" then
		d.v[t.count.field.name] = 0
	end
	return d
end

local function mask(f)
	return f.size == 8 and -1 or (1 << (f.size * 8)) - 1
end

-- Sets what is not pinned.
local function set(d, f, value)
	local pinned = d.pins[f.name] or 0
	d.v[f.name] = (d.v[f.name] & pinned | value & ~pinned) & mask(f)
end

function M.pin(d, f, value, bits)
	bits = bits or mask(f)
	set(d, f, d.v[f.name] & ~bits | value & bits)
	d.pins[f.name] = (d.pins[f.name] or 0) | bits
end

function M.copy(d)
	local c = { part = d.part, v = {}, pins = {}, kids = {}, at = d.at, stride = d.stride }
	for _, f in ipairs(d.part.fields) do
		c.v[f.name], c.pins[f.name] = d.v[f.name], d.pins[f.name]
	end
	for i, kid in ipairs(d.kids) do
		c.kids[i] = M.copy(kid)
	end
	return c
end

function M.copy_scene(s)
	local c = {}
	for _, key in ipairs { "part", "nfds", "nfds_pinned", "limits", "text" } do
		c[key] = s[key]
	end
	c.root, c.policy, c.request = M.copy(s.root), {}, s.request
	for i = 1, #s.policies do
		c.policy[s.policies[i].name] = s.policy[s.policies[i].name]
	end
	c.policies = s.policies
	return c
end

-- Rendering ---------------------------------------------------------------------------------------

local function env(s, d)
	return { ["in"] = d.v, outer = s.root.v, req = s.request or {}, nfds = s.nfds, limits = s.limits,
		 policy = s.policy, bytes = s.bytes or "" }
end
M.env = env

local function at_offset(part, f)
	for _, other in ipairs(part.fields) do
		if other.offset == f.offset and other.size == f.size then
			return other
		end
	end
end
M.at_offset = at_offset

local function set_if_field(d, e, value)
	if e and e.op == "field" and e.of == "in" then
		set(d, e.field, value)
	end
end

-- Bytes behind the kids that no draft describes.
local function loose(s, d)
	local t = d.part.tail
	if t and t.kind == "bytes" and verdict.holds(env(s, d), t.when) then
		local n = eval(t.size, env(s, d))
		return n >= 0 and n <= 2 * s.limits.max_data_xfer_size and n or 5
	elseif t and t.kind == "array" and not t.stride and t.element.scalar then
		local n = eval(t.count, env(s, d))
		return n >= 0 and n <= s.limits.max_data_xfer_size and n * t.element_size or t.element_size
	elseif t and t.kind == "json" then
		return #s.text
	end
	return 0
end

local place

-- Where each kid lies; returns the end.  Counts, links and lengths follow the kids.
local function place_kids(s, d, at)
	local t = d.part.tail
	for i, kid in ipairs(d.kids) do
		if t.kind == "chain" then
			local link = at_offset(kid.part, t.next)
			local last = place(s, kid, at)
			set(kid, link, d.kids[i + 1] and last or 0)
			at = last
		else
			local last = place(s, kid, at)
			at = d.stride and at + d.stride or last
		end
	end
	return at
end

function place(s, d, at)
	local t = d.part.tail
	d.at = at
	if t and t.count and #d.kids > 0 then
		set_if_field(d, t.count, #d.kids)
	end
	local last = place_kids(s, d, at + d.part.size) + loose(s, d)
	if t and t.whole then
		set_if_field(d, t.whole, last)
	end
	if t and t.at and #d.kids > 0 then
		set_if_field(d, t.at, d.part.size)
	end
	return last
end

-- Calls visit(draft) for the draft and all in it.
local function walk(d, visit)
	visit(d)
	for _, kid in ipairs(d.kids) do
		walk(kid, visit)
	end
end
M.walk = walk

function M.pack(offset, size, value, bytes)
	return bytes:sub(1, offset) .. string.pack("<I" .. size, value) .. bytes:sub(offset + size + 1)
end

function M.filled(from, to)
	local out = {}
	for i = from, to - 1 do
		out[#out + 1] = string.char(M.fill(i))
	end
	return table.concat(out)
end

-- Little-endian bytes of the scene, kept in s.bytes.
function M.render(s)
	local len = place(s, s.root, 0)
	local t = s.root.part.tail
	local bytes = M.filled(0, len)
	if t and t.kind == "json" then
		bytes = bytes:sub(1, s.root.part.size) .. s.text
	end
	walk(s.root, function(d)
		for _, f in ipairs(d.part.fields) do
			-- a pattern: string.pack takes no negative numbers for unsigned fields
			local low = string.pack("<i8", d.v[f.name]):sub(1, f.size)
			local at = d.at + f.offset
			bytes = bytes:sub(1, at) .. low .. bytes:sub(at + f.size + 1)
		end
	end)
	s.bytes = bytes
	return bytes
end

function M.case(s, bytes)
	return { part = s.part, bytes = bytes or s.bytes, nfds = s.nfds, limits = s.limits, policy = s.policy,
		 request = s.request }
end

-- Conditions --------------------------------------------------------------------------------------

local force

local function owner(s, d, e)
	return e.of == "in" and d or e.of == "outer" and s.root or s.request_draft
end

local function force_compare(s, d, e, equal)
	if e.a.op == "nfds" then
		s.nfds, s.nfds_pinned = equal and 0 or 1, true
		return true
	end
	local bits, field = nil, e.a
	if e.a.op == "band" then
		bits, field = eval(e.a.b, env(s, d)), e.a.a
	end
	local target = owner(s, d, field)
	if field.op ~= "field" or not target then
		return false
	end
	local value = eval(e.b, env(s, d))
	M.pin(target, field.field, equal and value or bits or value + 1, bits)
	return true
end

-- Pins values so that the condition is `want`.
function force(s, d, e, want)
	local op = e.op
	if op == "andalso" or op == "orelse" then
		if want == (op == "andalso") then
			return force(s, d, e.a, want) and force(s, d, e.b, want)
		end
		return force(s, d, e.a, want) or force(s, d, e.b, want)
	elseif op == "not" then
		return force(s, d, e.a, not want)
	elseif op == "eq" or op == "ne" then
		return force_compare(s, d, e, want == (op == "eq"))
	elseif op == "ge" and e.a.op == "len" and e.b.op == "field" then
		if not want then
			M.pin(owner(s, d, e.b), e.b.field, 0x7000)
		end
		return true
	end
	return false
end
M.force = force

-- Mending -----------------------------------------------------------------------------------------

local function low_bit(v)
	return v & -v
end

local function one_of(d, r)
	local chosen = d.v[r.field.name] & (d.pins[r.field.name] or 0) & r.mask
	set(d, r.field, d.v[r.field.name] & ~r.mask | low_bit(chosen ~= 0 and chosen or r.mask))
end

local function take_argument(d, r, c)
	set(d, r.field, eval(r.arg, c))
end

-- How a broken rule is made to hold.
local mend = {
	zero = function(d, r) set(d, r.field, 0) end,
	known_flags = function(d, r) set(d, r.field, d.v[r.field.name] & r.field.flags.mask) end,
	only = function(d, r) set(d, r.field, d.v[r.field.name] & r.mask) end,
	exactly_one = one_of,
	at_most_one = one_of,
	at_least_one = function(d, r)
		-- one that is not pinned to be clear
		local free = r.mask & ~(d.pins[r.field.name] or 0)
		set(d, r.field, d.v[r.field.name] | low_bit(free ~= 0 and free or r.mask))
	end,
	has_all = function(d, r) set(d, r.field, d.v[r.field.name] | r.mask) end,
	known_value = function(d, r) set(d, r.field, r.field.enum.values[1].value) end,
	known_bits = function(d, r) set(d, r.field, d.v[r.field.name] & ~r.mask) end,
	equals = take_argument, min = take_argument, max = take_argument, multiple_of = take_argument,
	power_of_two = function(d, r)
		local v = d.v[r.field.name]
		while v & (v - 1) ~= 0 do
			v = v & (v - 1)
		end
		set(d, r.field, v == 0 and 1 or v)
	end,
	fd_index = function(d, r, _, s)
		if s.nfds == 0 and not s.nfds_pinned then
			s.nfds = 1
		end
		set(d, r.field, 0)
	end,
	no_wrap = function(d, r)
		if d.pins[r.field.name] then
			set(d, r.other, 1)
		else
			set(d, r.field, 0)
		end
	end,
	within = function(d, r, c)
		set(d, r.field, 0)
		if math.ult(eval(r.arg, c), d.v[r.other.name]) then
			set(d, r.other, eval(r.arg, c))
		end
	end,
	needs_fd = function(_, _, _, s) s.nfds = s.nfds_pinned and s.nfds or 1 end,
}

local function mend_fds(s, fds)
	local c = env(s, s.root)
	local want = fds.count or s.nfds == 0 and fds.min or fds.max
	if s.nfds_pinned or not want then
		return
	end
	s.nfds = eval(want, c)
	if s.nfds > s.limits.max_msg_fds then
		set(s.root, want.field, 2)
		s.nfds = eval(want, env(s, s.root))
	end
end

local function draft_at(s, part_rule, at)
	local found
	walk(s.root, function(d)
		if d.at == at then
			for _, r in ipairs(d.part.rules) do
				found = r == part_rule and d or found
			end
		end
	end)
	return found
end

-- Mends until the verdict is nil or about `target`; returns it.
function M.solve(s, target)
	local found
	for _ = 1, 40 do
		M.render(s)
		found = verdict.of(M.case(s))
		if not found or found.rule == target then
			return found
		end
		local d = found.rule.name and draft_at(s, found.rule, found.at)
		if d then
			mend[found.rule.name](d, found.rule, env(s, d), s)
		elseif found.rule == s.part.fds then
			mend_fds(s, found.rule)
		else
			return found
		end
	end
	return found
end

-- Bounds ------------------------------------------------------------------------------------------

-- nil if the value does not exist in the field's type
local function in_range(e, c, f)
	local v = eval(e, c)
	if e.op == "add" and math.ult(v, eval(e.a, c)) or e.op == "sub" and math.ult(eval(e.a, c), v) or
	   v & ~mask(f) ~= 0 then
		return nil
	end
	return v
end

-- Puts a rule's bound into the draft; false if it has no such value.
function M.apply(s, d, bound)
	for _, f in ipairs(d.part.fields) do
		local e = bound.set[f.name]
		if e then
			local v = in_range(e, env(s, d), f)
			if not v then
				return false
			end
			d.pins[f.name] = nil
			M.pin(d, f, v)
			s.nfds_pinned = s.nfds_pinned or e.op == "nfds"
		end
		local clear, raise = bound.clear and bound.clear[f.name], bound.raise and bound.raise[f.name] or 0
		if clear then
			d.pins[f.name] = (d.pins[f.name] or 0) & ~clear
			M.pin(d, f, raise, clear)
		end
	end
	if bound.nfds then
		s.nfds, s.nfds_pinned = bound.nfds, true
	end
	return true
end

return M
