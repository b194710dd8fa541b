-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The cases of the generated tests, the same for C and Python.
--
-- A *base* is a good payload: values of its fields, request, number of descriptors.  A *case* is a base
-- with some values, the length or the descriptors changed, and what a check must say of it.  For
-- every condition of a part there are bases where it holds and where it does not; every rule has
-- cases at its bounds.  A rule that no case breaks is a fault of the spec or of this file.

local E = require "expr"
local draft = require "draft"
local load = require "load"
local names = require "model.names"
local order = require "order"
local tails = require "tail"
local verdict = require "verdict"

local M = {}

-- All rules of a part, in the order in which they are checked.
local function each_rule(part, visit)
	for _, list in ipairs { part.before or {}, part.rules, part.after or {} } do
		for _, r in ipairs(list) do
			visit(r)
		end
	end
	for _, item in ipairs(part.tail and part.tail.items or {}) do
		for _, r in ipairs(item.rules or {}) do
			visit(r)
		end
	end
end

-- Every way to set the policies a part depends on, the default first.
local function combinations(model, part)
	local used, out = {}, { {} }
	tails.each_part(part, function(p)
		used[p.under and p.under.policy or 0] = true
		for _, r in ipairs(p.rules) do
			used[r.under and r.under.policy or 0] = true
		end
	end)
	for _, policy in ipairs(model.policies) do
		local wider = {}
		for _, choice in ipairs(used[policy.name] and policy.choices or { policy.default }) do
			for _, before in ipairs(out) do
				local one = table.move(before, 1, #before, 1, {})
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
	for _, alt in ipairs(part.alts) do
		note(alt.when)
	end
	return out
end

local function same_base(a, b)
	if a.bytes ~= b.bytes or a.nfds ~= b.nfds then
		return false
	end
	for name in pairs(a.usual) do
		if a.limits[name] ~= b.limits[name] then
			return false
		end
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
		local s = draft.scene(model, part, root)
		if change and not change(s) then
			return
		end
		if s.request_scene then
			s.request_scene:solve() -- a condition may have changed the request
		end
		s.good, s.name = s:solve() == nil, name
		for _, other in ipairs(out) do
			if same_base(s, other) then
				return
			end
		end
		out[#out + 1] = s
	end
	add("plain")
	for _, e in ipairs(conditions(part)) do
		add("where", function(s) return s:force(s.root, e, true) end)
		add("where not", function(s) return s:force(s.root, e, false) end)
	end
	for _, alt in ipairs(part.alts) do
		add(alt.name, function(s) return not alt.when or s:force(s.root, alt.when, true) end, alt)
	end
	local shapes = part.tail and tails[part.tail.kind].shapes
	if shapes then
		shapes(part.tail, add)
	end
	return out
end

-- Cases ---------------------------------------------------------------------------------------------

local Cases = {}
Cases.__index = Cases

local function same_fault(a, b)
	return not a and not b or a and b and a.field == b.field and a.offset == b.offset and a.errno == b.errno
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
	s.root:walk(function(d)
		for _, f in ipairs(d.part.fields) do
			compare(d.at + f.offset, f.size)
		end
	end)
	for at = 0, filled ~= bytes and #bytes - 1 or -1 do
		compare(at, 1)
	end
	return puts
end

function Cases:verdict(s, bytes, nfds, combination)
	local c = s:case(bytes)
	c.nfds = nfds
	c.policy = setmetatable({}, { __index = s.policy })
	for _, set in ipairs(combination) do
		c.policy[set.name] = set.choice
	end
	local found = verdict.of(c)
	if found then
		self.broken[found.rule] = true
	end
	return found
end

-- One row, with the scene's limits.  len, nfds: { first, last }; bits: { offset, size, mask }, each alone
-- turned over.
function Cases:row(s, about, puts, len, nfds, combination, found, bits)
	local limits, text = {}, {}
	for name, v in names.sorted_pairs(s.limits) do
		limits[#limits + 1] = v ~= s.usual[name] and { name = name, value = v } or nil
		text[#text + 1] = name .. tostring(v)
	end
	local key = { about = about, puts = puts, len = len, nfds = nfds, policy = combination, limits = limits, all_limits = s.limits,
		      field = found and found.field, offset = found and found.offset or 0,
		      errno = found and found.errno, rule = found and found.rule, bits = bits }
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
	local plain -- under the first, which are the defaults
	for i, combination in ipairs(self.combinations) do
		local found = self:verdict(s, bytes, s.nfds, combination)
		plain = i == 1 and found or plain
		local same = same_fault(found, plain) and (found and found.rule) == (plain and plain.rule)
		if i == 1 or all_policies or not same then
			self:row(s, about, puts, { #bytes, #bytes }, { s.nfds, s.nfds }, combination, found)
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

-- Every length a little past the payload's, and those at the bounds of its rules.
function Cases:lengths(s)
	local len = #s.bytes
	local function judge(n)
		local bytes = n <= len and s.bytes:sub(1, n) or s.bytes .. draft.filled(len, n)
		return self:verdict(s, bytes, s.nfds, {})
	end
	local function emit(first, last, found)
		self:row(s, "length", {}, { first, last }, { s.nfds, s.nfds }, {}, found)
	end
	runs(0, len + 9, judge, emit)
	for _, r in ipairs(s.part.before) do
		for _, bound in ipairs(r.bounds) do
			local n = bound.len and s:context(s.root):value(bound.len) or 0
			if n > len + 9 then
				emit(n, n, judge(n))
			end
		end
	end
end

-- Shorter payloads that claim to be whole.
function Cases:cuts(s)
	local whole = s.part.tail and s.part.tail.whole
	if whole and whole.op == "field" then
		for n = s.part.size, #s.bytes - 1 do
			self:add(s, "claims to be whole", draft.pack(whole.field.offset, whole.field.size, n, s.bytes:sub(1, n)))
		end
	end
end

function Cases:descriptors(s)
	runs(0, math.max(s.nfds, s.most_fds) + 2, function(n)
		return self:verdict(s, s.bytes, n, {})
	end, function(first, last, found)
		self:row(s, "descriptors", {}, { #s.bytes, #s.bytes }, { first, last }, {}, found)
	end)
end

-- Each reserved bit alone.
function Cases:bits(s, d, rule, combination)
	local f, at, groups = rule.field, d.at + rule.field.offset, {}
	local old = string.unpack("<I" .. f.size, s.bytes, at + 1)
	for bit = 0, f.size * 8 - 1 do
		if rule.reserved & (1 << bit) ~= 0 then
			local found = self:verdict(s, draft.pack(at, f.size, old ~ 1 << bit, s.bytes), s.nfds, combination)
			local group
			for _, g in ipairs(groups) do
				group = same_fault(g.found, found) and g or group
			end
			if not group then
				group = { found = found, mask = 0 }
				groups[#groups + 1] = group
			end
			group.mask = group.mask | 1 << bit
		end
	end
	for _, g in ipairs(groups) do
		self:row(s, ("each reserved bit of %s"):format(f.name), {}, { #s.bytes, #s.bytes }, { s.nfds, s.nfds },
			 combination, g.found, { offset = at, size = f.size, mask = g.mask })
	end
end

-- With less agreed than what is in it may need, and with just that.
function Cases:agreements(s)
	tails.each_part(s.part, function(part)
		each_rule(part, function(r)
			for _, bound in ipairs(r.bounds) do
				for name, v in pairs(bound.limits or {}) do
					local t = s:copy()
					t.limits[name] = v
					self:add(t, ("%s: %s %s"):format(r.loc, r.who, r.text), s.bytes)
				end
			end
		end)
	end)
end

local function nth_draft(s, n)
	local i, found = 0, nil
	s.root:walk(function(d)
		i = i + 1
		found = i == n and d or found
	end)
	return found
end

-- A rule of the n-th draft at its bounds.
function Cases:rule(s, n, rule)
	for _, bound in ipairs(rule.bounds) do
		local t = s:copy()
		local d = nth_draft(t, n)
		if rule.under then
			t.policy[rule.under.policy] = rule.under.choice
		end
		if t:context(d):holds(rule.when) or t:force(d, rule.when, true) then
			if d:apply(bound) then
				t:solve(rule)
				if rule.under then
					t.policy[rule.under.policy] = s.policy[rule.under.policy]
				end
				self:add(t, ("%s: %s %s"):format(rule.loc, rule.who, rule.text), nil, rule.under ~= nil)
			end
		end
	end
	for _, combination in ipairs(rule.reserved and self.combinations or {}) do
		self:bits(s, nth_draft(s, n), rule, combination)
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
		if e and e.op then
			note(d, e.op == "field" and e.of == "in" and e.field or nil)
			expression(d, e.a)
			expression(d, e.b)
		end
	end
	s.root:walk(function(d)
		local t = d.part.tail or {}
		for _, key in ipairs { "count", "size", "at", "whole", "stride", "by" } do
			expression(d, t[key])
		end
		expression(d, d.part.fds and d.part.fds.count)
		for _, kid in ipairs(d.kids) do
			for _, f in ipairs { t.key or t.by or false, t.version or false, t.next or false } do
				note(kid, f and f.offset and kid:same_place(f))
			end
			for _, f in ipairs(t.disjoint or {}) do
				note(kid, f)
			end
		end
	end)
	return out
end

local function odd_values(s, p, old)
	local top, len, at = E.type_max(p.field.size), #s.bytes, p.draft.at
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
			if v & top ~= old then
				self:add(s, "structure: " .. p.field.name, draft.pack(p.at, p.field.size, v & top, s.bytes))
			end
		end
	end
end

function Cases:all(s)
	self:add(s, s.name, nil, true)
	self:agreements(s)
	if s.part.message then
		self:lengths(s)
		self:cuts(s)
		self:descriptors(s)
	end
	local n = 0
	s.root:walk(function(d)
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
		      request = s.request, request_part = s.request_draft and s.request_draft.part,
		      request_bytes = s.request_scene and s.request_scene.bytes }
	s.root:walk(function(d)
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
local function of_part(model, part, broken)
	local out = {}
	for _, s in ipairs(bases(model, part)) do
		s:render()
		local cases = setmetatable({ base = s, rows = {}, known = {}, broken = broken,
					     combinations = combinations(model, part) }, Cases)
		cases:all(s)
		local base = describe(s)
		base.cases = order.rows(base, cases.rows, s)
		out[#out + 1] = base
	end
	return out
end

-- The header and both sides of each message.
local function parts_of(model)
	local out = { model.header }
	for _, m in ipairs(model.messages) do
		out[#out + 1], out[#out + 2] = m.request, m.reply
	end
	return out
end

-- Every part has a good payload.  The fault names a rule that cannot hold together with the others.
function M.satisfiable(model)
	for _, part in ipairs(parts_of(model)) do
		local found = draft.scene(model, part):solve()
		if found then
			load.fault(found.rule.loc, "no payload can keep the rule: %s %s", found.field, found.rule.text or found.rule.doc)
		end
	end
end

-- Every part of the model with its bases: a list of { part, bases }.
function M.of(model)
	local out, broken = {}, {}
	M.satisfiable(model)
	for _, part in ipairs(parts_of(model)) do
		out[#out + 1] = { part = part, bases = of_part(model, part, broken) }
		tails.each_part(part, function(p)
			each_rule(p, function(r)
				if not broken[r] then
					load.fault(r.loc,
						   "no test breaks the rule: %s %s; if others do not forbid it, its bounds in rules.lua are too few",
						   r.who, r.text)
				end
			end)
		end)
	end
	return out
end

return M
