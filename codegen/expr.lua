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

function M.hex(v)
	return { op = "num", v = v, hex = true }
end

-- of: "in" (the part itself), "req", "outer", or "head" of a link
function M.field(f, of)
	return { op = "field", of = of or "in", field = f }
end

function M.limit(limit)
	return { op = "limit", limit = limit }
end

-- A variable of the generated code: of a tail's loop.
function M.name(name)
	return { op = "name", name = name }
end

M.zero, M.one = M.num(0), M.num(1)
M.len = { op = "len" } -- of the payload
M.nfds = { op = "nfds" }
M.start = { op = "start" } -- where the variable part begins: the size of the fixed one

for _, op in ipairs { "add", "sub", "mul", "div", "div_up", "mod", "band", "shr", "eq", "ne", "lt", "gt", "ge",
		      "andalso", "orelse" } do
	M[op] = function(a, b)
		return { op = op, a = a, b = b }
	end
end

-- Does exactly one bit of a stand?
function M.one_bit(a)
	return { op = "one_bit", a = a }
end

-- Do all bytes from a on form one string, with its NUL and no other?
function M.is_text(a)
	return { op = "is_text", a = a }
end

function M.choose(condition, a, b)
	return { op = "choose", c = condition, a = a, b = b }
end

function M.negate(a)
	local flip = { eq = "ne", ne = "eq" }
	if flip[a.op] then
		return { op = flip[a.op], a = a.a, b = a.b }
	end
	return { op = "not", a = a }
end

-- All of these conditions; nil and false count as true, and are the answer if there is nothing else.
function M.all(...)
	local e
	for i = 1, select("#", ...) do
		local one = select(i, ...)
		if one then
			e = e and M.andalso(e, one) or one
		end
	end
	return e
end

function M.is_zero(e)
	return e.op == "num" and e.v == 0
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

local function fits(lo, hi)
	if hi >= 2.0 ^ 64 then
		return nil, "may exceed 64 bits"
	end
	return lo, hi
end

local function quotient(up)
	return function(alo, ahi, blo, bhi)
		if blo < 1 then
			return nil, "may divide by 0"
		end
		return alo // bhi, ahi // blo + up
	end
end

local combine = {
	add = function(alo, ahi, blo, bhi) return fits(alo + blo, ahi + bhi) end,
	mul = function(alo, ahi, blo, bhi) return fits(alo * blo, ahi * bhi) end,
	sub = function(alo, ahi, blo, bhi)
		if alo < bhi then
			return nil, "may fall below 0"
		end
		return alo - bhi, ahi - blo
	end,
	div = quotient(0), div_up = quotient(1),
	band = function(_, ahi, _, bhi) return 0.0, math.min(ahi, bhi) end,
	shr = function(_, ahi) return 0.0, ahi end,
}

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
	if combine[op] then
		return combine[op](alo, ahi, blo, bhi)
	end
	return 0.0, 1.0
end

-- Programs ----------------------------------------------------------------------------------------
--
-- env says how a leaf is reached: { ["in"] = "in.", req = "req->", outer = "outer->", limits =
-- "limits->", policy = "policy->", nfds = "nfds", len = "len", start = "sizeof(in)" }, and names of
-- variables where they are other than in the spec; functions of C that divide by zero, too: div, div_up.

-- How tightly an operator binds and how it is written, in C and in Python.
local infix = {
	orelse = { c = "||", c_prec = 1, py = "or", py_prec = 1 },
	andalso = { c = "&&", c_prec = 2, py = "and", py_prec = 2 },
	band = { c = "&", c_prec = 3, py = "&", py_prec = 5 },
	shr = { c = ">>", c_prec = 6, py = ">>", py_prec = 6 },
	add = { c = "+", c_prec = 7, py = "+", py_prec = 7 },
	sub = { c = "-", c_prec = 7, py = "-", py_prec = 7 },
	mul = { c = "*", c_prec = 8, py = "*", py_prec = 8 },
	div = { c = "/", c_prec = 8, py = "//", py_prec = 8 },
	mod = { c = "%", c_prec = 8, py = "%", py_prec = 8 },
}
for op, sign in pairs { eq = "==", ne = "!=", lt = "<", gt = ">", ge = ">=" } do
	infix[op] = { c = sign, c_prec = (op == "eq" or op == "ne") and 4 or 5, py = sign, py_prec = 4 }
end

local function chained(op)
	return op == "andalso" or op == "orelse"
end

-- The same in both languages.
local leaf = {
	field = function(e, env) return env[e.of] .. e.field.name end,
	limit = function(e, env) return env.limits .. e.limit.name end,
	name = function(e, env) return env[e.name] or e.name end,
	nfds = function(_, env) return env.nfds end,
	len = function(_, env) return env.len end,
	start = function(_, env) return env.start end,
}

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
	return e.op == "len" or e.op == "name"
end

-- A flag test: a & b compared with 0.
local function tests_bits(e)
	return e.a.op == "band" and M.is_zero(e.b)
end

