-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- usage: lua codegen/main.lua OUTPUT SPECDIR
--
-- Writes one generated file to standard output.  OUTPUT is a name of outputs.lua (wire_h, lock ...), with a
-- part of it where there are several files (wire_h/dma), or `check`, which only looks for faults.  SPECDIR holds
-- protocol.lua; a path that ends in .lua is taken for the root file itself.  Faults go to standard error as
-- file:line: sentence, with exit status 1.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua"

local function die(text)
	io.stderr:write(text, "\n")
	os.exit(1)
end

-- What some outputs show besides the spec: a file of recorded traffic.
local function recorded(name)
	local file = assert(io.open(here .. "/../tests/data/" .. name))
	local bytes = file:read("a")
	file:close()
	return bytes
end

local output, part = (arg[1] or ""):match("^([%w_]+)/([%w_-]+)$")
output = output or arg[1]
local path = arg[2]
if not output or not path or arg[3] then
	die("usage: lua main.lua OUTPUT SPECDIR")
end
if output ~= "check" and not require("outputs")[output] then
	die("codegen: there is no output '" .. output .. "'" .. require("words").near(output, require("outputs")))
end

local ok, result = pcall(function()
	local spec = require("load").spec(path)
	require("check").spec(spec)
	local model = require("model").build(spec)
	if output == "check" then
		require("vectors").satisfiable(model)
		return ""
	end
	return require("gen." .. output)(model, part, recorded)
end)
if not ok then
	die(type(result) == "table" and result.fault or "codegen: internal error: " .. tostring(result))
end
io.stdout:write(result)
