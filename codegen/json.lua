-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- JSON text.  An object is a list of { key, value }, made by object(); those without a value are left out.
-- Expressions are trees: { "op": "lt", "a": …, "b": … }, and numbers themselves.

local text = require "text"

local M = {}

local object_mt = {}

-- { { "name", "x" }, { "size", 4 }, ... }
function M.object(pairs_of)
	return setmetatable(pairs_of, object_mt)
end

-- A number of 64 bits.  What other languages keep in a double cannot hold all of them: those above
-- 2^53 - 1 are strings.
local function number(v)
	return (v < 0 or v > 0x1fffffffffffff) and ('"0x%x"'):format(v) or ("%d"):format(v)
end

local function string_of(s)
	return '"' .. s:gsub('[%c"\\]', function(c)
		return (c == '"' or c == "\\") and "\\" .. c or ("\\u%04x"):format(c:byte())
	end) .. '"'
end

local scalars = { string = string_of, boolean = tostring, number = number }

-- Of a list or object: its entries, each after `before`, which names it.
local function entries(v, indent)
	local out = {}
	for _, item in ipairs(v) do
		if getmetatable(v) ~= object_mt then
			out[#out + 1] = M.encode(item, indent)
		elseif item[2] ~= nil then
			out[#out + 1] = string_of(item[1]) .. ": " .. M.encode(item[2], indent)
		end
	end
	return out
end

-- On one line if it fits, else an entry a line.
function M.encode(v, indent)
	indent = indent or ""
	if scalars[type(v)] then
		return scalars[type(v)](v)
	end
	local open, close = "[", "]"
	if getmetatable(v) == object_mt then
		open, close = "{", "}"
	end
	local deeper = indent .. "  "
	local list = entries(v, deeper)
	local line = open .. table.concat(list, ", ") .. close
	if not line:find("\n", 1, true) and text.width(indent .. line) <= 100 then
		return line
	end
	return open .. "\n" .. deeper .. table.concat(list, ",\n" .. deeper) .. "\n" .. indent .. close
end

local leaves = {
	num = function(e) return e.v end,
	field = function(e)
		return M.object { { "op", "field" }, { "of", e.of == "in" and "self" or e.of == "req" and "request" or e.of },
				  { "name", e.field.name } }
	end,
	limit = function(e) return M.object { { "op", "limit" }, { "name", e.limit.name } } end,
	name = function(e) return M.object { { "op", "name" }, { "name", e.name } } end,
	policy = function(e) return M.object { { "op", "policy" }, { "name", e.policy }, { "choice", e.choice } } end,
}

-- An expression of the model, or nil.
function M.tree(e)
	if not e then
		return nil
	elseif leaves[e.op] then
		return leaves[e.op](e)
	end
	return M.object { { "op", e.op }, { "if", M.tree(e.c) }, { "a", M.tree(e.a) }, { "b", M.tree(e.b) } }
end

-- A rule that is no expression, and the words of its fault.
function M.says(name, words)
	return M.object { { "rule", name }, { "text", words } }
end

-- A number, a limit, or nil.
function M.bound(v)
	return type(v) == "table" and M.object { { "op", "limit" }, { "name", v.name } } or v or nil
end

function M.names(list)
	return text.map(list, function(v) return v.name end)
end

return M
