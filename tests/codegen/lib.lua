-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- What the tests of the code generator share.

local M = { srcdir = os.getenv("abs_srcdir") or os.getenv("PWD"), passed = 0, failed = 0 }

M.lua = os.getenv("LUA") or "lua5.4"
M.here = M.srcdir .. "/tests/codegen"

package.path = M.srcdir .. "/codegen/?.lua"

-- Every output, for tests about all of them.
M.outputs = {}
for i, output in ipairs(require "outputs") do
	M.outputs[i] = output.name
end

function M.quote(word)
	return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- Standard output of a shell command; nil if it fails.
function M.output(command)
	local handle = assert(io.popen(command, "r"))
	local text = handle:read("a")
	return handle:close() and text or nil
end

function M.generate(output, spec)
	return M.output(table.concat({ M.lua, M.quote(M.srcdir .. "/codegen/main.lua"), output, M.quote(spec) }, " "))
end

function M.read(path)
	local handle = assert(io.open(path, "r"))
	local text = handle:read("a")
	handle:close()
	return text
end

function M.write(path, text)
	local handle = assert(io.open(path, "w"))
	handle:write(text)
	assert(handle:close())
end

-- Names of a directory that end so, sorted.
function M.list(dir, suffix)
	local out = {}
	for name in M.output("LC_ALL=C ls " .. M.quote(dir)):gmatch("[^\n]+") do
		if name:sub(-#suffix) == suffix then
			out[#out + 1] = name
		end
	end
	return out
end

-- Runs job(dir) with a directory that is gone afterwards.
function M.with_directory(job)
	local dir = M.output("mktemp -d"):gsub("\n$", "")
	local ok, err = pcall(job, dir)
	os.execute("rm -rf " .. M.quote(dir))
	if not ok then
		error(err, 0)
	end
end

function M.check(ok, what, detail)
	if ok then
		M.passed = M.passed + 1
	else
		M.failed = M.failed + 1
		print("FAIL: " .. what .. (detail and "\n" .. detail or ""))
	end
end

function M.finish()
	print(("%d passed, %d failed"):format(M.passed, M.failed))
	os.exit(M.failed == 0 and M.passed > 0)
end

return M
