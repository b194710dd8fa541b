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
	local out = { ("static const struct vfui_desc_name %s[] = {"):format(name) }
	for _, e in ipairs(entries) do
		out[#out + 1] = "\t" .. e
	end
	out[#out + 1] = "\t{ 0, 0, NULL },"
	out[#out + 1] = "};\n"
	return table.concat(out, "\n")
end

local function enum_names(enum)
	local entries = {}
	for _, v in ipairs(enum.values) do
		entries[#entries + 1] = ("{ UINT64_MAX, %d, \"%s\" },"):format(v.value, v.name)
	end
	return name_table("enum_" .. enum.name, entries)
end

local function flag_names(set)
	local entries = {}
	for _, m in ipairs(set.members) do
		if m.enum then
			for _, v in ipairs(m.enum.values) do
				entries[#entries + 1] = ("{ 0x%x, 0x%x, \"%s\" },"):format(m.mask, v.value << m.shift, v.name)
			end
		else
			entries[#entries + 1] = ("{ 0x%x, 0x%x, \"%s\" },"):format(m.mask, m.mask, m.name)
		end
	end
	return name_table("flags_" .. set.name, entries)
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
	local vars = { names = {}, fields = {}, messages = {}, structs = {} }
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
	for _, e in ipairs(model.enums) do
		if used["enum_" .. e.name] then
			table.insert(vars.names, enum_names(e))
		end
	end
	for _, s in ipairs(model.flags) do
		if used["flags_" .. s.name] then
			table.insert(vars.names, flag_names(s))
		end
	end
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
