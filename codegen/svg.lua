-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Pictures as SVG: shapes and words of a few kinds, which have a colour on light and on dark ground.
--
-- A picture has a ground of its own, so that it can be read whatever is around it. Words are text, of a size that can still
-- be read when the picture is as narrow as a telephone; how wide they are is estimated from above.

local text = require "text"

local M = {}

M.WIDTH = 560 -- of every picture: half as many again fit a page, and two thirds a telephone

local SANS = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"
local MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"

-- Kinds of words: size, how wide a character is at most on average in parts of the size, and the rest.
local FONTS = {
	head = { size = 15, each = 0.66, family = SANS, more = "font-weight:600", color = "ink" },
	note = { size = 13, each = 0.58, family = SANS, color = "dim" },
	name = { size = 14, each = 0.605, family = MONO, color = "ink" },
	kind = { size = 12, each = 0.605, family = MONO, color = "dim" },
	tag = { size = 12, each = 0.605, family = MONO, color = "warm" },
}

-- Colours on light and on dark ground. Words have a contrast of 4.5 or more to what is behind them.
local COLORS = {
	ground = { "#ffffff", "#15191e" },
	ink = { "#1b1f24", "#e8ecf1" },
	dim = { "#545d68", "#a3adb8" },
	warm = { "#8a4b00", "#f0b45c" },
	cold = { "#1f5fa8", "#7db4f5" },
	box = { "#e9f1fb", "#1e2d41" },
	edge = { "#6b8fbd", "#5d83b5" },
	open = { "#fdf4e4", "#37290f" },
	warmedge = { "#bf8c3c", "#a9803f" },
	faint = { "#d0d7de", "#3a424c" },
}

-- Kinds of shapes: { fill, stroke, more }
local SHAPES = {
	ground = { "ground" },
	field = { "box", "edge" },
	tail = { "open", "warmedge" },
	head = { "ground", "edge", "stroke-dasharray:4 3" },
	pill = { "open", "warmedge" },
	bar = { "edge" },
	otherbar = { "warmedge" },
	line = { "none", "dim" },
	faint = { "none", "faint" },
	cold = { "none", "cold", "stroke-width:1.6" },
	warm = { "none", "warm", "stroke-width:1.6" },
	coldtip = { "cold" },
	warmtip = { "warm" },
	busy = { "box", "edge" },
}

local function sorted(t)
	local keys = {}
	for key in pairs(t) do
		keys[#keys + 1] = key
	end
	table.sort(keys)
	return keys
end

local function hue(name, which)
	return name == "none" and "none" or COLORS[name][which]
end

local function colors(which)
	local out = {}
	for _, name in ipairs(sorted(FONTS)) do
		out[#out + 1] = (".t-%s{fill:%s}"):format(name, hue(FONTS[name].color, which))
	end
	for _, name in ipairs(sorted(SHAPES)) do
		local fill, stroke = SHAPES[name][1], SHAPES[name][2]
		out[#out + 1] = (".s-%s{fill:%s%s}"):format(name, hue(fill, which), stroke and ";stroke:" .. hue(stroke, which) or "")
	end
	return table.concat(out, "\n")
end

local function style()
	local out = { colors(1) }
	for _, name in ipairs(sorted(FONTS)) do
		local f = FONTS[name]
		out[#out + 1] = (".t-%s{font-family:%s;font-size:%dpx;%s}"):format(name, f.family, f.size, f.more or "")
	end
	for _, name in ipairs(sorted(SHAPES)) do
		out[#out + 1] = SHAPES[name][3] and (".s-%s{%s}"):format(name, SHAPES[name][3])
	end
	out[#out + 1] = ("@media (prefers-color-scheme:dark){\n%s\n}"):format(colors(2))
	return table.concat(out, "\n")
end

function M.escape(s)
	return (s:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub(">", "&gt;"):gsub('"', "&quot;"))
end

-- How wide words of this kind are.
function M.width(kind, words)
	return text.width(words) * FONTS[kind].size * FONTS[kind].each
end

-- As many of the words as fit.
function M.fit(kind, words, width)
	if M.width(kind, words) <= width then
		return words
	end
	local most = math.max(1, width // (FONTS[kind].size * FONTS[kind].each) - 1)
	return words:sub(1, utf8.offset(words, math.tointeger(most) + 1) - 1) .. "…"
end

-- Lines of words, none wider.
function M.wrap(kind, words, width)
	local out = {}
	for line in (text.wrap(words, width // (FONTS[kind].size * FONTS[kind].each)) .. "\n"):gmatch("(.-)\n") do
		out[#out + 1] = line
	end
	return out
end

-- anchor: start, middle or end
function M.text(kind, x, y, words, anchor)
	local at = anchor and anchor ~= "start" and (' text-anchor="%s"'):format(anchor) or ""
	return ('<text class="t-%s" x="%g" y="%g"%s>%s</text>'):format(kind, x, y, at, M.escape(words))
end

function M.rect(kind, x, y, width, height, round)
	return ('<rect class="s-%s" x="%g" y="%g" width="%g" height="%g"%s/>'):format(kind, x, y, width, height,
		round and (' rx="%g"'):format(round) or "")
end

function M.path(kind, d, more)
	return ('<path class="s-%s" d="%s"%s/>'):format(kind, d, more or "")
end

-- Shapes that have one meaning, which a pointer on them shows.
function M.group(title, shapes)
	return ("<g><title>%s</title>%s</g>"):format(M.escape(title), table.concat(shapes))
end

-- A whole picture of so many units height. note: what the file is made from
function M.document(p)
	local head = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t d">')
	local lines = {
		head:format(M.WIDTH, p.height, M.WIDTH, p.height),
		"<!-- SPDX-License-Identifier: BSD-3-Clause", "     Copyright (c) 2026 the libvfu authors", "     " .. p.note .. " -->",
		('<title id="t">%s</title>'):format(M.escape(p.title)), ('<desc id="d">%s</desc>'):format(M.escape(p.desc)),
		"<style>", style(), "</style>", M.rect("ground", 0, 0, M.WIDTH, p.height, 8),
	}
	table.move(p.body, 1, #p.body, #lines + 1, lines)
	lines[#lines + 1] = "</svg>"
	return table.concat(lines, "\n") .. "\n"
end

return M
