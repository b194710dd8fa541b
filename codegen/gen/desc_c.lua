-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- desc.c: the tables behind desc.h.

local cname = require "cname"
local text = require "text"

local template = cname.banner:format("desc_c") .. [[
#include "desc.h"

#include <stddef.h>
#include <string.h>

${names}

${fields}

const struct vfui_desc vfui_desc_header = ${header};

/* Request and reply of each message. */
static const struct vfui_desc messages[][2] = {
	${messages}
};

static const struct vfui_desc structs[] = {
	${structs}
};

const struct vfui_desc *vfui_desc_message(unsigned command, bool reply)
{
	if (command >= sizeof(messages) / sizeof(messages[0]) || !messages[command][reply].name)
		return NULL;
	return &messages[command][reply];
}

const struct vfui_desc *vfui_desc_struct(const char *name)
{
	for (size_t i = 0; i < sizeof(structs) / sizeof(structs[0]); i++)
		if (strcmp(structs[i].name, name) == 0)
			return &structs[i];
	return NULL;
}
]]

local function name_table(name, entries)
	return ("static const struct vfui_desc_name %s[] = {\n%s\n\t{ 0, 0, NULL },\n};\n"):format(name, table.concat(entries, "\n"))
end

local function enum_names(enum)
	return name_table("enum_" .. enum.name, text.map(enum.values, function(v)
		return ("\t{ UINT64_MAX, %d, \"%s\" },"):format(v.value, v.name)
	end))
end

local function flag_names(set)
	return name_table("flags_" .. set.name, text.map(set.members, function(m)
		local values = m.enum and m.enum.values or { { value = m.mask >> m.shift, name = m.name } }
		return table.concat(text.map(values, function(v)
			return ("\t{ 0x%x, 0x%x, \"%s\" },"):format(m.mask, v.value << m.shift, v.name)
		end), "\n")
	end))
end

local function field_entry(f)
	local kind, names = "NUMBER", "NULL"
	if f.flags then
		kind, names = "FLAGS", "flags_" .. f.flags.name
	elseif f.enum then
		kind, names = "ENUM", "enum_" .. f.enum.name
	elseif f.show then
		kind = f.show:upper()
	end
	return ("{ \"%s\", %d, %d, VFUI_DESC_%s, %s },"):format(f.name, f.offset, f.size, kind, names), names
end

local function field_table(out, part, name, used)
	if part.size == 0 then
		return
	end
	out[#out + 1] = ("static const struct vfui_desc_field %s_fields[] = {"):format(name)
	for _, f in ipairs(part.fields) do
		local entry, names = field_entry(f)
		used[names] = true
		out[#out + 1] = "\t" .. entry
	end
	out[#out + 1] = "};\n"
end

local function desc(part, name)
	local fields = part.size > 0 and name .. "_fields" or "NULL"
	return ("{ \"%s\", %s, %d, %d }"):format(name, fields, #part.fields, part.size)
end

return function(model)
	local vars = { fields = {}, messages = {}, structs = {} }
	local used = {}
	field_table(vars.fields, model.header, "header", used)
	vars.header = desc(model.header, "header")
	for _, s in ipairs(model.structs) do
		field_table(vars.fields, s, s.name, used)
		table.insert(vars.structs, desc(s, s.name) .. ",")
	end
	for _, m in ipairs(model.messages) do
		field_table(vars.fields, m.request, m.request.owner, used)
		field_table(vars.fields, m.reply, m.reply.owner, used)
		table.insert(vars.messages, ("[%d] = {\n\t%s,\n\t%s,\n},"):format(m.id, desc(m.request, m.request.owner),
									 desc(m.reply, m.reply.owner)))
	end
	vars.names = text.map(model.enums, function(e) return used["enum_" .. e.name] and enum_names(e) or nil end)
	table.insert(vars.names, table.concat(text.map(model.flags, function(s)
		return used["flags_" .. s.name] and flag_names(s) or nil
	end), "\n"))
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
