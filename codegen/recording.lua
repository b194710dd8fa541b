-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Recorded traffic, one JSON object a line, and its messages as the model has them:
--
--	{ kind = "dma_map.request", part, time, id, from = "client", fds = 1, twin = false, payload, flags }
--	{ kind = "eventfd", time, what }      something that went by no socket
--
-- Each says how many `left_out` messages the recording counts before it, without showing them.

local M = {}

local function string_of(line, key)
	return line:match('"' .. key .. '": ?"([^"]*)"')
end

local function number_of(line, key)
	return math.tointeger(tonumber(line:match('"' .. key .. '": ?(%d+)')))
end

local function bytes(hex)
	return (hex:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end))
end

-- What the descriptors are, as far as the recording says.
local function files(line)
	return line:find("[eventfd]", 1, true) and "eventfd" or line:find("memfd", 1, true) and "memory" or nil
end

-- What tells a message that wants no reply.
local function no_reply(header)
	for _, f in ipairs(header.fields) do
		if f.name == "flags" then
			return f.flags.members.no_reply.mask
		end
	end
end

local function message(line, by_id, header)
	local number, key = number_of(line, "cmd"), string_of(line, "type") == "cmd" and "request" or "reply"
	local m = assert(by_id[number], "a recording has a command that the spec lacks")
	return {
		kind = m.name .. "." .. key, name = m.name, part = m[key], key = key, time = number_of(line, "t_us"), id = number_of(line, "id"),
		from = string_of(line, "dir") == "c2s" and "client" or "server", fds = number_of(line, "nfds"), files = files(line),
		twin = line:find('"twin": ?true') ~= nil, payload = bytes(string_of(line, "payload")), wants_none = number_of(line, "flags") & no_reply(header) ~= 0,
		size = number_of(line, "size") - header.size,
	}
end

local events = { memory = true, eventfd = true }

function M.read(text, model)
	local out, by_id, left_out = {}, {}, 0
	for _, m in ipairs(model.messages) do
		by_id[m.id] = m
	end
	for line in text:gmatch("[^\n]+") do
		local event = string_of(line, "ev")
		local is_shown = not event or events[event]
		if is_shown then
			out[#out + 1] = event and { kind = event, time = number_of(line, "t_us"), what = string_of(line, "what") } or message(line, by_id, model.header)
			out[#out].left_out = left_out
		end
		left_out = event == "skipped" and left_out + number_of(line, "count") or is_shown and 0 or left_out
	end
	return out
end

local formats = { "<I1", "<I2", nil, "<I4", [8] = "<I8" }

-- Of a field of a message; nil if its payload has no such.
function M.value(m, name)
	for _, f in ipairs(m.part.fields) do
		if f.name == name and #m.payload >= f.offset + f.size then
			return string.unpack(formats[f.size], m.payload, f.offset + 1), f
		end
	end
	local tail = m.part.tail
	local rest = m.payload:sub(m.part.size + 1)
	if tail and tail.name == name and tail.kind == "bytes" and #rest <= 8 and #rest > 0 then
		return string.unpack("<I" .. #rest, rest)
	end
end

local function flags(value, set)
	local out = {}
	for _, member in ipairs(set.members) do
		local bits = value & member.mask
		if bits ~= 0 and not member.wide then
			out[#out + 1] = member.name
		end
	end
	return #out > 0 and table.concat(out, "|") or "0"
end

local function member(value, enum)
	for _, v in ipairs(enum.values) do
		if v.value == value then
			return v.name
		end
	end
	return tostring(value)
end

-- What follows the fields, in short.
local function tail(m)
	local rest = m.payload:sub(m.part.size + 1)
	if m.part.tail.kind == "json" then
		return (rest:gsub("%z", ""):gsub('^{ ?"capabilities": ?', ""):gsub("}$", ""):gsub('"', ""):gsub(": ", ":"):gsub(", ?", " "):gsub("{ ", "{"):gsub(" }", "}"))
	end
	local long = m.size - m.part.size
	return long <= 8 and ("0x%x"):format(string.unpack("<I" .. #rest, rest)) or ("%d bytes"):format(long)
end

local hexadecimal = { offset = true, address = true, size = true }

-- A field of a message as words, "size=0x1000".
function M.words(m, name)
	if m.part.tail and m.part.tail.name == name then
		return name .. "=" .. tail(m)
	end
	local value, f = M.value(m, name)
	local words = f.flags and flags(value, f.flags) or f.enum and member(value, f.enum) or
		      (f.show == "hex" or hexadecimal[name]) and ("0x%x"):format(value) or ("%d"):format(value)
	return name .. "=" .. words
end

-- Is this message of that kind, with these values?
function M.is(m, kind, where)
	if m.kind ~= kind then
		return false
	end
	for name, value in pairs(where or {}) do
		if M.value(m, name) ~= value then
			return false
		end
	end
	return true
end

return M
