-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Every file in bad/ is a spec with one fault; its third line is the message it must give.  Those of several
-- files are directories bad/NAME_dir.  Together they reach every line of the generator that reports one.

local lib = dofile((os.getenv("abs_srcdir") or ".") .. "/tests/codegen/lib.lua")

-- Lines executed so far, as "FILE:LINE".
local reached = {}
local home = "@" .. lib.srcdir .. "/codegen/"

local function note(_, line)
	local source = debug.getinfo(2, "S").source
	if source:sub(1, #home) == home then
		reached[source:sub(#home + 1) .. ":" .. line] = true
	end
end

local function fault_of(path)
	debug.sethook(note, "l")
	local ok, err = pcall(function()
		local spec = require("load").spec(path)
		require("check").spec(spec)
		local model = require("model").build(spec)
		require("vectors").satisfiable(model)
		require("vectors").of(model)
	end)
	debug.sethook()
	return ok and "no fault" or type(err) == "table" and err.fault or tostring(err)
end

local specs = lib.list(lib.here .. "/bad", ".lua")
for _, name in ipairs(lib.list(lib.here .. "/bad", "_dir")) do
	specs[#specs + 1] = name .. "/protocol.lua"
end

for _, name in ipairs(specs) do
	local path = lib.here .. "/bad/" .. name
	local expected = lib.read(path):match("^[^\n]*\n[^\n]*\n%-%- ([^\n]*)\n")
	local got = fault_of(path:match("^(.*_dir)/") or path):gsub("cannot open " .. lib.here:gsub("%p", "%%%0") .. "/", "cannot open ")
	if arg[1] == "update" and got ~= expected and got:find("^bad/") then
		lib.write(path, (lib.read(path):gsub("^([^\n]*\n[^\n]*\n%-%- )[^\n]*", function(head) return head .. got end)))
		print(name .. "\n\t" .. tostring(expected) .. "\n\t" .. got)
		expected = got
	end
	lib.check(got == expected, name, "\texpected: " .. tostring(expected) .. "\n\tgot:      " .. got)
end

-- Does this line report a fault, or give the reason for one?
local function reports(line, in_reason)
	if line:find("^%s*%-%-") or line:find("function", 1, true) and not line:find("fault(", 1, true) then
		return false
	end
	return line:find("%f[%w_:]fault%(") and not line:find("function%s+[%w_.]*fault%(") or
	       line:find("error({ fault", 1, true) or line:find('error("', 1, true) or
	       line:find('return nil, "', 1, true) or in_reason and line:find('return "', 1, true)
end

-- In rules.lua the reasons are what `fault = function(x)` returns.
local function fault_lines(file)
	local out, number, in_reason = {}, 0, false
	for line in lib.read(lib.srcdir .. "/codegen/" .. file):gmatch("([^\n]*)\n") do
		number = number + 1
		if line:find("fault = function", 1, true) then
			in_reason = true
		elseif line:find("^\tend,") then
			in_reason = false
		end
		if reports(line, in_reason) then
			out[#out + 1] = number
		end
	end
	return out
end

local no_reports = { ["main.lua"] = true, ["text.lua"] = true, ["dissect.lua"] = true } -- the latter of payloads
for _, dir in ipairs { "", "model/", "tail/" } do
	for _, name in ipairs(lib.list(lib.srcdir .. "/codegen/" .. dir, ".lua")) do
		local file = dir .. name
		for _, number in ipairs(no_reports[file] and {} or fault_lines(file)) do
			local line = ("%s:%d"):format(file, number)
			lib.check(reached[line], "codegen/" .. line .. ": no spec in bad/ reaches this fault")
		end
	end
end

-- The command itself: one line on standard error, exit status 1.
local command = lib.lua .. " " .. lib.quote(lib.srcdir .. "/codegen/main.lua") .. " "
local function tell(arguments)
	return lib.output(command .. arguments .. " 2>&1 >/dev/null; echo status $?")
end
lib.check(tell("check " .. lib.quote(lib.here .. "/bad/misaligned.lua")) == lib.read(lib.here .. "/bad/misaligned.lua")
	  :match("^[^\n]*\n[^\n]*\n%-%- ([^\n]*\n)") .. "status 1\n", "main.lua reports a fault")
lib.check(tell("check " .. lib.quote(lib.srcdir .. "/spec")) == "status 0\n", "main.lua finds the spec good")
lib.check(tell("wire_x " .. lib.quote(lib.srcdir .. "/spec")):find("no output 'wire_x', did you mean 'wire_c'?", 1, true),
	  "unknown output")
lib.check(tell("../x " .. lib.quote(lib.srcdir .. "/spec")):find("no output '../x'", 1, true), "output that is a path")
lib.check(tell("check") == "usage: lua main.lua OUTPUT SPECDIR\nstatus 1\n", "no arguments")

lib.finish()
