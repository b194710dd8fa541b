-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- caps.c: the table of VERSION's capabilities.

local E = require "expr"
local cname = require "cname"
local text = require "text"

local template = cname.banner:format("caps_c") .. [[
#include "caps.h"
#include "checks.h"

_Static_assert(VFUI_CAPS + VFUI_CAP_OBJECTS <= 64, "each key and object has a bit");

const struct vfui_cap vfui_caps_table[VFUI_CAPS] = {
	${table}
};

const char *const vfui_cap_objects[VFUI_CAP_OBJECTS + 1] = {
	${objects}
	NULL,
};
]]

local function c_value(v)
	if type(v) == "boolean" then
		return v and "1" or "0"
	end
	return E.c_number(v or 0)
end

local function entry(cap)
	local out = { text.c_comment(cap.loc), ("[%s] = {"):format(cname.cap(cap)) }
	local function set(field, value, zero)
		if value ~= zero then
			out[#out + 1] = ("\t.%s = %s,"):format(field, value)
		end
	end
	set("name", ('"%s"'):format(cap.path))
	set("key", ('"%s"'):format(cap.name))
	set("object", cap.object == "" and "VFUI_CAP_OBJECTS" or cname.cap_object(cap.object))
	set("type", "VFUI_CAP_TYPE_" .. cap.type:upper())
	set("combine", "VFUI_COMBINE_" .. cap.combine:upper())
	set("as", cap.as and "VFUI_AS_" .. cap.as:upper())
	local limit = cap.limit and ("struct vfui_limits, %s"):format(cap.limit.name)
	set("limit", limit and ("offsetof(%s)"):format(limit) or "VFUI_CAP_NO_LIMIT")
	set("limit_size", limit and ("sizeof(((struct vfui_limits *)0)->%s)"):format(cap.limit.name))
	set("min", c_value(cap.min), "0")
	set("max", c_value(cap.type == "bool" or cap.max))
	set("dflt", c_value(cap.default), "0")
	set("multiple_of", c_value(cap.multiple_of), "0")
	set("own_min", c_value(cap.ours.min), "0")
	set("own_max", c_value(cap.type == "bool" or cap.ours.max))
	set("own", c_value(cap.ours.value), "0")
	set("is_own_said", tostring(cap.ours.value ~= nil), "false")
	for _, key in ipairs { "kept", "feature", "in_request", "in_reply" } do
		set(key, tostring(cap[key]), "false")
	end
	set("drop", cap.drop, 0)
	out[#out + 1] = "},"
	return table.concat(out, "\n")
end

return function(model)
	return text.fill(template, {
		table = text.map(model.caps, entry),
		objects = text.map(model.cap_objects, function(o) return ('[%s] = "%s",'):format(cname.cap_object(o.name), o.name) end),
	})
end
