-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- caps.c: the table of VERSION's capabilities.

local E = require "expr"
local cname = require "cname"
local text = require "text"

local template = cname.banner:format("caps_c") .. [[
#include "caps.h"

#include <string.h>

const struct vfui_cap vfui_caps_table[] = {
	${table}
};

const size_t vfui_caps_count = sizeof(vfui_caps_table) / sizeof(vfui_caps_table[0]);

void vfui_caps_defaults(struct vfui_caps *caps)
{
	memset(caps, 0, sizeof(*caps));
	${defaults}
}
]]

local function c_value(v)
	if type(v) == "boolean" then
		return v and "1" or "0"
	end
	return E.c_number(v or 0)
end

local function entry(cap)
	local out = { text.c_comment(cap.loc), "{" }
	local function set(field, value, zero)
		if value ~= zero then
			out[#out + 1] = ("\t.%s = %s,"):format(field, value)
		end
	end
	set("object", '"' .. cap.object .. '"')
	set("key", '"' .. cap.name .. '"')
	set("type", "VFUI_CAP_" .. cap.type:upper())
	set("offset", ("offsetof(struct vfui_caps, %s)"):format(cap.field))
	set("min", c_value(cap.min), "0")
	set("max", cap.type == "bool" and "1" or c_value(cap.max))
	set("dflt", c_value(cap.default), "0")
	set("multiple_of", c_value(cap.multiple_of), "0")
	for _, key in ipairs { "feature", "in_request", "in_reply" } do
		set(key, tostring(cap[key]), "false")
	end
	set("drop", cap.drop, 0)
	set("bit", ("VFUI_CAPS_%s"):format(cap.field:upper()))
	out[#out + 1] = "},"
	return table.concat(out, "\n")
end

return function(model)
	local defaults = text.map(model.caps, function(cap)
		local value = cap.type == "bool" and "true" or cap.signed and "-1" or c_value(cap.default)
		return cap.default and cap.default ~= 0 and ("caps->%s = %s;"):format(cap.field, value) or nil
	end)
	return text.fill(template, { table = text.map(model.caps, entry), defaults = defaults })
end
