-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Words of a spec: those it cannot use as names, and the one that was probably meant.

local M = {}

-- Every name becomes one in C, C++ and Python; the last line are of Python's classes.
local taken = [[
	alignas alignof and asm assert async auto await bitand bitor bool break case catch char class compl const
	constexpr continue decltype def default del delete do double dynamic_cast elif else enum except explicit
	export extern false finally float for friend from global goto if import in inline int is lambda long mutable
	namespace new noexcept nonlocal not nullptr operator or pass private protected public raise register
	reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct switch
	template this thread_local throw true try typedef typeid typename typeof union unsigned using virtual void
	volatile while with xor yield
	agree answer build complete fds limits pack parse unpack
]]

function M.set(words)
	local out = {}
	for word in words:gmatch("%S+") do
		out[word] = true
	end
	return out
end

local reserved = M.set(taken)

-- What an error reply may say, and its number in Linux.
M.errnos = {}
for name, number in ([[EPERM 1 ENOENT 2 EIO 5 E2BIG 7 EAGAIN 11 ENOMEM 12 EACCES 13 EFAULT 14 EBUSY 16 EEXIST 17 ENODEV 19
	EINVAL 22 ENOTTY 25 EFBIG 27 ENOSPC 28 ERANGE 34 ENOSYS 38 EPROTO 71 EOVERFLOW 75 ENOTSUP 95 ECANCELED 125]]):gmatch "(%u%w+) (%d+)" do
	table.insert(M.errnos, { name = name, number = math.tointeger(number) })
	M.errnos[name] = M.errnos[#M.errnos]
end

function M.is(v)
	return type(v) == "string" and v:find("^[%a_][%w_]*$") ~= nil
end

-- nil, or why this cannot be a name.
function M.bad_name(name)
	if type(name) ~= "string" or not name:match("^%l[%l%d_]*$") then
		return "must be a word in quotes, in small letters"
	end
	return reserved[name] and ("'%s' means something in C, C++ or Python"):format(name) or nil
end

-- How many letters must be changed, left out, put in, or swapped with their neighbour.
local function distance(a, b)
	local before, last = nil, {}
	for j = 0, #b do
		last[j] = j
	end
	for i = 1, #a do
		local now = { [0] = i }
		for j = 1, #b do
			local x, y = a:byte(i), b:byte(j)
			now[j] = math.min(last[j] + 1, now[j - 1] + 1, last[j - 1] + (x == y and 0 or 1))
			if before and j > 1 and x == b:byte(j - 1) and y == a:byte(i - 1) then
				now[j] = math.min(now[j], before[j - 2] + 1)
			end
		end
		before, last = last, now
	end
	return last[#b]
end

-- ", did you mean 'x'?" for the nearest key of `known` (entries of lists count by their name), or "".
function M.near(name, known)
	local best, least = nil, math.min(3, #tostring(name) // 2 + 1)
	for key, v in pairs(known or {}) do
		key = type(key) == "string" and key or type(v) == "table" and v.name or v
		local n = type(key) == "string" and key ~= name and distance(tostring(name), key) or least
		if n < least or n == least and best and key < best then
			best, least = key, n
		end
	end
	return best and (", did you mean '%s'?"):format(best) or ""
end

return M
