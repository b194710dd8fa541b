-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Tables and expressions as Lua for Wireshark: 5.2, whose numbers are doubles, and 5.4.  So numbers of the
-- protocol are UInt64 objects, a constant is k["1f"], and no operator of 5.3 is used:
--
--	{ who = "size", text = "is at least 1", at = 24, broken = function(c) return (c.p.size == k["0"]) end }
--
-- In a function `c` is what it looks at: c.p, c.outer, c.head and c.request() are fields by name, c.v the
-- variables of a tail; a limit of type bool is a Lua boolean.

local pyname = require "pyname"
local text = require "text"

local M = {}

local infix = { add = "+", sub = "-", mul = "*", div = "/", mod = "%", eq = "==", ne = "~=", lt = "<", gt = ">", ge = ">=",
		andalso = "and", orelse = "or" }
local whose = { ["in"] = "c.p.", req = "c.request().", outer = "c.outer.", head = "c.head." }

local function constant(v)
	return ('k["%x"]'):format(v)
end

local printers = {
	num = function(e) return constant(e.v) end,
	field = function(e) return whose[e.of] .. e.field.name end,
	limit = function(e) return "c.limits." .. e.limit.name end,
	name = function(e) return "c.v." .. e.name end,
	nfds = function() return "c.nfds" end,
	len = function() return "c.len" end,
	start = function() return "c.start" end,
	policy = function(e) return ("(c.policy.%s == %s)"):format(e.policy, pyname.quote(e.choice)) end,
	band = function(e) return ("%s:band(%s)"):format(M.expression(e.a), M.expression(e.b)) end,
	shr = function(e) return ("%s:rshift(%s:tonumber())"):format(M.expression(e.a), M.expression(e.b)) end,
	one_bit = function(e) return ("one_bit(%s)"):format(M.expression(e.a)) end,
	is_text = function(e) return ("is_text(c, %s)"):format(M.expression(e.a)) end,
	div_up = function(e) return ("div_up(%s, %s)"):format(M.expression(e.a), M.expression(e.b)) end,
	choose = function(e) return ("(%s and %s or %s)"):format(M.expression(e.c), M.expression(e.a), M.expression(e.b)) end,
	["not"] = function(e) return ("not %s"):format(M.expression(e.a)) end,
}

function M.expression(e)
	if printers[e.op] then
		return printers[e.op](e)
	end
	return ("(%s %s %s)"):format(M.expression(e.a), infix[e.op], M.expression(e.b))
end

local code_mt = {}

-- Text that is Lua already.
function M.code(s)
	return setmetatable({ s }, code_mt)
end

-- A function that gives this expression, or nil.
function M.fn(e)
	return e and M.code(("function(c) return %s end"):format(M.expression(e)))
end

-- A number of 64 bits, or nil.
function M.number(v)
	return v and M.code(constant(v))
end

local pairs_mt = {}

-- { { "name", "x" }, { "size", 4 }, ... }: a table with these keys, without those that have no value.
function M.record(list)
	return setmetatable(list, pairs_mt)
end

local function entries(v, indent)
	local out = {}
	for _, item in ipairs(v) do
		if getmetatable(v) ~= pairs_mt then
			out[#out + 1] = M.encode(item, indent)
		elseif item[2] ~= nil then
			local key = item[1]
			local name = type(key) == "number" and ("[%d]"):format(key) or key:find("^%a[%w_]*$") and key or "[" .. pyname.quote(key) .. "]"
			out[#out + 1] = name .. " = " .. M.encode(item[2], indent)
		end
	end
	return out
end

-- On one line if it fits, else an entry a line.
function M.encode(v, indent)
	indent = indent or ""
	if getmetatable(v) == code_mt then
		return v[1]
	elseif type(v) == "string" then
		return pyname.quote(v)
	elseif type(v) ~= "table" then
		return tostring(v)
	end
	local deeper = indent .. "\t"
	local list = entries(v, deeper)
	local line = "{ " .. table.concat(list, ", ") .. " }"
	if #list == 0 then
		return "{}"
	elseif not line:find("\n", 1, true) and text.width(indent .. line) <= 100 then
		return line
	end
	return "{\n" .. deeper .. table.concat(list, ",\n" .. deeper) .. ",\n" .. indent .. "}"
end

return M
