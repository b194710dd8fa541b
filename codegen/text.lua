-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Templates with ${holes}, and line wrapping.

local M = {}

-- Fills ${name} from vars.  A hole alone on its line takes a text of many lines, each indented like
-- the hole; if that text is empty the line goes away.
function M.fill(template, vars)
	local function value(name)
		local v = vars[name]
		if v == nil then
			error("template hole ${" .. name .. "} has no value", 3)
		end
		return type(v) == "table" and table.concat(v, "\n") or tostring(v)
	end
	local out = {}
	for line in (template:gsub("^\n", "") .. "\n"):gmatch("(.-)\n") do
		local indent, name = line:match("^(%s*)%${([%w_]+)}$")
		if name then
			local v = value(name)
			if v ~= "" then
				for l in (v:gsub("\n$", "") .. "\n"):gmatch("(.-)\n") do
					out[#out + 1] = l == "" and l or indent .. l
				end
			end
		else
			out[#out + 1] = (line:gsub("%${([%w_]+)}", value))
		end
	end
	while out[#out] == "" do
		out[#out] = nil
	end
	return table.concat(out, "\n") .. "\n"
end

-- What f gives for each entry of a list, without nil.
function M.map(list, f)
	local out = {}
	for i, v in ipairs(list) do
		out[#out + 1] = f(v, i)
	end
	return out
end

-- Width on screen: a tab counts 8, a UTF-8 sequence 1.
local function width(s)
	local n = 0
	for _, c in utf8.codes(s) do
		n = c == 9 and (n // 8 + 1) * 8 or n + 1
	end
	return n
end
M.width = width

-- Words of text in lines of at most `columns`.
function M.wrap(text, columns, first, rest)
	first, rest = first or "", rest or first or ""
	local out, line, empty = {}, first, true
	for word in text:gmatch("%S+") do
		local try = empty and line .. word or line .. " " .. word
		if not empty and width(try) > columns then
			out[#out + 1] = line
			line = rest .. word
		else
			line = try
		end
		empty = false
	end
	out[#out + 1] = line
	return table.concat(out, "\n")
end

-- A C comment, on one line when it fits.
function M.c_comment(text, indent)
	indent = indent or ""
	text = text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")
	local one = indent .. "/* " .. text .. " */"
	if width(one) <= 100 then
		return one
	end
	return indent .. "/*\n" .. M.wrap(text, 100, indent .. " * ") .. "\n" .. indent .. " */"
end

-- Names something that has a place of its own in the reference, which makes a link of it.
function M.link(kind, name)
	return ("\1%s %s\2"):format(kind, name)
end

-- What the place is called in the reference, where links lead.
function M.anchor(kind, name)
	return (kind .. "-" .. name):gsub("[_.]", "-"):lower()
end

-- "a", "b" or "c"
function M.either(first, list)
	local out = '"' .. first .. '"'
	for i, word in ipairs(list) do
		out = out .. (i == #list and ' or "' or ', "') .. word .. '"'
	end
	return out
end

-- A member of a structure or enumeration, its comment behind it when it fits.
function M.c_member(line, doc)
	local one = ("\t%s /* %s */"):format(line, M.oneline(doc))
	return M.width(one) <= 100 and one or M.c_comment(doc, "\t") .. "\n\t" .. line
end

-- Collapses a doc string to one line.
function M.oneline(s)
	return (s:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

-- Marks with NUL the spaces behind &&, || and commas, but not those inside a string.
local function breakable(s)
	local out, quoted = {}, false
	for i = 1, #s do
		local c, before = s:sub(i, i), s:sub(1, i - 1)
		if c == '"' then
			quoted = not quoted
		end
		local can = c == " " and not quoted and (before:find("&&$") or before:sub(-2) == "||" or before:find(",$"))
		out[i] = can and "\0" or c
	end
	return table.concat(out)
end

-- An if or return whose expression is broken before && and ||, or after a comma, to fit.
function M.c_statement(indent, before, expression, after)
	after = after or ""
	local line = indent .. before .. expression .. after
	if width(line) <= 100 then
		return line
	end
	-- continuation lines start under the first operand
	local columns = width(indent .. before)
	local pad = ("\t"):rep(columns // 8) .. (" "):rep(columns % 8)
	local out, current = {}, indent .. before
	local fresh = true
	local marked = breakable(expression)
	for piece in (marked .. "\0"):gmatch("(.-)%z") do
		if not fresh and width(current .. " " .. piece .. after) > 100 then
			out[#out + 1] = current
			current, fresh = pad, true
		end
		current = fresh and current .. piece or current .. " " .. piece
		fresh = false
	end
	out[#out + 1] = current .. after
	return table.concat(out, "\n")
end

return M
