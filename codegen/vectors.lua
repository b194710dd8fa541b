-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The cases of the generated tests, the same for C and Python.
--
-- A *base* is a good payload: values of its fields, request, number of descriptors.  A *case* is a base
-- with some values, the length or the descriptors changed, and what a check must say of it.  For
-- every condition of a part there are bases where it holds and where it does not; every rule has
-- cases at its bounds.  A rule that no case breaks is a fault of the spec or of this file.

local draft = require "draft"
local load = require "load"
local order = require "order"
local verdict = require "verdict"

local M = {}

-- What a part depends on ----------------------------------------------------------------------------

-- Calls visit(part) for a part, its alternatives and all structures it may hold.
local function each_part(part, visit)
	visit(part)
	for _, alt in ipairs(part.alts or {}) do
		visit(alt)
	end
	local t = part.tail
	for _, list in ipairs { t and t.links or {}, t and t.variants or {}, t and t.cases or {} } do
		for _, item in ipairs(list) do
			each_part(item.struct, visit)
		end
	end
	if t and t.element and t.element.name then
		each_part(t.element, visit)
	end
end
M.each_part = each_part

local function policies_of(model, part)
	local used, out = {}, {}
	each_part(part, function(p)
		if p.under then
			used[p.under.policy] = true
		end
		for _, r in ipairs(p.rules) do
			if r.under then
				used[r.under.policy] = true
			end
		end
	end)
	for _, policy in ipairs(model.policies) do
		if used[policy.name] then
			out[#out + 1] = policy
		end
	end
	return out
end

-- Every way to set these policies, the default first.
local function combinations(policies)
	local out = { {} }
	for _, policy in ipairs(policies) do
		local wider = {}
		for _, choice in ipairs(policy.choices) do
			for _, before in ipairs(out) do
				local one = {}
				for i, set in ipairs(before) do
					one[i] = set
				end
				if choice ~= policy.default then
					one[#one + 1] = { name = policy.name, choice = choice }
				end
				wider[#wider + 1] = one
			end
		end
		out = wider
	end
	return out
end

-- Bases ---------------------------------------------------------------------------------------------

local request_scene

local function scene(model, part)
	local s = { part = part, root = draft.new(part), nfds = 0, limits = draft.limits, policy = {},
		    policies = model.policies, text = "{}\0" }
	for _, policy in ipairs(model.policies) do
		s.policy[policy.name] = policy.default
	end
	if part.key == "reply" then
		s.request_scene = request_scene(model, part.message)
		s.request_draft = s.request_scene.root
		s.request = s.request_draft.v
	end
	return s
end

function request_scene(model, message)
	local s = scene(model, message.request)
	draft.solve(s)
	return s
end

local function entries(s, struct, n)
	local out = {}
	for i = 1, n do
		local d = draft.new(struct)
		out[i] = d
		local t = struct.tail
		if t and t.element and not t.element.scalar then
			d.kids = entries(s, t.element, 2)
			for j, kid in ipairs(t.disjoint and d.kids or {}) do
				draft.pin(kid, t.disjoint[1], 64 * j)
				draft.pin(kid, t.disjoint[2], 16 * j)
			end
		end
	end
	return out
end

local function set_at(d, part, f, value)
	draft.pin(d, draft.at_offset(part, f), value)
end

local function chain_kids(s, t, links, newer)
	for _, l in ipairs(links) do
		local kid = entries(s, l.struct, 1)[1]
		set_at(kid, l.struct, t.key, l.value)
		if l.version then
			set_at(kid, l.struct, t.version, l.version + newer)
		end
		table.insert(s.root.kids, kid)
	end
end

-- For each kind of tail: calls add(name, change) for each payload worth starting from.
local shapes = {}

function shapes.chain(t, add)
	local function with(name, links, newer)
		add(name, function(s)
			chain_kids(s, t, links, newer)
			return not t.when or draft.force(s, s.root, t.when, true)
		end)
	end
	for i, l in ipairs(t.links) do
		with(l.name, { l }, 0)
		with(l.name .. " of another version", { l }, 1)
		for j, other in ipairs(t.links) do
			if i ~= j then
				with(l.name .. " and " .. other.name, { l, other }, 0)
			end
		end
	end
end

function shapes.union(t, add)
	for _, c in ipairs(t.cases) do
		local function choose(s)
			local is = { op = "eq", a = t.by, b = { op = "num", v = c.value } }
			return draft.force(s, s.root, is, true) and (not c.when or draft.force(s, s.root, c.when, true))
		end
		add(c.name, function(s)
			s.root.kids = entries(s, c.struct, 1)
			return choose(s)
		end)
		add(c.name .. ", no data", choose)
		add(c.name .. ", another method", function(s)
			local is = { op = "eq", a = t.by, b = { op = "num", v = c.value } }
			return c.when and draft.force(s, s.root, is, true) and draft.force(s, s.root, c.when, false)
		end)
	end
end

local function strided(t, add)
	for _, v in ipairs(t.variants) do
		for _, stride in ipairs { t.min_stride, v.min_stride, v.min_stride + 8 } do
			add(("%s of %d bytes"):format(v.name, stride), function(s)
				local kids = stride >= v.struct.size and entries(s, v.struct, 2) or {}
				for _, kid in ipairs(kids) do
					set_at(kid, v.struct, t.by, v.value)
				end
				s.root.kids, s.root.stride = kids, stride
				return #kids > 0
			end)
		end
	end
	add("no entries", function(s)
		draft.pin(s.root, t.count.field, 0)
		return true
	end)
end

function shapes.array(t, add)
	if t.stride then
		return strided(t, add)
	end
	for n = 0, 2 do
		add(("%d entries"):format(n), function(s)
			s.root.kids = not t.element.scalar and entries(s, t.element, n) or {}
			if n == 0 and t.count.op == "field" then
				draft.pin(s.root, t.count.field, 0)
			end
			return true
		end)
	end
end

function shapes.json(_, add)
	for _, text in ipairs { "", "\0", "{}", "{\0}\0", "{}\0\0" } do
		add(("text of %d bytes"):format(#text), function(s)
			s.text = text
			return true
		end)
	end
end

local function conditions(part)
	local out = {}
	local function note(e)
		out[#out + 1] = e
	end
	for _, r in ipairs(part.rules) do
		note(r.when)
	end
	note(part.fds and part.fds.when)
	if part.tail and part.tail.kind == "bytes" then
		note(part.tail.when)
	end
	for _, alt in ipairs(part.alts or {}) do
		note(alt.when)
	end
	return out
end

local function same_base(a, b)
	if a.bytes ~= b.bytes or a.nfds ~= b.nfds then
		return false
	end
	for _, f in ipairs(a.request_draft and a.request_draft.part.fields or {}) do
		if a.request[f.name] ~= b.request[f.name] then
			return false
		end
	end
	return true
end

-- Scenes of a part, solved; `good` tells whether the check takes them.
local function bases(model, part)
	local out = {}
	local function add(name, change, root)
		local s = scene(model, part)
		s.root = root and draft.new(root) or s.root
		if change and not change(s) then
			return
		end
		if s.request_scene then
			draft.solve(s.request_scene) -- a condition may have changed the request
		end
		s.good, s.name = draft.solve(s) == nil, name
		for _, other in ipairs(out) do
			if same_base(s, other) then
				return
			end
		end
		out[#out + 1] = s
	end
	add("plain")
	if not out[1].good then
		local file, line = part.loc:match("^(.*):(%d+)$")
		load.fault({ file = file, line = tonumber(line) }, "the tests know no good payload for this")
	end
	for _, e in ipairs(conditions(part)) do
		add("where", function(s) return draft.force(s, s.root, e, true) end)
		add("where not", function(s) return draft.force(s, s.root, e, false) end)
	end
	for _, alt in ipairs(part.alts or {}) do
		add(alt.name, function(s) return not alt.when or draft.force(s, s.root, alt.when, true) end, alt)
	end
	if part.tail and shapes[part.tail.kind] then
		shapes[part.tail.kind](part.tail, add)
	end
	return out
end

-- Cases ---------------------------------------------------------------------------------------------

local Cases = {}
Cases.__index = Cases

local function same_fault(a, b)
	return (a and a.field) == (b and b.field) and (a and a.offset) == (b and b.offset)
end

-- Where `bytes` differ from the base, field by field.
local function differences(base, s, bytes)
	local puts = {}
	local filled = (base.bytes .. draft.filled(#base.bytes, #bytes)):sub(1, #bytes)
	local function compare(at, size)
		local now = bytes:sub(at + 1, at + size)
		if #now == size and now ~= filled:sub(at + 1, at + size) then
			puts[#puts + 1] = { offset = at, size = size, value = (string.unpack("<I" .. size, now)) }
			filled = filled:sub(1, at) .. now .. filled:sub(at + size + 1)
		end
	end
	draft.walk(s.root, function(d)
		for _, f in ipairs(d.part.fields) do
			compare(d.at + f.offset, f.size)
		end
	end)
	for at = 0, #bytes - 1 do
		compare(at, 1)
	end
	return puts
end

function Cases:verdict(s, bytes, nfds, combination)
	local c = draft.case(s, bytes)
	c.nfds = nfds
	c.policy = setmetatable({}, { __index = s.policy })
	for _, set in ipairs(combination) do
		c.policy[set.name] = set.choice
	end
	local found = verdict.of(c)
	if found and found.rule.name and found.rule.phase then
		self.broken[found.rule] = true
	end
	return found
end

-- One row.  len, nfds: { first, last }; bits: { offset, size, mask }, each alone turned over.
function Cases:row(about, puts, len, nfds, combination, found, bits)
	local key = { about = about, puts = puts, len = len, nfds = nfds, policy = combination,
		      field = found and found.field, offset = found and found.offset or 0, bits = bits }
	local text = {}
	for _, p in ipairs(puts) do
		text[#text + 1] = ("%d:%d"):format(p.offset, p.value)
	end
	for _, set in ipairs(combination) do
		text[#text + 1] = set.name .. set.choice
	end
	text = table.concat(text, " ") .. ("|%d %d %d %d|"):format(len[1], len[2], nfds[1], nfds[2]) ..
	       (bits and ("%d %x"):format(bits.offset, bits.mask) or "")
	if not self.known[text] then
		self.known[text] = true
		table.insert(self.rows, key)
	end
end

-- A changed scene under the default policy, and where the others matter under them.
function Cases:add(s, about, bytes, all_policies)
	bytes = bytes or s.bytes
	local puts = differences(self.base, s, bytes)
	local plain = self:verdict(s, bytes, s.nfds, {})
	for i, combination in ipairs(self.combinations) do
		local found = self:verdict(s, bytes, s.nfds, combination)
		local same = same_fault(found, plain) and (found and found.rule) == (plain and plain.rule)
		if i == 1 or all_policies or not same then
			self:row(about, puts, { #bytes, #bytes }, { s.nfds, s.nfds }, combination, found)
		end
	end
end

-- Calls emit(first, last, fault) for each run of equal verdicts.
local function runs(first, last, judge, emit)
	local start, before = first, judge(first)
	for n = first + 1, last + 1 do
		local now = n <= last and judge(n) or nil
		if n > last or not same_fault(now, before) then
			emit(start, n - 1, before)
			start, before = n, now
		end
	end
end

function Cases:lengths(s)
	local len = #s.bytes
	local function bytes_of(n)
		return n <= len and s.bytes:sub(1, n) or s.bytes .. draft.filled(len, n)
	end
	local function judge(n)
		return self:verdict(s, bytes_of(n), s.nfds, {})
	end
	local function emit(first, last, found)
		self:row("length", {}, { first, last }, { s.nfds, s.nfds }, {}, found)
	end
	runs(0, len + 9, judge, emit)
	local room = verdict.room(s.part, s.limits)
	if room then
		for n = s.part.size + room - 1, s.part.size + room + 1 do
			if n > len + 9 then
				emit(n, n, judge(n))
			end
		end
	end
end

-- Shorter payloads that claim to be whole.
function Cases:cuts(s)
	local whole = s.part.tail and s.part.tail.whole
	if not whole or whole.op ~= "field" then
		return
	end
	local f = whole.field
	for n = s.part.size, #s.bytes - 1 do
		self:add(s, "claims to be whole", draft.pack(f.offset, f.size, n, s.bytes:sub(1, n)))
	end
end

function Cases:descriptors(s)
	runs(0, math.max(s.nfds, s.limits.max_msg_fds) + 2, function(n)
		return self:verdict(s, s.bytes, n, {})
	end, function(first, last, found)
		self:row("descriptors", {}, { #s.bytes, #s.bytes }, { first, last }, {}, found)
	end)
end

-- Each reserved bit alone.
function Cases:bits(s, d, rule, combination)
	local f = rule.field
	local mask = rule.name == "known_flags" and ~f.flags.mask or rule.name == "only" and ~rule.mask or -1
	local groups = {}
	for bit = 0, f.size * 8 - 1 do
		if mask & (1 << bit) ~= 0 then
			local at = d.at + f.offset
			local old = string.unpack("<I" .. f.size, s.bytes, at + 1)
			local new = string.pack("<i8", old ~ (1 << bit)):sub(1, f.size)
			local bytes = s.bytes:sub(1, at) .. new .. s.bytes:sub(at + f.size + 1)
			local found = self:verdict(s, bytes, s.nfds, combination)
			local group
			for _, g in ipairs(groups) do
				group = same_fault(g.found, found) and g or group
			end
			if not group then
				group = { found = found, mask = 0, at = at }
				groups[#groups + 1] = group
			end
			group.mask = group.mask | 1 << bit
		end
	end
	for _, g in ipairs(groups) do
		self:row(("each reserved bit of %s"):format(f.name), {}, { #s.bytes, #s.bytes }, { s.nfds, s.nfds },
			 combination, g.found, { offset = g.at, size = f.size, mask = g.mask })
	end
end

local reserved = { known_flags = true, zero = true, only = true }

local function nth_draft(s, n)
	local i, found = 0, nil
	draft.walk(s.root, function(d)
		i = i + 1
		found = i == n and d or found
	end)
	return found
end

function Cases:rule(s, n, rule)
	for _, bound in ipairs(rule.bounds) do
		local t = draft.copy_scene(s)
		local d = nth_draft(t, n)
		if rule.under then
			t.policy[rule.under.policy] = rule.under.choice
		end
		local can = not rule.when or verdict.holds(draft.env(t, d), rule.when) or
			    draft.force(t, d, rule.when, true)
		if can and draft.apply(t, d, bound) then
			draft.solve(t, rule)
			if rule.under then
				t.policy[rule.under.policy] = s.policy[rule.under.policy]
			end
			self:add(t, ("%s: %s %s"):format(rule.loc, rule.field and rule.field.name or "fds", rule.text), nil,
				 rule.under ~= nil)
		end
	end
	if reserved[rule.name] then
		for _, combination in ipairs(self.combinations) do
			self:bits(s, nth_draft(s, n), rule, combination)
		end
	end
end

-- Fields that say how the payload is built: offsets in the payload.
local function structural(s)
	local out, seen = {}, {}
	local function note(d, f)
		local at = f and d.at + f.offset
		if f and not seen[at] then
			seen[at] = true
			out[#out + 1] = { at = at, field = f, draft = d }
		end
	end
	local function expression(d, e)
		if type(e) ~= "table" then
			return
		elseif e.op == "field" and e.of == "in" then
			note(d, e.field)
		end
		expression(d, e.a)
		expression(d, e.b)
	end
	draft.walk(s.root, function(d)
		local t = d.part.tail or {}
		for _, e in ipairs { t.count or false, t.size or false, t.at or false, t.whole or false, t.stride or false } do
			expression(d, e)
		end
		if t.by and t.by.op then
			expression(d, t.by)
		end
		expression(d, d.part.fds and d.part.fds.count)
		for _, kid in ipairs(d.kids) do
			for _, f in ipairs { t.key or t.by or false, t.version or false, t.next or false } do
				note(kid, f and f.offset and draft.at_offset(kid.part, f))
			end
			for _, f in ipairs(t.disjoint or {}) do
				note(kid, f)
			end
		end
	end)
	return out
end

local function odd_values(s, p, old)
	local top = p.field.size == 8 and -1 or (1 << p.field.size * 8) - 1
	local len, at = #s.bytes, p.draft.at
	local out = { 0, 1, old - 1, old + 1, old + 8, top, top - 1, len, len - 1, len + 1, len - 7, len - 8, len - 9, at,
		      at + 1, at + 7, at + 8, s.part.size, s.part.size - 1 }
	for _, v in ipairs(p.field.enum and p.field.enum.values or {}) do
		out[#out + 1] = v.value
	end
	return out, top
end

-- Structural fields with values that do not fit the payload.
function Cases:structure(s)
	for _, p in ipairs(structural(s)) do
		local old = string.unpack("<I" .. p.field.size, s.bytes, p.at + 1)
		local values, top = odd_values(s, p, old)
		for _, v in ipairs(values) do
			v = v & top
			if v ~= old then
				local new = string.pack("<i8", v):sub(1, p.field.size)
				self:add(s, "structure: " .. p.field.name,
					 s.bytes:sub(1, p.at) .. new .. s.bytes:sub(p.at + p.field.size + 1))
			end
		end
	end
end

function Cases:all(s)
	self:add(s, s.name, nil, true)
	if s.part.name ~= "header" then
		self:lengths(s)
		self:cuts(s)
		self:descriptors(s)
	end
	local n = 0
	draft.walk(s.root, function(d)
		n = n + 1
		for _, r in ipairs(s.good and d.part.rules or {}) do
			self:rule(s, n, r)
		end
	end)
	self:structure(s)
end

-- The good bytes of a base in fields: { part, at, values }, and single bytes of text.
local function describe(s)
	local out = { part = s.part, len = #s.bytes, nfds = s.nfds, name = s.name, segments = {}, text = "",
		      request = s.request, request_part = s.request_draft and s.request_draft.part }
	draft.walk(s.root, function(d)
		if d.part.size > 0 then
			table.insert(out.segments, { part = d.part, at = d.at, values = d.v })
		end
	end)
	if s.part.tail and s.part.tail.kind == "json" then
		out.text, out.text_at = s.text, s.part.size
	end
	return out
end

-- { bases = { ... each with cases ... } } for one part
function M.of_part(model, part, broken)
	local out = {}
	for _, s in ipairs(bases(model, part)) do
		draft.render(s)
		local cases = setmetatable({ base = s, rows = {}, known = {}, broken = broken,
					     combinations = combinations(policies_of(model, part)) }, Cases)
		cases:all(s)
		local base = describe(s)
		base.cases = order.rows(base, cases.rows, s)
		out[#out + 1] = base
	end
	return out
end

local function each_broken(part, broken)
	each_part(part, function(p)
		for _, r in ipairs(p.rules) do
			if not broken[r] then
				local file, line = r.loc:match("^(.*):(%d+)$")
				load.fault({ file = file, line = tonumber(line) },
					   "no test breaks the rule: %s %s; if others do not forbid it, its bounds in rules.lua are too few",
					   r.field and r.field.name or "fds", r.text)
			end
		end
	end)
end

-- Every part of the model with its bases: a list of { part, bases }.
function M.of(model)
	local out, broken = {}, {}
	local parts = { model.header }
	for _, m in ipairs(model.messages) do
		parts[#parts + 1], parts[#parts + 2] = m.request, m.reply
	end
	for _, part in ipairs(parts) do
		out[#out + 1] = { part = part, bases = M.of_part(model, part, broken) }
		each_broken(part, broken)
	end
	return out
end

return M
