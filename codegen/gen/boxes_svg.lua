-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- boxes.tar: the layout of every message, of the header and of what lies inside payloads, a picture each; eight
-- bytes a row, with their offsets:
--
--	Request, from the client                     32 bytes
--	  : header, 16 bytes: command 2                   :
--	   0   1   2   3   4   5   6   7
--	0 | argsz             | flags                     |
--	  | u32               | u32, bits                 |
--	8 | offset ...
--	  ( with it: at most 1 descriptor )
--
-- What may follow the fields is a box of another colour, open below.

local E = require "expr"
local svg = require "svg"
local tails = require "tail"
local tar = require "tar"
local text = require "text"

local ROW = 8 -- bytes
local LEFT, RIGHT = 46, 10
local BYTE = (svg.WIDTH - LEFT - RIGHT) / ROW
local HIGH, TAIL_HIGH, STRIP = 42, 46, 24 -- of a row of fields, of a tail, of the header's strip
local GAP = 10

-- A picture grows downwards: y is where the next thing goes.
local Picture = {}
Picture.__index = Picture

local function new()
	return setmetatable({ body = {}, y = 8 }, Picture)
end

function Picture:add(shape)
	self.body[#self.body + 1] = shape
end

-- Words in lines over the whole width.
function Picture:words(kind, words, height)
	for _, line in ipairs(svg.wrap(kind, words, svg.WIDTH - LEFT - RIGHT)) do
		self:add(svg.text(kind, LEFT, self.y + height - 5, line))
		self.y = self.y + height
	end
end

function Picture:heading(words, size)
	self:add(svg.text("head", LEFT, self.y + 16, words))
	self:add(svg.text("note", svg.WIDTH - RIGHT, self.y + 16, size, "end"))
	self.y = self.y + 24
end

local function kind_of(field)
	return field.type .. (field.flags and ", bits" or field.enum and ", values" or "")
end

function Picture:field(f, at)
	local x, width = LEFT + at * BYTE, f.size * BYTE
	self:add(svg.group(("%s: %s, at %d: %s"):format(f.name, kind_of(f), f.offset, f.doc), {
		svg.rect("field", x, self.y, width, HIGH),
		svg.text("name", x + 8, self.y + 18, svg.fit("name", f.name, width - 12)),
		svg.text("kind", x + 8, self.y + 34, svg.fit("kind", kind_of(f), width - 12)),
	}))
end

-- The numbers of the bytes above a first row.
function Picture:scale()
	for i = 0, ROW - 1 do
		self:add(svg.text("kind", LEFT + i * BYTE + 8, self.y + 12, tostring(i)))
	end
	self.y = self.y + 18
end

function Picture:offset(n, high)
	self:add(svg.text("kind", LEFT - 8, self.y + high / 2 + 4, tostring(n), "end"))
end

function Picture:fields(fields)
	local first
	for _, f in ipairs(fields) do
		if not first or f.offset - first >= ROW then
			self.y = first and self.y + HIGH or self.y
			first = f.offset
			self:offset(first, HIGH)
		end
		self:field(f, f.offset - first)
	end
	self.y = first and self.y + HIGH or self.y
end

-- Open below: nobody knows where it ends.
function Picture:tail(t, offset)
	local width, words = svg.WIDTH - LEFT - RIGHT, tails[t.kind].box(t)
	local x, y, step = LEFT, self.y, (svg.WIDTH - LEFT - RIGHT) / 16
	local d = { ("M%g %gv-%g h%g v%g"):format(x, y + TAIL_HIGH, TAIL_HIGH, width, TAIL_HIGH) }
	for i = 1, 16 do
		d[#d + 1] = ("l%g %g"):format(-step, i % 2 == 1 and -6 or 6)
	end
	self:offset(offset, HIGH)
	self:add(svg.group(("%s, from %d on: %s"):format(t.name, offset, t.doc), {
		svg.path("tail", table.concat(d, " ")),
		svg.text("name", x + 8, y + 18, svg.fit("name", t.name, width - 16)),
		svg.text("kind", x + 8, y + 34, svg.fit("kind", words, width - 16)),
	}))
	self.y = self.y + TAIL_HIGH
end

function Picture:strip(words)
	self:add(svg.rect("head", LEFT, self.y, svg.WIDTH - LEFT - RIGHT, STRIP))
	self:add(svg.text("kind", LEFT + 8, self.y + 16, words))
	self.y = self.y + STRIP
end

function Picture:part(part)
	if #part.fields > 0 then
		self:scale()
		self:fields(part.fields)
	end
	if part.tail then
		self:tail(part.tail, part.size)
	end
end

local function several(n, what)
	return ("%s %s%s"):format(n, what, tostring(n) == "1" and "" or "s")
end

-- How many descriptors, in few words; nil if there are none.
local function descriptors(fds)
	if not fds or fds.none then
		return nil
	end
	local bound = fds.count or fds.max or fds.min
	local before = fds.count and "" or fds.max and "at most " or fds.min and "at least " or "any number of "
	local n = bound and E.text(bound)
	return before .. (tonumber(n) and several(n, "descriptor") or n and n .. " descriptors" or "descriptors") ..
	       (fds.or_none and ", or none" or "")
end

function Picture:pill(words)
	self.y = self.y + 6
	local width = math.min(svg.width("tag", words) + 20, svg.WIDTH - LEFT - RIGHT)
	self:add(svg.rect("pill", LEFT, self.y, width, 22, 11))
	self:add(svg.text("tag", LEFT + 10, self.y + 15, svg.fit("tag", words, width - 16)))
	self.y = self.y + 22
end

local function size_of(part)
	local n = several(part.size, "byte")
	return part.tail and n .. (" and %s"):format(part.tail.name) or n
end

function Picture:alternative(alt)
	self.y = self.y + 6
	self:words("note", ("Or instead %s (%s): %s"):format(several(alt.size, "byte"), alt.name, alt.doc), 18)
	self:fields(alt.fields)
end

function Picture:side(part, words, command, header)
	self:heading(words, size_of(part))
	self:strip(("header, %d bytes: command %d"):format(header.size, command))
	self:part(part)
	local fds = descriptors(part.fds)
	if fds then
		self:pill("with it: " .. fds)
	end
	for _, alt in ipairs(part.alts) do
		self:alternative(alt)
	end
	self.y = self.y + GAP
end

-- What the picture says, for who does not see it.
local function told(part)
	local words = text.map(part.fields, function(f) return ("%s at %d (%s)"):format(f.name, f.offset, f.type) end)
	if part.tail then
		words[#words + 1] = ("%s from %d on (%s)"):format(part.tail.name, part.size, tails[part.tail.kind].box(part.tail))
	end
	return #words > 0 and table.concat(words, ", ") or "nothing"
end

local function file(name, picture, title, desc)
	return tar.file(name .. ".svg", svg.document {
		height = math.ceil(picture.y), title = title, desc = desc, body = picture.body,
		note = "Generated from spec/ by codegen/gen/boxes_svg.lua. Do not edit; see spec/README.md.",
	})
end

local function message(m, header)
	local p, other = new(), m.from == "client" and "server" or "client"
	p:side(m.request, "Request, from the " .. m.from, m.id, header)
	p:side(m.reply, "Reply, from the " .. other, m.id, header)
	return file(m.name, p, ("The payloads of %s"):format(m.name),
		    ("Behind the header of %d bytes: request: %s. Reply: %s."):format(header.size, told(m.request), told(m.reply)))
end

local function structure(part, name)
	local p = new()
	p:heading(name, size_of(part))
	p:part(part)
	p.y = p.y + GAP
	return file(name, p, "The layout of " .. name, told(part) .. ".")
end

return function(model)
	local files = { structure(model.header, "header") }
	for _, m in ipairs(model.messages) do
		files[#files + 1] = message(m, model.header)
	end
	for _, s in ipairs(model.structs) do
		files[#files + 1] = structure(s, s.name)
	end
	return tar.archive(files)
end
