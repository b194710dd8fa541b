-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- usage: lua codegen/main.lua OUTPUT SPECDIR
--
-- Writes one generated file to standard output.  OUTPUT names a generator in codegen/gen/ (wire_h,
-- wire_c, lock ...) or is `check`, which only looks for faults.  SPECDIR holds protocol.lua; a path
-- that ends in .lua is taken for the root file itself.  Faults go to standard error as
-- file:line: sentence, with exit status 1.

local home = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = home .. "/?.lua"

local function die(text)
	io.stderr:write(text, "\n")
	os.exit(1)
end

local output, path = arg[1], arg[2]
if not output or not path or arg[3] then
	die("usage: lua main.lua OUTPUT SPECDIR")
end

local function try(step, ...)
	local ok, result = pcall(step, ...)
	if not ok then
		die(type(result) == "table" and result.fault or "codegen: internal error: " .. tostring(result))
	end
	return result
end

local model = try(function()
	local spec = require("load").spec(path)
	require("check").spec(spec)
	return require("model").build(spec)
end)
if output == "check" then
	os.exit(0)
end
if not output:match("^[%w_]+$") then
	die("codegen: '" .. output .. "' is no output")
end
local found, generate = pcall(require, "gen." .. output)
if not found then
	die("codegen: no generator for '" .. output .. "': " .. tostring(generate))
end
io.stdout:write((try(generate, model)))
