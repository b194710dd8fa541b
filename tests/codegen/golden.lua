-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The small specs in ok/ give the files beside them.  They show in review what a change of a generator
-- does; `make update-golden` writes them anew.

local lib = dofile((os.getenv("abs_srcdir") or ".") .. "/tests/codegen/lib.lua")

local golden = {
	small = { "wire_h/small", "checks_h", "wire_c", "policy_h", "policy_c", "caps_c", "desc_c", "calls_c", "lock", "protocol_rst" },
	words = { "wire_c", "parts_h/words", "python", "python_pyi", "lock", "protocol_rst", "model_json", "vfio_user_7" }, -- each word of the language that small lacks
}

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

for name, outputs in pairs(golden) do
	for _, output in ipairs(outputs) do
		local path = ("%s/ok/%s.%s.txt"):format(lib.here, name, output:match("^[^/]+"))
		local got = lib.generate(output, ("%s/ok/%s.lua"):format(lib.here, name)) or ""
		if arg[1] == "update" then
			lib.write(path, got)
		end
		local expected = lib.read(path)
		lib.check(got ~= "" and got == expected, name .. ", " .. output, first_difference(expected, got))
	end
end

lib.finish()
