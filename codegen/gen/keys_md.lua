-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The tables of spec/README.md: every word of the grammar with its keys, and the rules.

local grammar = require "grammar"
local rules = require "rules"

-- How a type is written for readers.
local shown = { ["true"] = "`true`", room = "number", texts = "`{ name = \"…\" }`", record = "`{ … }`", records = "`{ { … }, … }`",
		capability = "`cap.NAME`", version = "`\"MAJOR.MINOR\"`" }
local is_common = { doc = true, since = true, requires = true, status = true }
local arguments = { fields = "`{ a, b }`", nothing = "`{ }`", ["true"] = "`true`" }

local function type_of(key)
	if key.type == "one" then
		return "`" .. table.concat(key.args, "`, `") .. "`"
	elseif key.type == "integer" and key.args[2] then
		return ("%s to %s"):format(key.args[1], key.args[2])
	end
	return shown[key.type] or key.type
end

local function head(name, g)
	local braces = ({ "{ 1, … }", "{ 0, 7, … }" })[g.numbers] or "{ … }"
	local word = g.inner and name or ("`%s%s %s`"):format(name, g.unnamed and "" or ' "name"', braces)
	local inside = g.items and "; inside: `" .. g.items:gsub(" ", "`, `") .. "`" or ""
	local unique = g.top and g.unique and (" Unique: `%s`."):format(g.unique:gsub("field", "name"):gsub(" ", "`, `")) or ""
	return ("**%s**: %s%s.%s"):format(word, g.about, inside, unique)
end

return function()
	local out = {}
	for _, name in ipairs(grammar.order) do
		local g = grammar.kinds[name]
		if not g.hidden then
			local common, rows = {}, {}
			for _, key in ipairs(g.keys) do
				local shown_name = ("`%s`%s"):format(key.name, key.required and " \\*" or "")
				if is_common[key.name] then
					common[#common + 1] = shown_name
				elseif not (g.fields and rules[key.name]) then
					rows[#rows + 1] = ("| %s | %s | %s |"):format(shown_name, type_of(key), key.doc)
				end
			end
			out[#out + 1] = head(name, g) .. (#common > 0 and " Has " .. table.concat(common, ", ") .. "." or "") .. "\n"
			if #rows > 0 then
				out[#out + 1] = "| Key | Takes | Meaning |\n|---|---|---|\n" .. table.concat(rows, "\n") .. "\n"
			end
		end
	end
	out[#out + 1] = "**Rules**, as keys of a field (but the last three) or in `check`:\n\n| Rule | Argument | The field |\n|---|---|---|"
	for _, r in ipairs(rules.list) do
		local argument = r.extra and "`{ a, b, expression }`" or arguments[r.takes] or r.takes
		out[#out + 1] = ("| `%s` | %s | %s |"):format(r.name, argument, r.doc)
	end
	return table.concat(out, "\n") .. "\n"
end
