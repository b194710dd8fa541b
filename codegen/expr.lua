-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Expressions: what a spec may compute, and how each target language writes it.
--
-- A spec file builds *raw* nodes (field.count, limit.pgsize, a + b ...).  The model resolves them
-- against a scope into plain tables { op = ..., ... } which the printers below turn into C, Python
-- or English.  range() proves that nothing wraps in 64 bits: an expression that might is refused.

local M = {}

-- Raw nodes ---------------------------------------------------------------------------------------

local DATA = {}
local raw_mt = {}

local function raw(data)
	return setmetatable({ [DATA] = data }, raw_mt)
end

local function binary(op)
	return function(a, b)
		return raw { op = op, a = a, b = b }
	end
end

raw_mt.__add = binary "add"
raw_mt.__sub = binary "sub"
raw_mt.__mul = binary "mul"
raw_mt.__idiv = binary "div"
-- field.flags.caps: a member of a flag set, as a condition or as a number
raw_mt.__index = function(node, name)
	return raw { op = "member", base = node, name = name }
end
raw_mt.__newindex = function()
	error("an expression cannot be assigned to", 2)
end

M.raw = raw
M.raw_binary = binary

function M.is_raw(v)
	return getmetatable(v) == raw_mt
end

function M.data(v)
	return rawget(v, DATA)
end

-- Resolved nodes ----------------------------------------------------------------------------------

function M.num(v, c)
	return { op = "num", v = v, c = c }
end

local function two(op)
	return function(a, b)
		return { op = op, a = a, b = b }
	end
end

for _, op in ipairs { "add", "sub", "mul", "div", "div_up", "band", "shr", "eq", "ne", "lt", "gt", "ge",
		      "andalso", "orelse" } do
	M[op] = two(op)
end

-- Does exactly one bit of a stand?
function M.one_bit(a)
	return { op = "one_bit", a = a }
end

function M.negate(a)
	local flip = { eq = "ne", ne = "eq" }
	if flip[a.op] then
		return { op = flip[a.op], a = a.a, b = a.b }
	end
	return { op = "not", a = a }
end

-- The largest value of a type of `size` bytes, as a bit pattern.
function M.type_max(size)
	return size == 8 and -1 or (1 << (size * 8)) - 1
end

-- Unsigned numbers --------------------------------------------------------------------------------

local function unsigned(v)
	return v >= 0 and v + 0.0 or v + 2.0 ^ 64
end
M.unsigned = unsigned

-- Lowest and highest value, as floats: exact enough to compare with 2^64.  `assume` gives lower
-- bounds that hold where the expression is used.  nil, reason if it may wrap.
function M.range(e, assume)
	local op = e.op
	if op == "num" then
		return unsigned(e.v), unsigned(e.v)
	elseif op == "field" then
		local f = e.field
		return math.max(f.lo, assume and assume[f.name] or 0), f.hi
	elseif op == "limit" then
		return unsigned(e.limit.min), unsigned(e.limit.max)
	elseif op == "nfds" or op == "len" then
		return 0.0, 2.0 ^ 32
	elseif not e.b then
		return 0.0, 1.0
	end
	local alo, ahi = M.range(e.a, assume)
	if not alo then
		return nil, ahi
	end
	local blo, bhi = M.range(e.b, assume)
	if not blo then
		return nil, bhi
	end
	if op == "add" or op == "mul" then
		local hi = op == "add" and ahi + bhi or ahi * bhi
		if hi >= 2.0 ^ 64 then
			return nil, "may exceed 64 bits"
		end
		return op == "add" and alo + blo or alo * blo, hi
	elseif op == "sub" then
		if alo < bhi then
			return nil, "may fall below 0"
		end
		return alo - bhi, ahi - blo
	elseif op == "div" or op == "div_up" then
		if blo < 1 then
			return nil, "may divide by 0"
		end
		return alo // bhi, op == "div" and ahi // blo or ahi // blo + 1
	elseif op == "band" then
		return 0.0, math.min(ahi, bhi)
	elseif op == "shr" then
		return 0.0, ahi
	end
	return 0.0, 1.0
end

-- C -----------------------------------------------------------------------------------------------

function M.c_number(v)
	if v == -1 then
		return "UINT64_MAX"
	elseif v == 0xffffffff then
		return "UINT32_MAX"
	elseif v < 0 or v > 0xffffffff then
		return string.format("0x%xull", v)
	elseif v > 0x7fffffff then
		return string.format("0x%xu", v)
	elseif v >= 65536 and v & 0xfff == 0 then
		return string.format("0x%x", v)
	end
	return tostring(v)
end

local c_op = { add = "+", sub = "-", mul = "*", div = "/", band = "&", shr = ">>", eq = "==", ne = "!=",
	       lt = "<", gt = ">", ge = ">=", andalso = "&&", orelse = "||" }
local prec = { orelse = 1, andalso = 2, band = 3, eq = 4, ne = 4, lt = 5, gt = 5, ge = 5, shr = 6, add = 7,
	       sub = 7, mul = 8, div = 8, ["not"] = 9 }

-- Is arithmetic on this done in 64 bits already?
local function wide(e)
	if e.op == "field" then
		return e.field.size == 8
	elseif e.op == "limit" then
		return e.limit.size == 8
	elseif e.op == "num" then
		return e.v == -1 or e.v < 0 or e.v > 0xffffffff
	elseif e.b then
		return wide(e.a) or wide(e.b)
	end
	return e.op == "len"
end

