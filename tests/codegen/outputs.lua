-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- spec/wire.lock and the tables of spec/README.md are current; every output is the same each time and wherever the tree lies.  Lua seeds
-- its tables' order anew in each process, so an output that depended on it would differ.

local lib = dofile((os.getenv("abs_srcdir") or ".") .. "/tests/codegen/lib.lua")

local spec = lib.srcdir .. "/spec"

lib.check(lib.generate("lock", spec) == lib.read(spec .. "/wire.lock"), "spec/wire.lock is not current",
	  "\tmake update-lock, look at the difference, and commit it")

-- The tables of spec/README.md stand between two marks.
local readme = lib.read(spec .. "/README.md")
local keys = lib.generate("keys_md", spec)
local before, now, after = readme:match("^(.*<!%-%- keys %-%->\n)(.*)(<!%-%- end of keys %-%->\n.*)$")
if arg[1] == "update" then
	lib.write(spec .. "/README.md", before .. keys .. after)
	os.exit(true)
end
lib.check(now == keys, "the tables of spec/README.md are not current", "\tmake update-keys")

-- codegen/README.md quotes outputs; the numbers of lines may be others.
local function plain(text)
	return (text:gsub("%.lua:%d+", ".lua"):gsub("%s+", " "))
end
for output, quoted in lib.read(lib.srcdir .. "/codegen/README.md"):gmatch("<!%-%- ([%w_]+) %-%->\n\n(.-)\n\n") do
	local text = plain(lib.generate(output, spec))
	for line in quoted:gmatch("[^\n]+") do
		lib.check(text:find(plain(line), 1, true), "codegen/README.md quotes what " .. output .. " lacks: " .. line)
	end
end

lib.with_directory(function(dir)
	assert(os.execute(("cp -R %s %s/spec"):format(lib.quote(spec), dir)))
	for _, output in ipairs(lib.outputs) do
		local first = lib.generate(output, spec)
		lib.check(first and first == lib.generate(output, spec), output .. " differs from run to run")
		lib.check(first and first == lib.generate(output, dir .. "/spec"), output .. " depends on the spec's place")
		lib.check(first and (require("outputs")[output].binary or first:sub(-1) == "\n" and not first:find("[ \t]\n")),
			  output .. " has odd white space")
		lib.check(first and not first:find(lib.srcdir, 1, true), output .. " names a directory")
	end
end)

local model = lib.generate("model_json", spec)
local _, errata = model:gsub('"decision":', "")
local _, subjects = model:gsub('"subject":', "")
lib.check(errata == subjects, "an erratum of spec/ has no subject")

-- Links of the reference lead somewhere, to one place of this page or the other.
local pages, targets, links = { protocol = lib.generate("protocol_rst", spec), errata = lib.generate("errata_rst", spec) }, {}, 0
for page, words in pairs(pages) do
	for name in words:gmatch("%.%. _([^:\n]+):\n") do
		local place = page .. ".html#" .. name
		lib.check(not targets[place], "there are two places " .. place)
		targets[place] = true
	end
end
for page, words in pairs(pages) do
	for link in words:gsub("\n%s+<", " <"):gmatch("<([%w.#-]+_?)>`__") do
		local place = link:gsub("^(.*)_$", page .. ".html#%1")
		links = links + 1
		lib.check(targets[place] or place == "errata.html" or place == "explorer.html#header", page .. " links to " .. place .. ", which is not there")
	end
end
lib.check(links > 250, "the reference has few links")

local nodes = require "load".spec(spec)
require "check".spec(nodes)
model = require "model".build(nodes)

-- order.md names the fences and gates.
local order = lib.read(lib.srcdir .. "/doc/explanation/order.md")
for key, title in pairs { fence = "Fences", gate = "Gates" } do
	local named = order:match("\n## " .. title .. "\n\n(.-)\n\n")
	for _, m in ipairs(model.messages) do
		local is_named = named:find("%f[%w_]" .. m.name:upper() .. "%f[^%w_]") ~= nil
		lib.check(is_named == (m[key] and true or false), ("order.md, %s: %s is one, or named, but not both"):format(title, m.name:upper()))
	end
end

-- What an erratum says stands on its own page; the other has its title where it matters.
for _, e in ipairs(model.errata) do
	local _, titles = pages.protocol:gsub(("\n%%- `E%d <errata.html#erratum%%-%d>`__ "):format(e.number, e.number), "")
	lib.check(titles == #(e.messages or { "all" }), ("protocol_rst has the title of E%d %d times"):format(e.number, titles))
	lib.check(targets[("errata.html#erratum-%d"):format(e.number)], ("errata_rst lacks E%d"):format(e.number))
	lib.check(#e.decision < 30 or not plain(pages.protocol):find(e.decision, 1, true), ("protocol_rst has all of E%d"):format(e.number))
end

-- The plot has a bar for each row of a record; of one that it can not show it says so.
local record = lib.read(lib.srcdir .. "/tests/data/bench/recorded.txt")
local function plot(row)
	return pcall(require "gen.speed_svg", nil, nil, function()
		return (record:gsub("(\n== a client in C[^\n]*\n[^\n]*\n)", function(head) return head .. row .. "\n" end))
	end)
end
local is_drawn, picture = plot("least: 4 B reads, 32 at a time        258.2      1.25    1.20..1.30")
lib.check(is_drawn and picture:find(">least: 4 B reads, 32 at a time<", 1, true) and picture:find('class="s-tail"', 1, true), "the plot lacks a row")
for row, says in pairs {
	["what has a name that nobody can show here     258.2      1.25    1.20..1.30"] = "too long a name: what has",
	["a row of words"] = "not understood: a row of words",
} do
	local is_shown, told = plot(row)
	lib.check(not is_shown and told.fault:find("tests/data/bench/recorded.txt: " .. says, 1, true), "the plot takes the row " .. row)
end

-- The table of contents, the generators and the rules of make agree.
local outputs = require "outputs"
for _, name in ipairs(lib.list(lib.srcdir .. "/codegen/gen", ".lua")) do
	lib.check(outputs[name:match("^(.*)%.lua$")], "codegen/gen/" .. name .. " is not listed in codegen/outputs.lua")
end
local makefiles = lib.output("cat " .. lib.quote(lib.srcdir) .. "/*/local.mk " .. lib.quote(lib.srcdir) .. "/*/*/local.mk")
for _, output in ipairs(outputs) do
	local generator = (": codegen/gen/%s.lua"):format(output.name)
	lib.check(output.file:find("^spec/") or makefiles:find("\n" .. output.file .. generator, 1, true) or
		  makefiles:find("\n" .. output.file .. ".stamp" .. generator, 1, true), output.name .. " has no rule in any local.mk")
	lib.check(makefiles:find("codegen/gen/" .. output.name .. ".lua", 1, true), output.name .. " is not distributed")
end

lib.finish()
