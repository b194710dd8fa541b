-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- speed.svg: bars of a recorded `make bench`, tests/data/bench/recorded.txt, whose first line says of what machine it is.
--
--	Instructions an operation, of the server
--	a read of 4 bytes            ########             1610, 2 calls
--	Processor time, times the bare socket's: median, and the rounds' spread
--	4 B read                     #########|---        1.08 (1.06..1.19)
--	least: 4 B read              ========             1.02 (1.01..1.03)    lighter: the least of it, of tests/bench/client.c
--
-- A row that is new is drawn by the name that the record has; one that can not be read, or whose name is too long, is a fault.

local svg = require "svg"

local LEFT, BARS, RIGHT = 10, 262, 10
local LONG, HIGH = 154, 21 -- the longest bar; a row

local operations = {
	read4 = "a read of 4 bytes", read4x32 = "the same, 32 under way", post32 = "a posted write, 32 in a send",
	dma4k = "4 KiB by message DMA", dma4kx16 = "the same, 16 under way",
	call4 = "a read of 4 bytes", async32 = "the same, 32 under way", postoff = "a posted write",
	poston = "the same, with WRITE_MULTI", batchoff = "a posted write in a batch", batchon = "the same, with WRITE_MULTI",
}

-- Lines of the section whose title has these words.
local function section(record, words)
	local out, inside = {}, false
	for line in record:gmatch("[^\n]+") do
		if line:sub(1, 2) == "==" then
			inside = line:find(words, 1, true) ~= nil
		elseif inside then
			out[#out + 1] = line
		end
	end
	assert(#out > 0, "the bench's record has no section: " .. words)
	return out
end

local function count(line)
	local name, calls, instructions = line:match("^(%w+)%s+([%d.e+-]+)%s+([%d.e+-]+)$")
	return name and { words = operations[name] or name, value = tonumber(instructions),
			  said = ("%.0f, %.2g calls"):format(tonumber(instructions), tonumber(calls)) }
end

local function ratio(line)
	local name, cost, least, most = line:match("^(.-)%s+[%d.]+%s+([%d.]+)%s+([%d.]-)%.%.([%d.]+)")
	return name and { words = name:gsub("^client: ", ""), value = tonumber(cost), least = tonumber(least), most = tonumber(most),
			  said = ("%s (%s..%s)"):format(cost, least, most) }
end

-- What is no row: heads of columns, and a time of one client alone.
local function is_beside(line)
	return line:find("^ ") or line:find("^row ") or line:find(" ns$")
end

local function rows_of(record, panel)
	local out = {}
	for _, line in ipairs(section(record, panel.words)) do
		local row = panel.read(line)
		if row and svg.width("kind", row.words) <= BARS - LEFT - 4 then
			out[#out + 1] = row
		elseif not is_beside(line) then
			error({ fault = "tests/data/bench/recorded.txt: " .. (row and "too long a name: " or "not understood: ") .. line }, 0)
		end
	end
	return out
end

local function bars(body, y, rows, whole, class)
	for _, row in ipairs(rows) do
		local function at(value)
			return BARS + LONG * math.min(value / whole, 1)
		end
		body[#body + 1] = svg.text("kind", LEFT, y + 15, row.words)
		body[#body + 1] = svg.rect(row.words:find("^least: ") and "tail" or class, BARS, y + 4, at(row.value) - BARS, HIGH - 8)
		if row.least then
			body[#body + 1] = svg.path("line", ("M%g %gH%g"):format(at(row.least), y + HIGH / 2, at(row.most)))
		end
		body[#body + 1] = svg.text("kind", svg.WIDTH - RIGHT, y + 15, row.said, "end")
		y = y + HIGH
	end
	return y
end

local panels = {
	{ title = "Instructions an operation, of the server", read = count, words = "per operation of the server", whole = 3500 },
	{ title = "Instructions an operation, of a client in C", read = count, words = "per operation of the client", whole = 3500 },
	{ title = "Processor time with our server, times the bare socket's", read = ratio, words = "the same in processor time", whole = 2.5, one = true },
	{ title = "The same with our client", read = ratio, words = "a client in C", whole = 2.5, one = true },
}

return function(_, _, recorded)
	local record = recorded("bench/recorded.txt")
	local machine, body, y, told = record:match("^# (.-)\n"), {}, 8, {}
	for i, panel in ipairs(panels) do
		local rows = rows_of(record, panel)
		body[#body + 1] = svg.text("head", LEFT, y + 18, panel.title)
		local top = y + 26
		y = bars(body, top, rows, panel.whole, i % 2 == 1 and "bar" or "otherbar")
		if panel.one then -- the bare socket itself
			local x = BARS + LONG / panel.whole
			body[#body + 1] = svg.path("line", ("M%g %gV%g"):format(x, top, y), ' stroke-dasharray="2 3"')
		end
		y = y + 10
		for _, row in ipairs(rows) do
			told[#told + 1] = ("%s, %s: %s"):format(panel.title, row.words, row.said)
		end
	end
	for _, line in ipairs(svg.wrap("note", "Recorded " .. machine, svg.WIDTH - LEFT - RIGHT)) do
		body[#body + 1] = svg.text("note", LEFT, y + 12, line)
		y = y + 17
	end
	return svg.document { height = y + 6, title = "What an operation costs", desc = table.concat(told, "; ") .. ".", body = body,
			      note = "Generated from tests/data/bench/recorded.txt by codegen/gen/speed_svg.lua. Do not edit." }
end
