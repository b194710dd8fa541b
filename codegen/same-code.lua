-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- usage: lua same-code.lua OLD NEW
--
-- Exit status 0 if two C files differ in comments at most.  In a source file lines count, too, since a
-- debugger shows them; in a header they do not.

local function read(path)
	local handle = assert(io.open(path, "r"))
	local text = handle:read("a")
	handle:close()
	return text
end

-- The text without comments; of them only newlines are left.
local function code(text)
	local out, at = {}, 1
	while true do
		local from = text:find('[/"]', at)
		if not from then
			out[#out + 1] = text:sub(at)
			return table.concat(out)
		end
		local comment, string = text:match("^/%*.-%*/", from), text:match('^"[^"\\\n]*"', from)
		local token = comment or string or text:sub(from, from)
		out[#out + 1] = text:sub(at, from - 1)
		out[#out + 1] = comment and comment:gsub("[^\n]", "") or token
		at = from + #token
	end
end

local function normal(path)
	local text = code(read(path))
	return arg[1]:find("%.h$") and text:gsub("%s+", " ") or text:gsub("[ \t]+", " "):gsub(" \n", "\n")
end

os.exit(normal(arg[1]) == normal(arg[2]))
