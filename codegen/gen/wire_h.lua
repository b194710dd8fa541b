-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- wire.h: structures and numbers. It is installed, so it declares nothing that has to be linked.

local cname = require "cname"
local text = require "text"

local template = cname.banner:format("wire_h") .. [[
#ifndef VFU_WIRE_H
#define VFU_WIRE_H

#include <stdint.h>

/*
 * The structures below hold the fixed part of each payload.  A payload lies behind its header at
 * any alignment: copy it out before use.  All numbers are in host byte order.  wire.c asserts every
 * offset.
 */

${header}

${enums}

${flags}

/* Parts of payloads. */

${structs}

/* Payloads. */

${payloads}

#endif /* VFU_WIRE_H */
]]

local function struct(part, doc)
	local fields = text.map(part.fields, function(f) return text.c_member(("%s %s;"):format(cname.ctype[f.type], f.name), f.doc) end)
	return ("%s\nstruct %s {\n%s\n};"):format(text.c_comment(doc .. ", " .. part.loc), part.cname, table.concat(fields, "\n"))
end

local function enum(e)
	local out = { text.c_comment(e.doc), "enum vfu_wire_" .. e.name .. " {" }
	for _, v in ipairs(e.values) do
		local line = ("%s = %d,"):format(v.cname, v.value)
		out[#out + 1] = e.made and "\t" .. line or text.c_member(line, v.doc)
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

return function(model)
	local vars = { payloads = {} }
	vars.header = struct(model.header, "precedes every payload")
	vars.enums = text.map(model.enums, function(e) return enum(e) .. "\n" end)
	vars.flags = text.map(model.flags, function(s) return flag_set(s) .. "\n" end)
	vars.structs = text.map(model.structs, function(s) return struct(s, s.doc) .. "\n" end)
	for _, m in ipairs(model.messages) do
		for _, key in ipairs { "request", "reply" } do
			if m[key].cname then
				table.insert(vars.payloads, struct(m[key], m.name .. ", " .. key) .. "\n")
			end
		end
	end
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
