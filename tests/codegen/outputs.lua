-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- spec/wire.lock is current; every output is the same each time and wherever the tree lies.  Lua seeds
-- its tables' order anew in each process, so an output that depended on it would differ.

local lib = dofile((os.getenv("abs_srcdir") or ".") .. "/tests/codegen/lib.lua")

local spec = lib.srcdir .. "/spec"

lib.check(lib.generate("lock", spec) == lib.read(spec .. "/wire.lock"), "spec/wire.lock is not current",
	  "\tmake update-lock, look at the difference, and commit it")

lib.with_directory(function(dir)
	assert(os.execute(("cp -R %s %s/spec"):format(lib.quote(spec), dir)))
	for _, output in ipairs(lib.outputs) do
		local first = lib.generate(output, spec)
		lib.check(first and first == lib.generate(output, spec), output .. " differs from run to run")
		lib.check(first and first == lib.generate(output, dir .. "/spec"), output .. " depends on the spec's place")
		lib.check(first and first:sub(-1) == "\n" and not first:find("[ \t]\n"), output .. " has odd white space")
		lib.check(first and not first:find(lib.srcdir, 1, true), output .. " names a directory")
	end
end)

-- Every generator is in lib.outputs, so that nothing escapes these tests.
local known = {}
for _, output in ipairs(lib.outputs) do
	known[output .. ".lua"] = true
end
for _, name in ipairs(lib.list(lib.srcdir .. "/codegen/gen", ".lua")) do
	lib.check(known[name], "codegen/gen/" .. name .. " is not listed in tests/codegen/lib.lua")
end

lib.finish()