-- env: how a leaf is reached: { ["in"] = "in.", req = "req->", outer = "outer->",
-- limits = "limits->", policy = "policy->", nfds = "nfds", len = "len" }
function M.c(e, env, above)
	local op = e.op
	if op == "num" then
		return e.c or (e.hex and string.format("0x%x", e.v)) or M.c_number(e.v)
	elseif op == "field" then
		return env[e.of] .. e.field.name
	elseif op == "limit" then
		return env.limits .. e.limit.name
	elseif op == "nfds" or op == "len" then
		return env[op]
	elseif op == "policy" then
		return env.policy .. e.policy .. " == " ..
		       ("VFUI_" .. e.policy .. "_" .. e.choice):upper()
	elseif op == "one_bit" then
		return "one_bit(" .. M.c(e.a, env) .. ")"
	elseif op == "not" then
		local s = M.c(e.a, env)
		return e.a.op == "one_bit" and "!" .. s or "!(" .. s .. ")"
	elseif op == "div_up" then
		return "div_up(" .. M.c(e.a, env) .. ", " .. M.c(e.b, env) .. ")"
	elseif op == "ne" and e.a.op == "band" and e.b.op == "num" and e.b.v == 0 then
		-- a flag test reads best without the comparison
		local s = M.c(e.a, env)
		return above and "(" .. s .. ")" or s
	elseif op == "eq" and e.a.op == "band" and e.b.op == "num" and e.b.v == 0 then
		return "!(" .. M.c(e.a, env) .. ")"
	end
	local p = prec[op]
	local chained = op == "andalso" or op == "orelse"
	local a, b = M.c(e.a, env, p), M.c(e.b, env, chained and p or p + 1)
	if (op == "add" or op == "mul") and not wide(e.a) and not wide(e.b) then
		a = "(uint64_t)" .. a
	end
	local s = a .. " " .. c_op[op] .. " " .. b
	if above and (p < above or (op == "andalso" and above == 1) or
		      ((op == "add" or op == "sub") and above < 5 and above > 2)) then
		s = "(" .. s .. ")"
	end
	return s
end

-- Python ------------------------------------------------------------------------------------------

local py_op = { add = "+", sub = "-", mul = "*", div = "//", band = "&", shr = ">>", eq = "==", ne = "!=",
		lt = "<", gt = ">", ge = ">=", andalso = "and", orelse = "or" }

local py_prec = { orelse = 1, andalso = 2, ["not"] = 3, eq = 4, ne = 4, lt = 4, gt = 4, ge = 4, one_bit = 4, policy = 4,
		  band = 5, shr = 6, add = 7, sub = 7, mul = 8, div = 8, div_up = 9 }

local py_leaf = {
	num = function(e)
		return (e.hex or e.v < 0 or e.v > 0xffff) and string.format("0x%x", e.v) or tostring(e.v)
	end,
	field = function(e, env) return env[e.of] .. e.field.name end,
	limit = function(e, env) return env.limits .. e.limit.name end,
	nfds = function(_, env) return env.nfds end,
	len = function(_, env) return env.len end,
	policy = function(e, env) return env.policy .. e.policy .. " == \"" .. e.choice .. "\"" end,
	one_bit = function(e, env) return "bin(" .. M.py(e.a, env) .. ").count(\"1\") == 1" end,
	["not"] = function(e, env) return "not " .. M.py(e.a, env, 3) end,
	div_up = function(e, env) return "_div_up(" .. M.py(e.a, env) .. ", " .. M.py(e.b, env) .. ")" end,
}

-- above: how tightly the operator around binds.  Python chains comparisons, so they are not nested bare.
function M.py(e, env, above)
	local p = py_prec[e.op]
	local s
	if py_leaf[e.op] then
		s = py_leaf[e.op](e, env)
	else
		local chained = e.op == "andalso" or e.op == "orelse"
		s = M.py(e.a, env, p == 4 and 5 or p) .. " " .. py_op[e.op] .. " " .. M.py(e.b, env, chained and p or p + 1)
	end
	return above and p and p < above and "(" .. s .. ")" or s
end

-- English -----------------------------------------------------------------------------------------

local text_op = { add = " + ", sub = " - ", mul = " × ", div = " / ", band = " & ", eq = " is ",
		  ne = " is not ", lt = " is below ", gt = " is above ", ge = " is at least ",
		  andalso = " and ", orelse = " or ", shr = " >> " }

function M.text(e, above)
	local op = e.op
	if op == "num" then
		if e.name then
			return e.name
		end
		return e.v < 0 and string.format("0x%x", e.v) or tostring(e.v)
	elseif op == "field" then
		local who = { ["in"] = "", req = "the request's ", outer = "the message's " }
		return who[e.of] .. e.field.name
	elseif op == "limit" then
		return "the limit " .. e.limit.name
	elseif op == "nfds" then
		return "the number of file descriptors"
	elseif op == "len" then
		return "the payload's length"
	elseif op == "policy" then
		return "policy " .. e.policy .. " is " .. e.choice
	elseif op == "one_bit" then
		return M.text(e.a, true) .. " has one bit set"
	elseif op == "not" then
		return "not (" .. M.text(e.a) .. ")"
	elseif op == "div_up" then
		return M.text(e.a, true) .. " / " .. M.text(e.b, true) .. " rounded up"
	elseif e.flag then
		return e.flag .. (op == "ne" and " is set" or " is clear")
	end
	local s = M.text(e.a, true) .. text_op[op] .. M.text(e.b, true)
	return above and op ~= "eq" and "(" .. s .. ")" or s
end

return M
