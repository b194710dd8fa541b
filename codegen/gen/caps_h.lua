-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- caps.h: the capabilities of VERSION.

local cname = require "cname"
local text = require "text"

local template = cname.banner:format("caps_h") .. [[
#ifndef VFUI_CAPS_H
#define VFUI_CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What one side says, or has said, in VERSION. */
struct vfui_caps {
	${fields}
	uint32_t present; /* one bit for each key and object that was given */
};

${bit_defines}

enum { VFUI_CAP_BOOL, VFUI_CAP_U32, VFUI_CAP_U64 };

/* One key. */
struct vfui_cap {
	const char *object; /* the object it lies in, or "" */
	const char *key;
	uint8_t type;
	size_t offset; /* of its field in struct vfui_caps */
	uint64_t min, max, dflt; /* dflt (uint64_t)-1: an int64_t, -1 if absent */
	uint64_t multiple_of; /* 0: any */
	bool feature;	      /* answered only if it was proposed */
	bool in_request;
	bool in_reply;
	uint8_t drop; /* a reply grows too long: after the defaults, 1 goes first; 0 never */
	uint32_t bit; /* in present */
};

extern const struct vfui_cap vfui_caps_table[];
extern const size_t vfui_caps_count;

/* What holds for a side that says nothing. */
void vfui_caps_defaults(struct vfui_caps *caps);

#ifdef __cplusplus
}
#endif

#endif /* VFUI_CAPS_H */
]]

local storage = { bool = "bool", u32 = "uint32_t", u64 = "uint64_t" }

return function(model)
	local fields, bits = {}, {}
	local seen = {}
	for _, cap in ipairs(model.caps) do
		local object = model.cap_objects[cap.object]
		if object and not seen[object.name] then
			seen[object.name] = true
			fields[#fields + 1] = ("bool %s; /* the object was given */"):format(object.name)
		end
		local line = ("%s %s;"):format(cap.signed and "int64_t" or storage[cap.type], cap.field)
		local one = ("%s /* %s */"):format(line, cap.doc)
		fields[#fields + 1] = text.width(one) <= 92 and one or text.c_comment(cap.doc) .. "\n" .. line
		bits[#bits + 1] = ("#define VFUI_CAPS_%s (1u << %d)"):format(cap.field:upper(), cap.bit)
	end
	for i, object in ipairs(model.cap_objects) do
		bits[#bits + 1] = ("#define VFUI_CAPS_OBJECT_%s (1u << %d)"):format(object.name:upper(),
									    #model.caps + i - 1)
	end
	return text.fill(template, { fields = fields, bit_defines = bits })
end
