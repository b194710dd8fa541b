-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- wire.h: structures and numbers. It is installed, so it declares nothing that has to be linked.  What one
-- file of the spec says stands in a header of its own, wire-FILE.h, so that a change of it compiles little.

local cname = require "cname"
local text = require "text"

local whole = cname.banner:format("wire_h") .. [[
#ifndef VFU_WIRE_H
#define VFU_WIRE_H

/*
 * The structures below hold the fixed part of each payload.  A payload lies behind its header at
 * any alignment: copy it out before use.  All numbers are in host byte order.  wire.c asserts every
 * offset.
 */

${includes}

#endif /* VFU_WIRE_H */
]]

local one = cname.banner:format("wire_h") .. [[
#ifndef ${guard}
#define ${guard}

#include <stdint.h>

${commands}

${enums}

${flags}

${structs}

${payloads}

#endif /* ${guard} */
]]

local function struct(part, doc)
	local fields = text.map(part.fields, function(f) return text.c_member(("%s %s;"):format(cname.ctype[f.type], f.name), f.doc) end)
	return ("%s\nstruct %s {\n%s\n};"):format(text.c_comment(doc .. ", " .. part.loc), part.cname, table.concat(fields, "\n"))
end

local function enum(e)
	local out = { text.c_comment(e.doc), "enum vfu_wire_" .. e.name .. " {" }
	for _, v in ipairs(e.values) do
		out[#out + 1] = text.c_member(("%s = %d,"):format(v.cname, v.value), v.doc)
	end
	out[#out + 1] = "};"
	return table.concat(out, "\n")
end

local function flag_set(set)
	local out = { text.c_comment(set.doc) }
	local suffix = set.width == 64 and "ull" or "u"
	for _, m in ipairs(set.members) do
		local value = m.wide and ("0x%x%s"):format(m.mask, suffix) or ("(1%s << %d)"):format(suffix, m.shift)
		out[#out + 1] = ("#define %s %s"):format(m.cname, value)
	end
	return table.concat(out, "\n")
end

-- The payloads of one file's messages; the header is what the root file says.
local function payloads(model, file)
	local out = {}
	if file == model.files[1] then
		out[1] = struct(model.header, "precedes every payload") .. "\n"
	end
	for _, m in ipairs(cname.of(file, model.messages)) do
		for _, key in ipairs { "request", "reply" } do
			if m[key].cname then
				out[#out + 1] = struct(m[key], m.name .. ", " .. key) .. "\n"
			end
		end
	end
	return out
end

-- The numbers of one file's messages.
local function commands(model, file)
	local out = text.map(cname.of(file, model.messages), function(m) return ("%s = %d,"):format(cname.command(m.name), m.id) end)
	return out[1] and { "enum {\n\t" .. table.concat(out, "\n\t") .. "\n};\n" } or {}
end

local function parts(model, file)
	return {
		commands = commands(model, file),
		enums = text.map(cname.of(file, model.enums), function(e) return enum(e) .. "\n" end),
		flags = text.map(cname.of(file, model.flags), function(s) return flag_set(s) .. "\n" end),
		structs = text.map(cname.of(file, model.structs), function(s) return struct(s, s.doc) .. "\n" end),
		payloads = payloads(model, file),
	}
end

local function says_anything(model, file)
	for _, list in pairs(parts(model, file)) do
		if #list > 0 then
			return true
		end
	end
end

-- name: of a file of the spec, for its own header; nil: wire.h
return function(model, name)
	local vars
	if name then
		vars = parts(model, name .. ".lua")
		vars.guard = ("VFU_WIRE_%s_H"):format(name:upper())
	else
		vars = { includes = {} }
		for _, file in ipairs(model.files) do
			if says_anything(model, file) then
				table.insert(vars.includes, ('#include "wire-%s.h"'):format(file:match("^(.*)%.lua$")))
			end
		end
	end
	return (text.fill(name and one or whole, vars):gsub("\n\n\n+", "\n\n"))
end
