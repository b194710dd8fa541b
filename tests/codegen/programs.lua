-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- What is generated from the specs in ok/ compiles without a warning, in C and C++, and its checks give
-- in C and in Python the verdicts that the generator computes.

local lib = dofile((os.getenv("abs_srcdir") or ".") .. "/tests/codegen/lib.lua")

local cc, python = os.getenv("CC") or "cc", os.getenv("PYTHON") or ""
local check = lib.output("pkg-config --cflags --libs check 2>/dev/null")
local python_runs = python ~= "" and lib.output(python .. " -c 'import pytest' 2>/dev/null")

local function run(dir, command, what)
	local said = lib.output(("cd %s && { %s; } 2>&1 && echo fine || true"):format(lib.quote(dir), command)) or ""
	lib.check(said:find("fine\n$"), what, said)
end

local function programs(name, dir)
	local spec = ("%s/ok/%s.lua"):format(lib.here, name)
	assert(os.execute(("mkdir -p %s/tests/gen %s/doc/gen"):format(dir, dir)))
	for _, output in ipairs(require "outputs") do
		local file = output.file
		if not file:find("^tests/") and not file:find("^doc/") then
			file = file:match("[^/]+$")
		end
		if not output.recorded then
			lib.write(dir .. "/" .. file, lib.generate(output.name, spec))
		end
	end
	for file, output in pairs { ["wire-" .. name] = "wire_h/" .. name, ["parts-" .. name] = "parts_h/" .. name,
				    ["parts-base"] = "parts_h/base" } do
		lib.write(("%s/%s.h"):format(dir, file), lib.generate(output, spec))
	end
	local flags = (" -std=c11 -Wall -Wextra -Wconversion -Werror -I. -I%s/tests/lib "):format(lib.quote(lib.srcdir))
	for _, file in ipairs { "wire", "policy", "caps", "desc", "tests/gen/check-wire", "tests/gen/check-parts" } do
		local object = file:match("[^/]+$")
		run(dir, cc .. flags .. ("-c %s.c -o %s.o"):format(file, object), name .. ": " .. file .. ".c does not compile")
	end
	run(dir, cc .. " -x c++ -fsyntax-only -Wall -Werror wire.h parts.h desc.h caps.h policy.h", name .. ": headers in C++")
	if check then
		for program, object in pairs { ["wire-cases"] = "", ["part-cases"] = "check-parts.o" } do
			local libs, tests = check:gsub("\n", " "), lib.quote(lib.srcdir) .. "/tests/lib/"
			run(dir, table.concat({ cc, "-I. -I" .. tests, tests .. program .. ".c", tests .. "wire-vector.c", object,
				"check-wire.o wire.o policy.o -o cases", libs, "&& ./cases" }, " "), name .. ": " .. program .. " in C")
		end
	end
	if python_runs then
		local tests = lib.quote(lib.srcdir .. "/tests/py/test_protocol.py") .. " " .. lib.quote(lib.srcdir .. "/tests/py/test_model.py")
		run(dir, ("abs_builddir=. abs_srcdir=. PYTHONPATH=. %s -m pytest -q -p no:cacheprovider --noconftest %s"):format(
			python, tests), name .. ": cases in Python, and from the model as JSON")
	end
end

for _, name in ipairs { "small", "words" } do
	lib.with_directory(function(dir) programs(name, dir) end)
end
print((check and "" or "no Check: cases do not run in C; ") .. (python_runs and "" or "no pytest: nor in Python"))
lib.finish()
