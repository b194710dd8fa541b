-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- What a check says of a payload, computed here from the model.  The generated tests take their
-- expectations from it, so C and Python are held against a third reading of the same rules.
--
-- A case is { part, bytes, order ("<" unless it is ">"), nfds, limits, policy, request }: limits, policy
-- and request map names to values.  The answer is nil, or the first fault: { field, offset, rule, at }.

local M = {}

-- Unsigned numbers in 64 bits ---------------------------------------------------------------------

local ult = math.ult

local function udiv(a, b)
	if b == 0 then
		return 0 -- no check does it, but a payload in the making might
	elseif b < 0 then
		return ult(a, b) and 0 or 1
	elseif a >= 0 then
		return a // b
	end
	local q = ((a >> 1) // b) << 1
	return ult(a - q * b, b) and q or q + 1
end

local eval
local op = {
	num = function(e) return e.v end,
	field = function(e, c) return c[e.of][e.field.name] end,
	limit = function(e, c) return c.limits[e.limit.name] end,
	nfds = function(_, c) return c.nfds end,
	len = function(_, c) return #c.bytes end,
	policy = function(e, c) return c.policy[e.policy] == e.choice end,
	add = function(e, c) return eval(e.a, c) + eval(e.b, c) end,
	sub = function(e, c) return eval(e.a, c) - eval(e.b, c) end,
	mul = function(e, c) return eval(e.a, c) * eval(e.b, c) end,
	div = function(e, c) return udiv(eval(e.a, c), eval(e.b, c)) end,
	band = function(e, c) return eval(e.a, c) & eval(e.b, c) end,
	shr = function(e, c) return eval(e.a, c) >> eval(e.b, c) end,
	eq = function(e, c) return eval(e.a, c) == eval(e.b, c) end,
	ne = function(e, c) return eval(e.a, c) ~= eval(e.b, c) end,
	lt = function(e, c) return ult(eval(e.a, c), eval(e.b, c)) end,
	gt = function(e, c) return ult(eval(e.b, c), eval(e.a, c)) end,
	ge = function(e, c) return not ult(eval(e.a, c), eval(e.b, c)) end,
	andalso = function(e, c) return eval(e.a, c) and eval(e.b, c) end,
	orelse = function(e, c) return eval(e.a, c) or eval(e.b, c) end,
	one_bit = function(e, c)
		local v = eval(e.a, c)
		return v ~= 0 and v & (v - 1) == 0
	end,
}
op["not"] = function(e, c) return not eval(e.a, c) end
op.div_up = function(e, c)
	local a, b = eval(e.a, c), eval(e.b, c)
	local q = udiv(a, b)
	return q * b == a and q or q + 1
end

function eval(e, c)
	return op[e.op](e, c)
end
M.eval = eval

-- Do all these conditions hold?  nil counts as true.
local function holds(c, ...)
	for i = 1, select("#", ...) do
		local e = select(i, ...)
		if e and not eval(e, c) then
			return false
		end
	end
	return true
end
M.holds = holds

-- Fields of a part that lies at `at`; nil if it does not fit.
local function decode(c, part, at)
	local v = {}
	if #c.bytes < at + part.size then
		return nil
	end
	for _, f in ipairs(part.fields) do
		v[f.name] = string.unpack((c.order or "<") .. "I" .. f.size, c.bytes, at + f.offset + 1)
	end
	return v
end

-- Fixed parts -------------------------------------------------------------------------------------

local function fault(field, offset, rule, at)
	return { field = field, offset = offset, rule = rule, at = at or 0 }
end

-- Inside a structure: its fields as `in`, those around it as `outer`.
local function inside(c, values, outer)
	return setmetatable({ ["in"] = values, outer = outer }, { __index = c })
end

local function rule_fault(c, part, at, prefix)
	for _, r in ipairs(part.rules) do
		if holds(c, r.under, r.when, r.broken) then
			local name = r.field and r.field.name or "fds"
			return fault(prefix and prefix .. "." .. name or name,
				     at + (r.field and r.field.offset or 0), r, at)
		end
	end
end

local struct_fault

-- Variable parts ----------------------------------------------------------------------------------

-- from: where the entries start
local function array_fault(c, t, from, prefix, outer)
	local n, room = eval(t.count, c), #c.bytes - from
	local fits = udiv(room, t.element_size)
	if ult(fits, n) or not t.more and (n ~= fits or room % t.element_size ~= 0) then
		return fault(prefix and prefix .. "." .. t.name or t.name, from, t)
	end
	if t.element.scalar then
		return nil
	end
	local seen = {}
	for i = 0, n - 1 do
		local at = from + i * t.element_size
		local found = struct_fault(c, t.element, at, outer)
		if found then
			return found
		end
		if t.disjoint then
			local v = decode(c, t.element, at)
			local start, length = v[t.disjoint[1].name], v[t.disjoint[2].name]
			for _, o in ipairs(seen) do
				if ult(start - o.start, o.length) or ult(o.start - start, length) then
					return fault(t.name, at, t)
				end
			end
			seen[#seen + 1] = { start = start, length = length }
		end
	end
end

function struct_fault(c, s, at, outer)
	local v = decode(c, s, at)
	if not v then
		return fault(s.name, at, s, at)
	end
	local inner = inside(c, v, outer)
	return rule_fault(inner, s, at, s.name) or
	       s.tail and array_fault(inner, s.tail, at + s.size, s.name, outer) or nil
end

local tail = {}

function tail.bytes(c, part, t)
	local want = holds(c, t.when) and eval(t.size, c) or 0
	local have = #c.bytes - part.size
	if part.longer and ult(have, want) or not part.longer and have ~= want then
		return fault(t.name, part.size, t)
	end
end

function tail.json(c, part, t)
	local s = c.bytes:sub(part.size + 1)
	if not (t.optional and s == "") and s:find("\0", 1, true) ~= (s ~= "" and #s or 0) then
		return fault(t.name, part.size, t)
	end
end

local function variant_of(t, value, stride)
	local best
	for _, v in ipairs(t.variants) do
		if v.value == value and stride >= v.min_stride and
		   (not best or v.min_stride > best.min_stride) then
			best = v
		end
	end
	return best
end

local function strided(c, part, t)
	local len, whole = #c.bytes, #c.bytes >= eval(t.whole, c)
	local n = eval(t.count, c)
	if not whole or n == 0 then
		return len ~= part.size and
		       fault(whole and t.name or "payload", whole and part.size or 0, t) or nil
	end
	local stride = eval(t.stride, c)
	if stride < t.min_stride or stride * n ~= len - part.size then
		return fault(t.name, part.size, t)
	end
	for at = part.size, len - 1, stride do
		local by = string.unpack((c.order or "<") .. "I" .. t.by.size, c.bytes, at + t.by.offset + 1)
		local variant = variant_of(t, by, stride)
		local found = variant and struct_fault(c, variant.struct, at, c["in"])
		if found then
			return found
		end
	end
end

function tail.array(c, part, t)
	if t.stride then
		return strided(c, part, t)
	end
	return array_fault(c, t, part.size, nil, c["in"])
end

local function excluded(links, link, seen)
	for _, other in ipairs(links) do
		for _, pair in ipairs { { link, other }, { other, link } } do
			for _, name in ipairs(pair[1].excludes) do
				if name == pair[2].name and seen[other] then
					return true
				end
			end
		end
	end
end

function tail.chain(c, part, t)
	if not holds(c, t.when) or t.whole and #c.bytes < eval(t.whole, c) then
		return nil
	end
	local at, from, seen = eval(t.at, c), part.size, {}
	repeat
		local head = at >= from and decode(c, t.head, at)
		if not head then
			return fault(t.name, at, t)
		end
		for _, l in ipairs(t.links) do
			if l.value == head[t.key.name] and (not l.version or l.version == head[t.version.name]) then
				local found = excluded(t.links, l, seen) and fault(l.name, at, t) or
					      struct_fault(c, l.struct, at, c["in"])
				if found then
					return found
				end
				seen[l] = true
			end
		end
		from, at = at + t.head.size, head[t.next.name]
	until at == 0
end

function tail.union(c, part, t)
	local value, at = eval(t.by, c), part.size
	for _, case in ipairs(t.cases) do
		if case.value == value and holds(c, case.when) and not (case.optional and #c.bytes == at) then
			if not case.struct.tail and #c.bytes - at ~= case.struct.size then
				return fault(case.name, at, case)
			end
			return struct_fault(c, case.struct, at, c["in"])
		end
	end
end

-- Payloads ----------------------------------------------------------------------------------------

-- The most bytes after the fixed part; nil if only the tail itself tells.
function M.room(part, limits)
	local t = part.tail
	if not t and not part.longer then
		return 0
	elseif part.bulk and (not t or t.kind ~= "bytes" or part.longer) then
		return limits.max_data_xfer_size
	end
	return t and t.max or part.room > 0 and part.room or nil
end

local function length_fault(c, part)
	local room = M.room(part, c.limits)
	if #c.bytes < part.size or room and #c.bytes - part.size > room then
		return fault("payload", 0, part)
	end
end

local function fd_fault(c, fds, early)
	if not fds then
		return nil
	end
	local function wrong(key)
		local e = fds[key]
		if not e or (e.op == "num" and not fds.when and key ~= "count") ~= early or
		   not holds(c, fds.when) then
			return false
		end
		local n = eval(e, c)
		return key == "max" and c.nfds > n or key == "min" and c.nfds < n or
		       key == "count" and c.nfds ~= n and not (fds.or_none and c.nfds == 0)
	end
	if wrong("max") or wrong("min") or wrong("count") then
		return fault("fds", 0, fds)
	end
end

local function alt_of(c, part)
	for _, alt in ipairs(part.alts) do
		if #c.bytes == alt.size and holds(c, alt.under, alt.when) then
			return alt
		end
	end
end

function M.of(case)
	local part = case.part
	local c = inside(setmetatable({ req = case.request }, { __index = case }))
	local alt = alt_of(c, part)
	if alt then
		return rule_fault(inside(c, decode(c, alt, 0)), alt, 0)
	end
	local found = length_fault(c, part) or fd_fault(c, part.fds, true)
	if found then
		return found
	end
	c = inside(c, decode(c, part, 0))
	found = rule_fault(c, part, 0) or fd_fault(c, part.fds, false)
	if found or not part.tail then
		return found
	end
	return tail[part.tail.kind](c, part, part.tail)
end

return M
