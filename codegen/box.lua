-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Layouts of parts as boxes of text, eight bytes a row:
--
--	          0       1       2       3       4       5       6       7
--	      +---------------+---------------+
--	    0 | major         | minor         |
--	      +---------------+---------------+-------------------------------+
--	    4 | data: JSON text and a NUL, or nothing                         |
--	      ~                                                               ~
--	      +---------------------------------------------------------------+

local tails = require "tail"
local text = require "text"

local M = {}

local BYTE, ROW = 8, 8 -- columns of a byte, with the line before it; bytes of a row

-- A cell of so many bytes: its words, or what fits of them.
local function cell(words, bytes)
	local columns = bytes * BYTE - 3
	if text.width(words) > columns then
		words = words:sub(1, utf8.offset(words, columns - 1) - 1) .. ".."
	end
	return "| " .. words .. (" "):rep(columns - text.width(words)) .. " "
end

-- A line below cells of these sizes.
local function rule(cells)
	local out = {}
	for _, c in ipairs(cells) do
		out[#out + 1] = "+" .. ("-"):rep(c.bytes * BYTE - 1)
	end
	return table.concat(out) .. "+"
end

-- The line between two rows: a corner where a cell of either begins, as long as the longer one.
local function between(above, below)
	local a, b = above and rule(above) or "", below and rule(below) or ""
	local out = {}
	for i = 1, math.max(#a, #b) do
		local x, y = a:sub(i, i), b:sub(i, i)
		out[i] = (x == "+" or y == "+") and "+" or "-"
	end
	return table.concat(out)
end

local function rows_of(part)
	local rows = {}
	for _, f in ipairs(part.fields) do
		local row = rows[#rows]
		if not row or f.offset - row.offset >= ROW then
			row = { offset = f.offset }
			rows[#rows + 1] = row
		end
		row[#row + 1] = { words = f.name, bytes = f.size }
	end
	return rows
end

local function line(offset, words)
	return ("%5s %s"):format(offset, words)
end

-- Lines of the box, or nil if there is nothing in the part.
function M.draw(part)
	local rows, out = rows_of(part), {}
	if part.tail then
		local words = part.tail.name .. ": " .. tails[part.tail.kind].box(part.tail)
		rows[#rows + 1] = { offset = part.size, { words = words, bytes = ROW }, tail = true }
	end
	if #rows == 0 then
		return nil
	end
	local numbers = {}
	for i = 0, ROW - 1 do
		numbers[#numbers + 1] = ("%-" .. BYTE .. "d"):format(i)
	end
	out[1] = line("", "    " .. table.concat(numbers):gsub(" +$", ""))
	for i, row in ipairs(rows) do
		out[#out + 1] = line("", between(rows[i - 1], row))
		local cells = text.map(row, function(c) return cell(c.words, c.bytes) end)
		out[#out + 1] = line(row.offset, table.concat(cells) .. "|")
		if row.tail then
			out[#out + 1] = line("", "~" .. (" "):rep(ROW * BYTE - 1) .. "~")
		end
	end
	out[#out + 1] = line("", between(rows[#rows]))
	return out
end

return M
