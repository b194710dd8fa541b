-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The small spec ok/small.lua gives the files beside it.  They show in review what a change of a
-- generator does; `make update-golden` writes them anew.

local lib = dofile((os.getenv("abs_srcdir") or ".") .. "/tests/codegen/lib.lua")

local spec = lib.here .. "/ok/small.lua"
local outputs = { "wire_h", "checks_h", "wire_c", "policy_h", "policy_c", "caps_c", "desc_c", "calls_c", "lock", "protocol_rst" }

local function first_difference(expected, got)
	local lines, number = {}, 0
	for line in expected:gmatch("([^\n]*)\n") do
		lines[#lines + 1] = line
	end
	for line in got:gmatch("([^\n]*)\n") do
		number = number + 1
		if line ~= lines[number] then
			return ("\tline %d, expected: %s\n\tgot: %s"):format(number, lines[number] or "(end)", line)
		end
	end
	return ("\tends at line %d of %d"):format(number, #lines)
end

for _, output in ipairs(outputs) do
	local path = ("%s/ok/small.%s.txt"):format(lib.here, output)
	local got = lib.generate(output, spec) or ""
	if arg[1] == "update" then
		lib.write(path, got)
	end
	local expected = lib.read(path)
	lib.check(got ~= "" and got == expected, output, first_difference(expected, got))
end

-- The rest is too long to keep; it must come out, and be a program.
for _, output in ipairs(lib.outputs) do
	lib.check(lib.generate(output, spec), output .. " of the small spec")
end

lib.finish()
