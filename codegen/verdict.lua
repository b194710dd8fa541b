-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- What a check says of a payload, computed here from the model.  The generated tests take their
-- expectations from it, so C and Python are held against a third reading of the same rules.
--
-- A case is { part, bytes, order ("<" unless it is ">"), nfds, limits, policy, request }: limits, policy
-- and request map names to values.  The answer is nil, or the first fault: { field, offset, errno, rule,
-- at }.

local tails = require "tail"

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
	name = function(e, c) return c[e.name] end,
	nfds = function(_, c) return c.nfds end,
	len = function(_, c) return #c.bytes end,
	start = function(_, c) return c.start end,
	policy = function(e, c) return c.policy[e.policy] == e.choice end,
	add = function(e, c) return eval(e.a, c) + eval(e.b, c) end,
	sub = function(e, c) return eval(e.a, c) - eval(e.b, c) end,
	mul = function(e, c) return eval(e.a, c) * eval(e.b, c) end,
	div = function(e, c) return udiv(eval(e.a, c), eval(e.b, c)) end,
	mod = function(e, c)
		local a, b = eval(e.a, c), eval(e.b, c)
		return a - udiv(a, b) * b
	end,
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
	is_text = function(e, c)
		local s = c.bytes:sub(eval(e.a, c) + 1)
		return s ~= "" and s:find("\0", 1, true) == #s
	end,
	choose = function(e, c) return eval(eval(e.c, c) and e.a or e.b, c) end,
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

-- What a check looks at ---------------------------------------------------------------------------

local Context = {}

-- These values, and what is around them.
function M.context(values, around)
	if around and not getmetatable(around) then
		setmetatable(around, { __index = Context })
	end
	return setmetatable(values, { __index = around or Context })
end

Context.value = function(c, e) return eval(e, c) end

-- Do all these conditions hold?  nil counts as true.
function Context.holds(c, ...)
	for i = 1, select("#", ...) do
		local e = select(i, ...)
		if e and not eval(e, c) then
			return false
		end
	end
	return true
end

function Context.number(c, at, size)
	return (string.unpack((c.order or "<") .. "I" .. size, c.bytes, at + 1))
end

-- Fields of a part that lies at `at`; nil if it does not fit.
function Context.decode(c, part, at)
	local v = {}
	for _, f in ipairs(#c.bytes >= at + part.size and part.fields or {}) do
		v[f.name] = c:number(at + f.offset, f.size)
	end
	return #c.bytes >= at + part.size and v or nil
end

function Context.fault(c, who, offset, rule)
	return { field = c.prefix and c.prefix .. "." .. who or who, offset = offset, rule = rule, at = c.base,
		 errno = rule.errno or "EINVAL" }
end

-- The first rule that is broken.
function Context.tests(c, list)
	for _, r in ipairs(list) do
		if c:holds(r.under, r.when, r.broken) then
			return c:fault(r.who, r.at.op == "num" and c.base + r.at.v or eval(r.at, c), r)
		end
	end
end

-- What follows the fields of a part that begins at base.
local function tail_fault(c, part)
	local t = part.tail
	c.start = c.base + part.size
	for _, l in ipairs(t and t.locals or {}) do
		c[l.name] = eval(l.value, c)
	end
	return c:tests(part.after) or t and tails[t.kind].verdict and tails[t.kind].verdict(c, t) or nil
end

-- A structure at `at`; its fields are the second result.
function Context.struct(c, struct, at)
	local v = c:decode(struct, at)
	if not v then
		return { field = struct.name, offset = at, rule = struct, at = at, errno = "EINVAL" }
	end
	local inner = M.context({ ["in"] = v, outer = c.outer or c["in"], base = at, prefix = struct.name }, c)
	return inner:tests(struct.rules) or tail_fault(inner, struct), v
end

-- What lies at `at`, if it is one of these items.
function Context.entry(c, items, at)
	c.at = at
	for _, item in ipairs(items) do
		if eval(item.condition, c) then
			local found = c:tests(item.rules) or c:struct(item.struct, at)
			c.seen = (c.seen or 0) | (item.seen or 0)
			return found
		end
	end
end

function M.of(case)
	local part = case.part
	local c = M.context({ req = case.request, base = 0, start = part.size }, case)
	for _, alt in ipairs(part.alts) do
		if c:holds(alt.condition) then
			c["in"] = c:decode(alt, 0)
			return c:tests(alt.rules)
		end
	end
	local found = c:tests(part.before)
	if found then
		return found
	end
	c["in"] = c:decode(part, 0)
	return c:tests(part.rules) or tail_fault(c, part)
end

return M
