-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Which cases of the generated tests hold on a machine of either byte order.
--
-- A case is made of numbers in fields, and most say the same on any machine.  Some have a check look
-- where no field begins, as a link that points between two: what it finds there depends on the order
-- of bytes, and so does its verdict.
--
--	{ puts: cap_offset = 0x19 }  little-endian: next = 0x0200  -> one verdict, a row of its own
--	                             big-endian:    next = 0x2000  -> the other, likewise

local draft = require "draft"
local verdict = require "verdict"

local M = {}

local function put(bytes, p, order)
	local low = string.pack("<i8", p.value):sub(1, p.size)
	return bytes:sub(1, p.offset) .. (order == ">" and low:reverse() or low) .. bytes:sub(p.offset + p.size + 1)
end

-- A base's bytes in this order, and room behind them.
local function bytes_of(base, order, room)
	local bytes = draft.filled(0, math.max(room, base.len))
	for _, s in ipairs(base.segments) do
		for _, f in ipairs(s.part.fields) do
			bytes = put(bytes, { offset = s.at + f.offset, size = f.size, value = s.values[f.name] }, order)
		end
	end
	return bytes:sub(1, base.text_at or #bytes) .. base.text ..
	       bytes:sub((base.text_at or #bytes) + #base.text + 1)
end

-- Calls judge(payload, nfds) for each payload of a row.
local function each_payload(bytes, row, order, judge)
	for len = row.len[1], row.len[2] do
		local payload = bytes:sub(1, len)
		for _, p in ipairs(row.puts) do
			payload = p.offset + p.size <= len and put(payload, p, order) or payload
		end
		for nfds = row.nfds[1], row.nfds[2] do
			for bit = 0, row.bits and row.bits.size * 8 - 1 or 0 do
				local b = row.bits
				if not b then
					judge(payload, nfds)
				elseif b.mask & 1 << bit ~= 0 then
					local old = string.unpack(order .. "I" .. b.size, payload, b.offset + 1)
					judge(put(payload, { offset = b.offset, size = b.size, value = old ~ 1 << bit }, order), nfds)
				end
			end
		end
	end
end

-- What the check says with the bytes the other way round than when the row was made: whether it is what
-- the row expects, and what it last was.
local function judged(bytes, row, scene)
	local same, last = true, nil
	local policy = setmetatable({}, { __index = scene.policy })
	for _, set in ipairs(row.policy) do
		policy[set.name] = set.choice
	end
	each_payload(bytes, row, ">", function(payload, nfds)
		local c = scene:case(payload)
		c.nfds, c.policy, c.limits, c.order = nfds, policy, row.all_limits, ">"
		last = verdict.of(c)
		same = same and (last and last.field) == row.field and (last and last.offset or 0) == row.offset and
		       (last and last.errno) == row.errno
	end)
	return same, last
end

-- The first payload of a row, little-endian.
function M.payload(base, row)
	local one = setmetatable({ len = { row.len[1], row.len[1] }, nfds = { 0, 0 } }, { __index = row })
	local first
	each_payload(bytes_of(base, "<", row.len[1]), one, "<", function(payload) first = first or payload end)
	return first
end

local function is_one_payload(row)
	return row.len[1] == row.len[2] and row.nfds[1] == row.nfds[2] and not row.bits
end

-- The rows, each of which holds in any order or says in which: row.order is nil, "little" or "big".
function M.rows(base, rows, scene)
	local out, room = {}, 0
	for _, row in ipairs(rows) do
		room = math.max(room, row.len[2])
	end
	local turned = bytes_of(base, ">", room)
	for _, row in ipairs(rows) do
		local same, other = judged(turned, row, scene)
		out[#out + 1] = row
		if not same then
			row.order = "little"
			if is_one_payload(row) then
				out[#out + 1] = setmetatable({ order = "big", field = other and other.field or false,
							       errno = other and other.errno or false, offset = other and other.offset or 0 }, { __index = row })
			end
		end
	end
	return out
end

return M
