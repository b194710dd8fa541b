-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- sequences.tar: what happens when, a picture each, drawn from recordings (sequences.lua, recording.lua).
--
--	                client                        server       memory
--	 1                |  DMA_MAP #1        ( memory )|            |
--	 0 us             |----------------------------->|            |
--	                  |  address=0x0 size=0x1000     #
--	 2                |                 reply to #1  #
--	 85 us            |<- - - - - - - - - - - - - - -#
--
-- Time goes down, and stands at the left, from the first message on. A bar on a lifeline begins with a request and ends
-- with its reply: so long that side owes one. What is none of a socket's is a dotted line.

local recording = require "recording"
local sequences = require "sequences"
local svg = require "svg"
local tar = require "tar"
local text = require "text"

local LEFT, CLIENT = 10, 98
local LINE, ROW = 16, 24 -- a line of words; from the top of a step to its arrow
local BAR, NESTED = 8, 6

local Picture = {}
Picture.__index = Picture

local function has(sequence, kind)
	for _, step in ipairs(sequence.steps) do
		if step[1] == kind then
			return true
		end
	end
	return false
end

local function new(sequence)
	local memory = has(sequence, "memory")
	return setmetatable({ words = {}, arrows = {}, bars = {}, y = 62, number = 0, open = {}, told = {}, sequence = sequence,
			      lanes = { client = CLIENT, server = memory and 412 or 514, memory = memory and 510 or nil } }, Picture)
end

