-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- usage: lua wireshark.lua DISSECTOR < LINES
--
-- As much of Wireshark as the dissector uses, for Lua 5.2 and 5.4. Each line is a packet in hexadecimal; what becomes of
-- it is printed: "key offset size" for each field, "! text" for expert information.

-- Numbers of 64 bits, as two halves of 32; only what needs no operators of 5.3.
local HALF = 2 ^ 32
local mt = {}
mt.__index = mt

local function new(lo, hi)
	return setmetatable({ lo = lo % HALF, hi = (hi or math.floor(lo / HALF)) % HALF }, mt)
end

local function bits(a, b, both)
	local out, bit = 0, 1
	while a > 0 or b > 0 do
		if both(a % 2, b % 2) then
			out = out + bit
		end
		a, b, bit = math.floor(a / 2), math.floor(b / 2), bit * 2
	end
	return out
end

local function bitwise(both)
	return function(a, b) return new(bits(a.lo, b.lo, both), bits(a.hi, b.hi, both)) end
end

mt.band = bitwise(function(a, b) return a == 1 and b == 1 end)
mt.bor = bitwise(function(a, b) return a == 1 or b == 1 end)
mt.__eq = function(a, b) return a.lo == b.lo and a.hi == b.hi end
mt.__lt = function(a, b) return a.hi < b.hi or a.hi == b.hi and a.lo < b.lo end
mt.__le = function(a, b) return not (b < a) end
mt.__add = function(a, b) return new(a.lo + b.lo, a.hi + b.hi + math.floor((a.lo + b.lo) / HALF)) end
mt.__sub = function(a, b) return new(a.lo - b.lo, a.hi - b.hi - (a.lo < b.lo and 1 or 0)) end

local function double(a)
	return a + a
end

mt.__mul = function(a, b)
	local out = new(0)
	for i = 63, 0, -1 do
		local half = i >= 32 and b.hi or b.lo
		out = double(out) + (math.floor(half / 2 ^ (i % 32)) % 2 == 1 and a or new(0))
	end
	return out
end

local function divide(a, b)
	local quotient, rest = new(0), new(0)
	for i = 63, 0, -1 do
		local half = i >= 32 and a.hi or a.lo
		rest = double(rest) + new(math.floor(half / 2 ^ (i % 32)) % 2)
		quotient = double(quotient)
		if rest >= b then
			rest, quotient = rest - b, quotient + new(1)
		end
	end
	return quotient, rest
end

mt.__div = function(a, b) return (divide(a, b)) end
mt.__mod = function(a, b) return (select(2, divide(a, b))) end
mt.__tostring = function(a) return a:tohex() end

function mt:rshift(n)
	local out = self
	for _ = 1, n do
		out = new(math.floor(out.lo / 2) + out.hi % 2 * 2 ^ 31, math.floor(out.hi / 2))
	end
	return out
end

function mt:tonumber()
	return math.floor(self.hi * HALF + self.lo)
end

function mt:tohex()
	return ("%08x%08x"):format(math.floor(self.hi), math.floor(self.lo))
end

UInt64 = {
	new = function(v, hi)
		local out = new(0)
		for digit in (type(v) == "string" and v or ""):gmatch("%d") do
			out = out * new(10) + new(tonumber(digit))
		end
		return type(v) == "string" and out or new(v or 0, hi)
	end,
	fromhex = function(s)
		s = ("0"):rep(16 - #s) .. s
		return new(tonumber(s:sub(9), 16), tonumber(s:sub(1, 8), 16))
	end,
}

-- In Wireshark such numbers are userdata.
local plain_type = type
function type(v)
	return getmetatable(v) == mt and "userdata" or plain_type(v)
end

-- Bytes.
local function tvb(s, base, length)
	local out = { base = base, s = s }
	local function get(at, size)
		at, size = at or 0, size or #s - (at or 0)
		assert(at >= 0 and size >= 0 and at + size <= #s, "out of range")
		return tvb(s:sub(at + 1, at + size), base + at, size)
	end
	function out.captured_len() return #s end
	function out.reported_len() return length end
	function out.raw() return s end
	function out.tvb() return out end
	function out.uint()
		local v = 0
		for i = 1, #s do v = v * 256 + s:byte(i) end
		return v
	end
	function out.le_uint() return tvb(s:reverse(), base, length).uint() end
	function out.uint64() return new(get(4, 4).uint(), get(0, 4).uint()) end
	function out.le_uint64() return tvb(s:reverse(), base, length).uint64() end
	return setmetatable(out, { __call = function(_, at, size) return get(at, size) end })
end

-- The tree.
local function item(out)
	local t = {}
	local function add(_, field, range)
		out[#out + 1] = plain_type(range) == "table" and range.s and ("%s %d %d"):format(field, range.base, #range.s) or nil
		return item(out)
	end
	t.add, t.add_le = add, add
	function t.set_len() end
	function t.set_generated() end
	function t.add_proto_expert_info(_, _, words) out[#out + 1] = "! " .. words end
	return t
end

local function field(abbr)
	return abbr
end

ProtoField = setmetatable({}, { __index = function() return field end })
ProtoExpert = { new = field }
Pref = { enum = function(_, default) return default end }
base, frametype, wtap = { DEC = 1, HEX = 2, NONE = 0, UNICODE = 3 }, {}, { USER0 = 45 }
expert = { group = {}, severity = {} }
NSTime = { new = function() return 0 end }
Proto = function() return setmetatable({ prefs = {} }, { __tostring = function() return "vfio_user" end }) end
local found
DissectorTable = { get = function() return { add = function(_, _, proto) found = proto end } end }

assert(loadfile(arg[1]))()
found.init()
local number = 0
for line in io.lines() do
	number = number + 1
	local bytes = line:gsub("%s", ""):gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end)
	local out = {}
	local pinfo = { number = number, visited = false, rel_ts = number / 1000, cols = {} }
	found.dissector(tvb(bytes, 0, #bytes), pinfo, item(out))
	print(("packet %d: %s"):format(number, pinfo.cols.info))
	for _, words in ipairs(out) do
		print(words)
	end
end
