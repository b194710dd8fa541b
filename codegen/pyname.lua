-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- How spec names become Python names.

local text = require "text"

local M = {}

M.banner = [[
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
# Generated from spec/ by codegen/gen/%s.lua. Do not edit; see spec/README.md.
]]

-- What the module has besides the spec's: no class can be called so.
M.fixed = { "Fault", "Part", "Payload", "UnknownLink", "Limits", "Policies", "Policy", "POLICIES", "Capability", "CAPABILITIES",
	    "Capabilities", "Message", "MESSAGES", "check", "check_header", "parse" }

M.format = { u8 = "B", u16 = "H", u32 = "I", u64 = "Q" }

function M.class(name)
	return (("_" .. name):gsub("_(%w)", string.upper))
end

function M.flags(name)
	return M.class(name) .. "Flags"
end

-- A member of a flag set; several bits are a mask.
function M.member(m)
	return (m.wide and m.name .. "_mask" or m.name):upper()
end

-- The class of a part: a structure, or one side of a message.
function M.part(part)
	return M.class(part.owner or part.name)
end

function M.check(part)
	return "_check_" .. (part.owner or part.name)
end

-- A string literal.
function M.quote(s)
	return '"' .. s:gsub('[\\"]', "\\%0") .. '"'
end

-- A long string as several literals, a line each, in parentheses.
function M.strings(s, indent)
	local out = {}
	for line in text.wrap(s, 88 - #indent):gmatch("[^\n]+") do
		out[#out + 1] = line
	end
	for i, line in ipairs(out) do
		out[i] = indent .. M.quote(out[i + 1] and line .. " " or line)
	end
	return "(\n" .. table.concat(out, "\n") .. "\n" .. indent:sub(1, -5) .. ")"
end

function M.boolean(v)
	return v and "True" or "False"
end

-- A number, true, false or nil.
function M.value(v)
	return v == nil and "None" or type(v) == "boolean" and M.boolean(v) or tostring(v)
end

-- The classes of these items, and what there is besides: "SparseMmap | CapType | bytes".
function M.one_of(items, other)
	local out, seen = {}, {}
	for _, item in ipairs(items) do
		local name = M.part(item.struct)
		out[#out + 1], seen[name] = not seen[name] and name or nil, true
	end
	out[#out + 1] = other
	return table.concat(out, " | ")
end

-- Calls visit(part, doc) for the class of every part, in the order of the module.
function M.each_class(model, visit)
	visit(model.header, model.header.doc)
	for _, s in ipairs(model.structs) do
		visit(s, s.doc)
	end
	for _, m in ipairs(model.messages) do
		for _, key in ipairs { "request", "reply" } do
			visit(m[key], ("%s, %s: %s"):format(m.name, key, m.doc))
			for _, alt in ipairs(m[key].alts) do
				visit(alt, ("%s, %s: %s"):format(m.name, key, alt.doc))
			end
		end
	end
end

return M