local c_special = {
	num = function(e) return e.c or (e.hex and string.format("0x%x", e.v)) or M.c_number(e.v) end,
	policy = function(e, env)
		return ("%s%s == %s"):format(env.policy, e.policy, ("VFUI_" .. e.policy .. "_" .. e.choice):upper())
	end,
	one_bit = function(e, env) return "one_bit(" .. M.c(e.a, env) .. ")" end,
	is_text = function(e, env) return "is_text(v, " .. M.c(e.a, env) .. ")" end,
	["not"] = function(e, env)
		local s = M.c(e.a, env)
		return (e.a.op == "one_bit" or e.a.op == "is_text" or e.a.op == "limit") and "!" .. s or "!(" .. s .. ")"
	end,
	div_up = function(e, env) return (env.div_up or "div_up") .. "(" .. M.c(e.a, env) .. ", " .. M.c(e.b, env) .. ")" end,
	div = function(e, env) return env.div and ("%s(%s, %s)"):format(env.div, M.c(e.a, env), M.c(e.b, env)) end,
	choose = function(e, env)
		return ("(%s ? %s : %s)"):format(M.c(e.c, env, 4), M.c(e.a, env), M.c(e.b, env))
	end,
	-- reads best without the comparison
	ne = function(e, env, above)
		local s = tests_bits(e) and M.c(e.a, env)
		return s and (above and "(" .. s .. ")" or s)
	end,
	eq = function(e, env) return tests_bits(e) and "!(" .. M.c(e.a, env) .. ")" end,
}

-- above: how tightly the operator around binds.
function M.c(e, env, above)
	local op = e.op
	local s = leaf[op] and leaf[op](e, env) or c_special[op] and c_special[op](e, env, above)
	if s then
		return s
	end
	local p = infix[op].c_prec
	local a, b = M.c(e.a, env, p), M.c(e.b, env, chained(op) and p or p + 0.5)
	if (op == "add" or op == "mul") and not wide(e.a) and not wide(e.b) then
		a = "(uint64_t)" .. a
	end
	s = a .. " " .. infix[op].c .. " " .. b
	-- compilers warn of && in ||, and of + in &
	local odd = above and (op == "andalso" and above == 1 or
			       (op == "add" or op == "sub") and above < 4 and above > 2)
	return above and (p < above or odd) and "(" .. s .. ")" or s
end

local py_special = {
	num = function(e)
		return (e.hex or e.v < 0 or e.v > 0xffff) and string.format("0x%x", e.v) or tostring(e.v)
	end,
	policy = function(e, env) return ("%s%s == %q"):format(env.policy, e.policy, e.choice), 4 end,
	one_bit = function(e, env) return "bin(" .. M.py(e.a, env) .. ").count(\"1\") == 1", 4 end,
	is_text = function(e, env) return "_is_text(v, " .. M.py(e.a, env) .. ")" end,
	["not"] = function(e, env) return "not " .. M.py(e.a, env, 3), 3 end,
	div_up = function(e, env) return "_div_up(" .. M.py(e.a, env) .. ", " .. M.py(e.b, env) .. ")" end,
	choose = function(e, env)
		return ("(%s if %s else %s)"):format(M.py(e.a, env), M.py(e.c, env), M.py(e.b, env))
	end,
}

-- Python chains comparisons, so they are not nested bare.
function M.py(e, env, above)
	local op, s, p = e.op, nil, nil
	if leaf[op] then
		return leaf[op](e, env)
	elseif py_special[op] then
		s, p = py_special[op](e, env)
	else
		p = infix[op].py_prec
		s = ("%s %s %s"):format(M.py(e.a, env, p == 4 and 5 or p), infix[op].py,
					M.py(e.b, env, chained(op) and p or p + 1))
	end
	return above and p and p < above and "(" .. s .. ")" or s
end

-- English -----------------------------------------------------------------------------------------

local text_op = { add = " + ", sub = " - ", mul = " × ", div = " / ", band = " & ", eq = " is ",
		  ne = " is not ", lt = " is below ", gt = " is above ", ge = " is at least ",
		  andalso = " and ", orelse = " or ", shr = " >> " }
local whose = { ["in"] = "", req = "the request's ", outer = "the message's field " }

local in_words = {
	num = function(e)
		if e.v == math.maxinteger then
			return "2^63 - 1"
		end
		return e.name or e.v < 0 and string.format("0x%x", e.v) or tostring(e.v)
	end,
	field = function(e) return whose[e.of] .. e.field.name end,
	limit = function(e) return e.limit.type == "bool" and e.limit.name .. " was agreed" or "the limit " .. e.limit.name end,
	nfds = function() return "the number of file descriptors" end,
	len = function() return "the payload's length" end,
	policy = function(e) return "policy " .. e.policy .. " is " .. e.choice end,
	one_bit = function(e) return M.text(e.a, true) .. " has one bit set" end,
	["not"] = function(e) return "not (" .. M.text(e.a) .. ")" end,
	div_up = function(e) return M.text(e.a, true) .. " / " .. M.text(e.b, true) .. " rounded up" end,
}

function M.text(e, above)
	if in_words[e.op] then
		return in_words[e.op](e)
	elseif e.flag then
		return e.flag .. (e.op == "ne" and " is set" or e.op == "eq" and " is clear" or "")
	end
	local s = M.text(e.a, true) .. text_op[e.op] .. M.text(e.b, true)
	return above and e.op ~= "eq" and "(" .. s .. ")" or s
end

return M
