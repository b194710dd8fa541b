-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- What vfio-user.lua is around its tables (gen/dissector.lua, luafile.lua).  It is written for Lua 5.2 and 5.4 and uses
-- nothing but Wireshark's interface.  It reads and checks as python/vfu/decode does, which the tests hold:
--
--	frame -> pseudo header -> header -> pair (request, reply) -> Reader: items in the tree
--	                                                          -> Checker: the first broken rule, as expert info

return [==[
-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- Generated from spec/ by codegen/gen/dissector.lua. Do not edit; see doc/howto/wireshark.md.
--
-- vfio-user for Wireshark and tshark: files that `vfu trace -w` writes.

local PSEUDO, HEADER, ENTRIES_MAX = 12, 16, 65536
local u64 = UInt64.new

-- Constants by their hexadecimal digits, made when they are first used.
local k = setmetatable({}, { __index = function(t, digits)
	local v = UInt64.fromhex(digits)
	rawset(t, digits, v)
	return v
end })

local function one_bit(a)
	return a ~= k["0"] and a:band(a - k["1"]) == k["0"]
end

local function div_up(a, b)
	return a / b + (a % b == k["0"] and k["0"] or k["1"])
end

-- Do all bytes from there on form one string, with its NUL and no other?
local function is_text(c, at)
	local first = c.raw:find("\0", at:tonumber() + 1, true)
	return first ~= nil and first == #c.raw
end

local T = ${tables}

local vfio_user = Proto("vfio_user", "vfio-user")

-- Fields --------------------------------------------------------------------------------------------

local F, all = {}, {}

local function register(key, field)
	F[key] = field
	all[#all + 1] = field
end

local makers = { u8 = ProtoField.uint8, u16 = ProtoField.uint16, u32 = ProtoField.uint32, u64 = ProtoField.uint64 }

for _, f in ipairs(T.fields) do
	local abbr = "vfio_user." .. f.key
	if makers[f.type] then
		register(f.key, makers[f.type](abbr, f.name, (f.hex or f.mask) and base.HEX or base.DEC, f.values, f.mask, f.doc))
	elseif f.type == "bool" then
		register(f.key, ProtoField.bool(abbr, f.name, f.bits or base.NONE, nil, f.mask, f.doc))
	elseif f.type == "bytes" then
		register(f.key, ProtoField.bytes(abbr, f.name, base.NONE, f.doc))
	else
		register(f.key, ProtoField[f.type](abbr, f.name, f.type == "none" and f.doc or base.UNICODE, f.type ~= "none" and f.doc or nil))
	end
end

local sides, sockets, orders = { [0] = "client", "server" }, { [0] = "main", "twin" }, { [0] = "little", "big" }
local kinds = { [0] = "message", "opened", "closed" }
register("pseudo", ProtoField.none("vfio_user.pseudo", "Pseudo header"))
register("version_", ProtoField.uint8("vfio_user.pseudo.version", "version", base.DEC))
register("kind_", ProtoField.uint8("vfio_user.kind", "kind", base.DEC, kinds))
register("sender_", ProtoField.uint8("vfio_user.sender", "sender", base.DEC, sides))
register("socket_", ProtoField.uint8("vfio_user.socket", "socket", base.DEC, sockets))
register("order_", ProtoField.uint8("vfio_user.byte_order", "byte order", base.DEC, orders))
register("descriptors_", ProtoField.uint16("vfio_user.descriptors", "descriptors", base.DEC))
register("connection_", ProtoField.uint32("vfio_user.connection", "connection", base.DEC))
register("reply_in", ProtoField.framenum("vfio_user.reply_in", "Reply in", base.NONE, frametype.RESPONSE))
register("reply_to", ProtoField.framenum("vfio_user.reply_to", "Reply to", base.NONE, frametype.REQUEST))
register("elapsed", ProtoField.relative_time("vfio_user.elapsed", "Time from the request"))
vfio_user.fields = all

local broken = ProtoExpert.new("vfio_user.broken", "A rule is broken", expert.group.PROTOCOL, expert.severity.ERROR)
local odd = ProtoExpert.new("vfio_user.odd", "Odd", expert.group.SEQUENCE, expert.severity.WARN)
local failed = ProtoExpert.new("vfio_user.failed", "The command failed", expert.group.RESPONSE_CODE, expert.severity.NOTE)
vfio_user.experts = { broken, odd, failed }

local choices = {}
for i, profile in ipairs(T.profiles) do
	choices[i] = { i, profile.name, i }
end
vfio_user.prefs.profile = Pref.enum("Rules of", 1, "Where the protocol leaves a choice: whose rules hold", choices, false)

-- What is known of connections, learnt when frames are seen first: all else is looked up by number.
local connections, frames

function vfio_user.init()
	connections, frames = {}, {}
end

-- Reading -------------------------------------------------------------------------------------------

-- c: what expressions look at, and the payload: c.tvb, which may be captured in part, little or not.
local function number(c, at, size)
	local range = c.tvb(at, size)
	if size == 8 then
		return c.little and range:le_uint64() or range:uint64()
	end
	return u64(c.little and range:le_uint() or range:uint())
end

-- Without errors: false where it looks at what is not there.
local function holds(c, condition)
	local fine, value = pcall(condition, c)
	return fine and value
end

local function add(c, tree, key, at, size)
	return c.little and tree:add_le(F[key], c.tvb(at, size)) or tree:add(F[key], c.tvb(at, size))
end

local Reader = {}
Reader.__index = Reader

-- The fields that are there: in the tree, if there is one; returns them by name, and how many.
local function fields(c, part, at, tree)
	local values, n = {}, 0
	for _, f in ipairs(part.fields) do
		if at + f.offset + f.size > c.captured then
			break
		end
		n = n + 1
		values[f.name] = number(c, at + f.offset, f.size)
		if tree then
			local item = add(c, tree, f.key, at + f.offset, f.size)
			for _, m in ipairs(f.members or {}) do
				add(c, item, m, at + f.offset, f.size)
			end
			c.last = at + f.offset + f.size
		end
	end
	return values, n
end

local function data(c, tree, key, at, stop)
	stop = math.min(stop, c.captured)
	c.last = math.max(c.last, stop)
	if stop > at then
		tree:add(F[key], c.tvb(at, stop - at))
	end
end

-- A scope inside c, for a structure: variables of its own.
local function inside(c, values, start)
	return setmetatable({ p = values, v = {}, start = u64(start) }, { __index = c, __newindex = function(t, key, v)
		if key == "last" then c.last = v else rawset(t, key, v) end
	end })
end

local show = {}

local function tail(c, part, start, tree)
	local t = part.tail
	for _, l in ipairs(t.variables or {}) do
		local fine, value = pcall(l.value, c)
		if not fine then
			return
		end
		c.v[l.name] = value
	end
	show[t.kind](c, t, start, tree)
end

-- A structure, if its fields are all there.
local function struct(c, name, at, tree)
	local part = T.structs[name]
	if at + part.size > c.captured then
		return nil
	end
	local item = tree:add(F[name], c.tvb(at, part.size))
	local here = inside(c, nil, at + part.size)
	here.p = fields(here, part, at, item)
	if part.tail then
		tail(here, part, at + part.size, item)
	end
	item:set_len(c.last - at)
	return item
end

-- What lies there, if it is known.
local function choose(c, items, at, tree)
	for _, item in ipairs(items) do
		if holds(c, item.condition) then
			return struct(c, item.struct, at, tree)
		end
	end
	return nil
end

function show.bytes(c, t, start, tree)
	if t.when and not holds(c, t.when) then
		return
	end
	local fine, size = pcall(t.size, c)
	if fine then
		local room = u64(math.max(c.captured - start, 0))
		data(c, tree, t.key, start, start + (size < room and size or room):tonumber())
	end
end

local json
local ARRAY = 1 -- the key of an array in the table that stands for it; objects have words

function show.json(c, t, start, tree)
	if start >= c.captured then
		return
	end
	c.last = c.captured
	local range = c.tvb(start, c.captured - start)
	local words = c.raw:sub(start + 1):gsub("%z.*$", "")
	local item = tree:add(F[t.key], range, words)
	local fine, said = pcall(json, words, t.depth)
	said = t.schema and fine and type(said) == "table" and said.capabilities
	for _, key in ipairs(type(said) == "table" and T.capabilities or {}) do
		local home = said
		if key.object then
			home = type(said[key.object]) == "table" and said[key.object] or {}
		end
		local value = home[key.name]
		if value ~= nil and (key.type == "bool") == (type(value) == "boolean") and (type(value) == "boolean" or type(value) == "userdata") then
			item:add(F[key.key], range, value)
		end
	end
end

function show.array(c, t, start, tree)
	local count = c.v.n < u64(ENTRIES_MAX) and c.v.n:tonumber() or ENTRIES_MAX
	for i = 0, count - 1 do
		local at = start + i * t.entry_size
		if at + t.entry_size > c.captured then
			return
		elseif t.of then
			struct(c, t.of, at, tree)
		else
			add(c, tree, t.key, at, t.entry_size)
			c.last = at + t.entry_size
		end
	end
end

function show.union(c, t, start, tree)
	if not choose(c, t.items, start, tree) then
		data(c, tree, t.key, start, c.captured)
	end
end

function show.strided(c, t, start, tree)
	if c.v.stride < u64(t.min_stride) or c.v.stride > u64(c.captured) then
		return
	end
	local stride = c.v.stride:tonumber()
	for at = start, c.captured - stride, stride do
		c.v.by = number(c, at + t.by_offset, t.by_size)
		local item = choose(c, t.items, at, tree)
		if item then
			item:set_len(stride)
			c.last = at + stride
		else
			data(c, tree, t.key, at, at + stride)
		end
	end
end

local function unknown_link(c, head, at, stop, tree)
	stop = math.max(at + head.size, math.min(stop, c.captured))
	local item = tree:add(F[head.name], c.tvb(at, stop - at))
	fields(c, head, at, item)
	data(c, item, head.name .. ".unknown", at + head.size, stop)
end

function show.chain(c, t, start, tree)
	if t.present and not holds(c, t.present) then
		return
	end
	local head, before = T.structs[t.head], start
	local fine, first = pcall(t.at, c)
	local at = fine and first:tonumber() or 0
	while before <= at and at + head.size <= c.captured do
		c.head = fields(c, head, at)
		local following = c.head[t.next]:tonumber()
		if not choose(c, t.items, at, tree) then
			unknown_link(c, head, at, following ~= 0 and following or c.captured, tree)
		end
		before, at = at + head.size, following
	end
	c.last = c.captured
end

-- A whole payload.
local function read(c, part, tree)
	for _, other in ipairs(part.alternatives or {}) do
		if holds(c, other.condition) then
			part = other
			break
		end
	end
	local values, n = fields(c, part, 0, tree)
	c.p, c.outer, c.start = values, values, u64(part.size)
	if n == #part.fields and part.tail then
		tail(c, part, part.size, tree)
	end
	data(c, tree, part.prefix .. ".rest", c.last, c.captured)
end

-- Checking ------------------------------------------------------------------------------------------

-- Each of these raises what is broken: { who, text, at, value }.
local function fault(who, words, at, value)
	error({ who = who, text = words, at = at, value = value }, 0)
end

-- base and prefix: place and name of a structure.
local function tests(c, rules, place, prefix)
	for _, r in ipairs(rules or {}) do
		if r.broken(c) then
			local at = type(r.at) == "number" and place + r.at or r.at(c):tonumber()
			fault(prefix .. r.who, r.text, at, r.value(c))
		end
	end
end

local check = {}

local function behind(c, part, place, prefix)
	for _, l in ipairs(part.tail and part.tail.variables or {}) do
		c.v[l.name] = l.value(c)
	end
	tests(c, part.after, place, prefix)
	if part.tail then
		check[part.tail.kind](c, part.tail, prefix)
	end
end

local function check_struct(c, name, at)
	local part = T.structs[name]
	if c.size < at + part.size then
		fault(name, ("is at least %d bytes"):format(part.size), at, c.len)
	end
	local here = inside(c, (fields(c, part, at)), at + part.size)
	tests(here, part.rules, at, name .. ".")
	behind(here, part, at, name .. ".")
	return here.p
end

local function check_entry(c, items, at)
	c.v.at = u64(at)
	for _, item in ipairs(items) do
		if item.condition(c) then
			tests(c, item.rules, 0, "")
			c.v.seen = item.bit and (c.v.seen or k["0"]):bor(item.bit) or c.v.seen
			return check_struct(c, item.struct, at)
		end
	end
end

function check.bytes()
end

function check.union(c, t)
	check_entry(c, t.items, c.start:tonumber())
end

function check.array(c, t, prefix)
	local before, start = {}, c.start:tonumber()
	for i = 0, t.of and c.v.n:tonumber() - 1 or -1 do
		local at = start + i * t.entry_size
		local p = check_struct(c, t.of, at)
		for _, o in ipairs(t.disjoint and before or {}) do
			local from, length = t.disjoint[1], t.disjoint[2]
			if p[from] - o[from] < o[length] or o[from] - p[from] < p[length] then
				fault(prefix .. t.name, "do not overlap", at, u64(#before))
			end
		end
		before[#before + 1] = p
	end
end

function check.strided(c, t)
	local stride = math.max(c.v.stride:tonumber(), 1)
	for at = c.start:tonumber(), c.size - 1, stride do
		c.v.by = number(c, at + t.by_offset, t.by_size)
		check_entry(c, t.items, at)
	end
end

function check.chain(c, t, prefix)
	if t.present and not t.present(c) then
		return
	end
	local head = T.structs[t.head]
	c.v.seen, c.v.from = k["0"], c.start
	local at = t.at(c)
	repeat
		c.v.at = at
		tests(c, { t.each }, 0, prefix)
		c.head = fields(c, head, at:tonumber())
		check_entry(c, t.items, at:tonumber())
		c.v.from, at = at + u64(head.size), c.head[t.next]
	until at == k["0"]
end

local function check_capability(key, value, at)
	local words
	if key.type == "bool" then
		words = type(value) ~= "boolean" and "is true or false"
	elseif type(value) ~= "userdata" or value < key.min or value > key.max then
		words = ("is a whole number from %s to %s"):format(tostring(key.min), tostring(key.max))
	elseif key.multiple_of and value % key.multiple_of ~= k["0"] then
		words = "is a multiple of " .. tostring(key.multiple_of)
	end
	if words then
		fault("capabilities." .. key.path, words, at, value)
	end
end

local function is_object(v)
	return type(v) == "table" and v[ARRAY] == nil
end

-- The capabilities that a side says in this text, by path.
local function capabilities(c, t, start, is_reply)
	local out, raw = {}, c.raw:sub(start + 1)
	if raw == "" then
		return out
	end
	local fine, tree = pcall(json, (raw:gsub("%z$", "")), t.depth)
	if not fine then
		fault("data", "is JSON text", start, c.len - u64(start))
	end
	local said = is_object(tree) and (tree.capabilities == nil and {} or tree.capabilities)
	if not is_object(said) then
		fault(is_object(tree) and "capabilities" or "data", "is an object", start, said)
	end
	for _, key in ipairs(T.capabilities) do
		local home = said
		if key.object then
			home = said[key.object]
			if home ~= nil and not is_object(home) then
				fault("capabilities." .. key.object, "is an object", start, home)
			end
		end
		local value = home and home[key.name]
		if value ~= nil and (is_reply and key.in_reply or not is_reply and key.in_request) then
			check_capability(key, value, start)
			out[key.path] = value
			out[key.object or ""] = true
		end
	end
	return out
end

function check.json(c, t)
	if t.schema then
		c.said = capabilities(c, t, c.start:tonumber(), c.is_reply)
	end
end

-- The first rule that a payload breaks, or nil; and whether all could be looked at.
local function verdict(c, part)
	local fine, what = pcall(function()
		for _, other in ipairs(part.alternatives or {}) do
			if other.condition(c) then
				c.p = fields(c, other, 0)
				return tests(c, other.rules, 0, "")
			end
		end
		tests(c, part.before, 0, "")
		c.p = fields(c, part, 0)
		c.outer, c.start, c.v = c.p, u64(part.size), {}
		tests(c, part.rules, 0, "")
		behind(c, part, 0, "")
	end)
	return type(what) == "table" and what or nil, fine or type(what) == "table", what
end

-- VERSION -------------------------------------------------------------------------------------------

-- Characters of several bytes; other bytes from 128 on are no UTF-8.
local WIDE = { "[\194-\223][\128-\191]", "\224[\160-\191][\128-\191]", "[\225-\236\238\239][\128-\191][\128-\191]", "\237[\128-\159][\128-\191]",
	       "\240[\144-\191][\128-\191][\128-\191]", "[\241-\243][\128-\191][\128-\191][\128-\191]", "\244[\128-\143][\128-\191][\128-\191]" }

local function is_utf8(s)
	for _, character in ipairs(WIDE) do
		s = s:gsub(character, " ")
	end
	return not s:find("[\128-\255]")
end

-- A JSON text, of at most so many levels of objects and arrays; raises an error for what is none. Whole numbers are
-- UInt64, others false; null is a function.
local function null()
end

local words = { ["true"] = true, ["false"] = false, null = null }
local escapes = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

function json(s, levels)
	local at, level = 1, 0
	local value

	local function skip()
		at = s:find("[^ \t\r\n]", at) or #s + 1
	end

	local function take(pattern)
		local first, last = s:find("^" .. pattern, at)
		if not first then
			error("JSON")
		end
		at = last + 1
		return s:sub(first, last)
	end

	local function is_next(mark)
		skip()
		return s:sub(at, at) == mark
	end

	local function escape()
		local c = take('\\["\\/bfnrtu]'):sub(2)
		if c ~= "u" then
			return escapes[c]
		end
		local number = tonumber(take("%x%x%x%x"), 16)
		return number < 128 and string.char(number) or ("\\u%04x"):format(number)
	end

	local function text()
		local out = {}
		take('"')
		while s:sub(at, at) ~= '"' do
			out[#out + 1] = s:sub(at, at) == "\\" and escape() or take('[^%z\1-\31"\\]+')
		end
		take('"')
		return table.concat(out)
	end

	local function whole()
		local first = at
		take("%-?%d+")
		if s:find("^%-?0%d", first) then
			error("JSON")
		end
		for _, more in ipairs { "^%.()%d*", "^[eE][+-]?()%d*" } do
			local found, last, digits = s:find(more, at)
			if found and last < digits then
				error("JSON")
			end
			at = found and last + 1 or at
		end
		local digits = s:sub(first, at - 1):gsub("^%-0$", "0")
		if not digits:find("^%d+$") or #digits > 20 or #digits == 20 and digits > "18446744073709551615" then
			return false
		end
		return u64(digits)
	end

	-- Entries, each read by one(out), up to the closing bracket.
	local function list(close, one)
		local out = {}
		at, level = at + 1, level + 1
		if level > levels then
			error("JSON: deep")
		end
		local more = not is_next(close)
		while more do
			one(out)
			more = not is_next(close)
			if more then
				take(",")
				skip()
			end
		end
		at, level = at + 1, level - 1
		return out
	end

	local function member(out)
		local name = text()
		skip()
		take(":")
		if out[name] ~= nil or name:find("%z") then
			error("JSON: key")
		end
		out[name] = value()
	end

	function value()
		skip()
		local first = s:sub(at, at)
		if first == "{" then
			return list("}", member)
		elseif first == "[" then
			return { [ARRAY] = list("]", value) }
		elseif first == '"' then
			return text()
		elseif first:find("[%d-]") then
			return whole()
		end
		local word = words[take("%a+")]
		if word == nil then
			error("JSON")
		end
		return word
	end

	local out = is_utf8(s) and value()
	skip()
	if at <= #s then
		error("JSON")
	end
	return out
end

-- What a side takes, once both have said these capabilities.
local function agree(own, asked, answered, minor)
	local limits = {}
	for name, default in pairs(T.limits) do
		limits[name] = default
	end
	for _, key in ipairs(T.capabilities) do
		local a, b = asked[key.path], answered[key.path]
		local proposed = a ~= nil
		if key.object and not key.in_request then
			proposed = asked[key.object]
		end
		local value = key.default
		if key.combine == "own" then
			if own[key.path] ~= nil then value = own[key.path] end
		elseif not key.feature or proposed and b ~= nil then
			if a == nil then a = key.default end
			if b == nil then b = key.default end
			value = b
			if key.combine == "min" and a < b or key.combine == "and" and not a then
				value = a
			end
		end
		if key.limit then
			limits[key.limit] = key.lowest_bit and value:band(k["0"] - value) or value
		end
	end
	if T.minor then
		limits[T.minor] = minor
	end
	return limits
end

-- Messages ------------------------------------------------------------------------------------------

local function hex(v)
	if type(v) ~= "userdata" then
		return tostring(v)
	end
	return "0x" .. (v:tohex():gsub("^0+(.)", "%1"))
end

-- What was learnt of a frame when it was first seen: its request, the limits that held.
local function learn(m, pinfo)
	local here = connections[m.connection]
	if not here then
		here = { waiting = {} }
		connections[m.connection] = here
	end
	local frame = { limits = here.limits and here.limits[1 - m.sender] or T.unseen, time = pinfo.rel_ts, notes = {}, here = here }
	local asker = m.is_reply and 1 - m.sender or m.sender
	local key = ("%d %d %s"):format(m.socket, asker, tostring(m.values.id))
	local queue = here.waiting[key] or {}
	here.waiting[key] = queue
	if not m.is_reply then
		if m.values.flags:band(k["10"]) == k["0"] then
			queue[#queue + 1] = pinfo.number
		end
	elseif queue[1] then
		frame.request = table.remove(queue, 1)
		local request = frames[frame.request]
		request.reply = pinfo.number
		if request.command ~= m.command then
			frame.notes[1] = ("answers %s with another command's number"):format(request.name or request.command)
		end
	else
		frame.notes[1] = "answers no request that was seen"
	end
	frames[pinfo.number] = frame
	frame.is_new = true
	return frame
end

-- What it would break had nothing been agreed, of which no VERSION told.
local function note_agreed(m, c, part)
	c.limits, c.v = T.limits, {}
	local other = verdict(c, part)
	if other and (not m.fault or m.fault.text ~= other.text) then
		m.notes[#m.notes + 1] = ("is taken as if all were agreed, for no VERSION was seen; else %s %s"):format(other.who, other.text)
	end
end

-- The payload: into the tree, and what is wrong with it.
local function payload(m, frame, tvb, tree)
	local part = T.messages[m.command][m.is_reply and "reply" or "request"]
	local request = frame.request and frames[frame.request]
	local c = { tvb = tvb, captured = tvb:captured_len(), size = m.length - HEADER, little = m.little, last = 0, limits = frame.limits,
		    policy = T.profiles[vfio_user.prefs.profile].policy, nfds = u64(m.nfds), len = u64(m.length - HEADER), v = {}, p = {},
		    raw = tvb:captured_len() > 0 and tvb:raw() or "", is_reply = m.is_reply, start = k["0"],
		    request = function() return request and request.fields or error("no request") end }
	read(c, part, tree)
	if not frame.fields then
		frame.fields = c.p
	end
	if m.fault or not m.is_whole or request and request.is_short then
		return
	end
	c.v = {}
	local complete, why
	m.fault, complete, why = verdict(c, part)
	if not complete then
		m.notes[#m.notes + 1] = "not all rules were looked at, for want of the request"
	end
	frame.said, frame.why = c.said, why
	if c.said and m.is_reply and request and request.said and not m.fault and frame.is_new then
		local minor = c.p.minor
		frame.here.limits = { [0] = agree(request.said, request.said, c.said, minor), agree(c.said, request.said, c.said, minor) }
	end
	if frame.is_new then
		frame.is_alone = not frame.here.limits
	end
	if frame.is_alone then
		note_agreed(m, c, part)
	end
end

local function body(m, frame, tvb, tree)
	local message = T.messages[m.command]
	local rest = (m.name or "unknown") .. ".rest"
	if not message then
		m.notes[#m.notes + 1] = ("command %d is unknown"):format(m.command)
	elseif m.values.size ~= u64(m.length) then
		m.notes[#m.notes + 1] = ("size says %s, but there are %d bytes"):format(tostring(m.values.size), m.length)
	else
		if not m.is_reply and message.from ~= sides[m.sender] then
			m.notes[#m.notes + 1] = "is a command of the " .. message.from
		end
		if not m.is_error then
			return payload(m, frame, tvb, tree)
		end
	end
	if tvb:captured_len() > 0 then
		tree:add(F[rest], tvb())
	end
end

local function check_header(c)
	local fine, what = pcall(tests, c, T.header.rules, 0, "")
	return not fine and type(what) == "table" and what or nil
end

local function links(m, frame, pinfo, tree)
	if frame.reply then
		tree:add(F.reply_in, frame.reply):set_generated()
	elseif frame.request then
		tree:add(F.reply_to, frame.request):set_generated()
		local ns = math.floor((pinfo.rel_ts - frames[frame.request].time) * 1e9 + 0.5)
		tree:add(F.elapsed, NSTime.new(math.floor(ns / 1e9), ns % 1e9)):set_generated()
	end
end

local function describe(m, pinfo)
	local kind = m.is_error and "error " .. tostring(m.values.error) or m.is_reply and "reply" or "request"
	pinfo.cols.protocol = "vfio-user"
	pinfo.cols.info = ("%s %s #%s"):format(m.name or "command " .. m.command, kind, tostring(m.values.id))
	return kind
end

local function message(m, tvb, pinfo, tree)
	local c = { tvb = tvb, captured = math.min(tvb:captured_len(), HEADER), little = m.little, last = 0,
		    policy = T.profiles[vfio_user.prefs.profile].policy }
	local n
	m.values, n = fields(c, T.header, 0, tree)
	m.notes = {}
	if n < #T.header.fields then
		tree:add_proto_expert_info(odd, "message is shorter than a header")
		return
	end
	c.p = m.values
	m.command, m.is_reply = m.values.command:tonumber(), m.values.flags:band(k["f"]) == k["1"]
	m.is_error = m.is_reply and m.values.flags:band(k["20"]) ~= k["0"]
	m.name = T.messages[m.command] and T.messages[m.command].name
	local frame = pinfo.visited and frames[pinfo.number] or learn(m, pinfo)
	frame.name, frame.command = m.name, m.command
	frame.is_short = T.messages[m.command] and not m.is_reply and tvb:captured_len() - HEADER < T.messages[m.command].request.size
	for _, note in ipairs(frame.notes) do
		m.notes[#m.notes + 1] = note
	end
	m.fault = check_header(c)
	local where = m.fault and "header" or m.name
	describe(m, pinfo)
	links(m, frame, pinfo, tree)
	-- The rest as a tvb of its own, which may be empty.
	body(m, frame, tvb(HEADER):tvb(), tree)
	frame.is_new = nil
	if m.fault then
		tree:add_proto_expert_info(broken, ("%s: %s %s (is %s, offset %d)"):format(where or "header", m.fault.who, m.fault.text,
			hex(m.fault.value), m.fault.at))
	end
	for _, note in ipairs(m.notes) do
		tree:add_proto_expert_info(odd, ("%s %s"):format(m.name or "message", note))
	end
	if m.is_error then
		tree:add_proto_expert_info(failed, ("%s failed: error %s"):format(m.name or "command", tostring(m.values.error)))
	end
end

local function pseudo(tvb, tree)
	local item = tree:add(F.pseudo, tvb(0, PSEUDO))
	for i, key in ipairs { "version_", "kind_", "sender_", "socket_", "order_" } do
		item:add(F[key], tvb(i - 1, 1))
	end
	item:add(F.descriptors_, tvb(6, 2))
	item:add(F.connection_, tvb(8, 4))
	return { kind = tvb(1, 1):uint(), sender = tvb(2, 1):uint() % 2, socket = tvb(3, 1):uint() % 2, little = tvb(4, 1):uint() == 0,
		 nfds = tvb(6, 2):uint(), connection = tvb(8, 4):uint() }
end

function vfio_user.dissector(tvb, pinfo, root)
	if tvb:captured_len() < PSEUDO or tvb(0, 1):uint() ~= 1 then
		return 0
	end
	local tree = root:add(vfio_user, tvb())
	local m = pseudo(tvb, tree)
	m.length = tvb:reported_len() - PSEUDO
	m.is_whole = tvb:captured_len() == tvb:reported_len()
	pinfo.cols.src = sides[m.sender]
	pinfo.cols.dst = sides[1 - m.sender]
	if m.kind ~= 0 then
		pinfo.cols.protocol = "vfio-user"
		pinfo.cols.info = ("%s %s"):format(sides[m.sender], kinds[m.kind] or "?")
		if m.kind == 2 and m.sender == 0 and m.socket == 0 and not pinfo.visited then
			connections[m.connection] = nil
		end
	elseif tvb:captured_len() > PSEUDO then
		message(m, tvb(PSEUDO):tvb(), pinfo, tree)
	else
		tree:add_proto_expert_info(odd, "message is shorter than a header")
	end
	return tvb:captured_len()
end

DissectorTable.get("wtap_encap"):add(wtap.USER0, vfio_user)
]==]