function Picture:add(layer, shape)
	local list = self[layer]
	list[#list + 1] = shape
end

-- Between the lifelines of client and server, on the side of who sends.
function Picture:line(kind, from, y, words)
	local at_left = from == "client"
	local width = self.lanes.server - CLIENT - 28
	self:add("words", svg.text(kind, at_left and CLIENT + 14 or self.lanes.server - 14, y, svg.fit(kind, words, width), at_left and "start" or "end"))
end

local function arrow(x1, x2, y, class, dashes)
	local step = x2 > x1 and -8 or 8
	return svg.path(class, ("M%g %gH%g"):format(x1, y, x2 + step), dashes and (' stroke-dasharray="%s"'):format(dashes)) ..
	       svg.path(class .. "tip", ("M%g %gl%g -4.5v9z"):format(x2, y, step))
end

-- The last thing said of a message, at the other end of its first line.
function Picture:tag(from, y, words)
	local width = svg.width("tag", words) + 16
	local x = from == "client" and self.lanes.server - 14 - width or CLIENT + 14
	self:add("words", svg.rect("pill", x, y - 14, width, 19, 9.5) .. svg.text("tag", x + 8, y, words))
end

local function duration(us)
	return us < 1000 and ("%d µs"):format(us) or us < 1000000 and ("%.1f ms"):format(us / 1000) or ("%.2f s"):format(us / 1000000)
end

function Picture:margin(m)
	self.number = self.number + 1
	self.start = self.start or m.time
	self:add("words", svg.text("name", LEFT, self.y + 14, tostring(self.number)))
	self:add("words", svg.text("kind", LEFT, self.y + 30, duration(m.time - self.start)))
end

-- Bars --------------------------------------------------------------------------------------------

local function other(side)
	return side == "client" and "server" or "client"
end

function Picture:opened(m, y)
	local who, depth = other(m.from), 0
	for _, o in pairs(self.open) do
		depth = o.who == who and math.max(depth, o.depth + 1) or depth
	end
	self.open[who .. m.id] = { who = who, depth = depth, y = y }
end

function Picture:closed(m, y)
	local key = m.from .. m.id
	local o = assert(self.open[key], "a reply without its request")
	self.open[key] = nil
	local outwards = (m.from == "server" and 1 or -1) * o.depth * NESTED
	self:add("bars", svg.rect("busy", self.lanes[m.from] - BAR / 2 + outwards, o.y, BAR, y - o.y))
end

-- Steps -------------------------------------------------------------------------------------------

local function tags(m, step)
	local out = {}
	if m.fds > 0 then
		out[#out + 1] = ("+ %d fd: %s"):format(m.fds, assert(m.files or step.fd, "what is the descriptor?"))
	end
	out[#out + 1] = m.key == "request" and m.wants_none and "no reply wanted" or nil
	out[#out + 1] = m.twin and "twin socket" or nil
	return #out > 0 and table.concat(out, ", ") or nil
end

local function heading(m)
	return (m.key == "request" and "%s #%d" or "reply to %s #%d"):format(m.name:upper(), m.id)
end

-- The fields of a message, in lines.
local function fields(m, step, width)
	local words = text.map(step.show or sequences.show[m.kind] or {}, function(name) return recording.words(m, name) end)
	return #words > 0 and svg.wrap("kind", table.concat(words, " "), width) or {}
end

function Picture:message(m, step)
	self:margin(m)
	local y, to = self.y + ROW, other(m.from)
	local lines, tag = fields(m, step, self.lanes.server - CLIENT - 28), tags(m, step)
	self:line("name", m.from, self.y + 16, heading(m))
	if tag then
		self:tag(m.from, self.y + 16, tag)
	end
	if m.key == "reply" then
		self:closed(m, y)
	elseif not m.wants_none then
		self:opened(m, y)
	end
	local class = m.from == (m.key == "request" and "client" or "server") and "cold" or "warm"
	self:add("arrows", arrow(self.lanes[m.from], self.lanes[to], y, class, m.key == "reply" and "7 4"))
	for i, line in ipairs(lines) do
		self:line("kind", m.from, y + i * LINE - 1, line)
	end
	self.y = y + math.max(#lines * LINE, 6) + 10
	self.told[#self.told + 1] = ("%d. The %s: %s %s"):format(self.number, m.from, heading(m), table.concat(lines, " "))
end

-- What goes by no socket.
function Picture:event(m, step)
	self:margin(m)
	local y = self.y + ROW
	local to = m.kind == "memory" and self.lanes.memory or CLIENT
	self:line("name", "server", self.y + 16, m.what)
	self:add("arrows", arrow(self.lanes.server, to, y, "warm", "2 4"))
	self:line("kind", "server", y + LINE - 1, step.say)
	self.y = y + LINE + 10
	self.told[#self.told + 1] = ("%d. %s: %s"):format(self.number, m.what, step.say)
end

function Picture:note(words)
	for _, line in ipairs(svg.wrap("note", words, self.lanes.server - CLIENT - 28)) do
		self:add("words", svg.text("note", (CLIENT + self.lanes.server) / 2, self.y + 12, line, "middle"))
		self.y = self.y + LINE + 1
	end
	self.y = self.y + 6
end

-- Messages that are left out.
function Picture:gap(count, words)
	self:note(("⋮  %d message%s more%s"):format(count, count == 1 and "" or "s", words and ": " .. words or ""))
end

function Picture:lifelines()
	local out = {}
	for _, name in ipairs { "client", "server", "memory" } do
		local x = self.lanes[name]
		if x then
			local width = 68
			out[#out + 1] = svg.rect("field", x - width / 2, 36, width, 22, 4) .. svg.text("kind", x, 51, name, "middle")
			out[#out + 1] = svg.path("faint", ("M%g 58V%g"):format(x, self.y))
		end
	end
	return out
end

local function find(messages, at, step, sequence)
	while messages[at] and not recording.is(messages[at], step[1], step.where) do
		at = at + 1
	end
	return messages[at] and at or
	       error({ fault = ("sequences.lua: %s: the recording has no %s more"):format(sequence.name, step[1]) })
end

-- How many there are between the one before and this one.
local function between(messages, before, at)
	local n = messages[at].left_out
	for i = before + 1, at - 1 do
		n = n + messages[i].left_out + (messages[i].part and 1 or 0)
	end
	return n
end

function Picture:steps(messages)
	local at = self.sequence.from and find(messages, 1, self.sequence.from, self.sequence) or 0
	local before = 0
	for _, step in ipairs(self.sequence.steps) do
		at = find(messages, at + 1, step, self.sequence)
		local left_out = between(messages, before, at)
		if left_out > 0 then
			self:gap(left_out, step.gap)
		end
		local m = messages[at]
		self[m.part and "message" or "event"](self, m, step)
		if step.note then
			self:note(step.note)
		end
		before = at
	end
	assert(not next(self.open), self.sequence.name .. ": a request is left without its reply")
	self.y = self.y + 6
end

local function draw(sequence, model, recorded)
	local p = new(sequence)
	p:steps(recording.read(recorded(sequence.recording), model))
	local body = { svg.text("head", LEFT, 24, sequence.title), svg.text("note", svg.WIDTH - LEFT, 24, "recorded: " .. sequence.of, "end") }
	for _, layer in ipairs { p:lifelines(), p.bars, p.arrows, p.words } do
		table.move(layer, 1, #layer, #body + 1, body)
	end
	return svg.document {
		height = math.ceil(p.y), title = sequence.title, desc = table.concat(p.told, "; ") .. ".", body = body,
		note = ("Generated from tests/data/%s by codegen/gen/sequences_svg.lua. Do not edit."):format(sequence.recording),
	}
end

return function(model, _, recorded)
	return tar.archive(text.map(sequences, function(s) return tar.file(s.name .. ".svg", draw(s, model, recorded)) end))
end
