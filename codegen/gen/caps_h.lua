-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- caps.h: the capabilities of VERSION.

local cname = require "cname"
local tail_json = require "tail.json"
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

/* The keys, in the order of vfui_caps_table. */
enum vfui_cap_key {
	${keys}
	VFUI_CAPS
};

/* The JSON objects that some of them lie in. */
enum vfui_cap_object {
	${objects}
	VFUI_CAP_OBJECTS
};

/* What one side says, or has said, in VERSION. */
struct vfui_caps {
	uint64_t value[VFUI_CAPS]; /* of a key that is not said its default; a bool is 0 or 1 */
	uint64_t said;		   /* VFUI_CAP_BIT of keys, VFUI_CAP_OBJECT_BIT of objects */
};

#define VFUI_CAP_BIT(key) (UINT64_C(1) << (key))
#define VFUI_CAP_OBJECT_BIT(object) (UINT64_C(1) << (VFUI_CAPS + (object)))

enum { VFUI_CAP_TYPE_BOOL, VFUI_CAP_TYPE_U32, VFUI_CAP_TYPE_U64 };
/* What holds of two values: each side's own for itself, the smaller, both true, the client's. */
enum { VFUI_COMBINE_OWN, VFUI_COMBINE_MIN, VFUI_COMBINE_AND, VFUI_COMBINE_ECHO };
/* What a limit is made of: the value, or its lowest bit that is set. */
enum { VFUI_AS_VALUE, VFUI_AS_LOWEST_BIT };

/* Most levels of objects and arrays in the text. */
#define VFUI_JSON_DEPTH ${depth}

#define VFUI_CAP_NO_LIMIT SIZE_MAX

/* One key. */
struct vfui_cap {
	const char *name; /* with the object it lies in: "migration.pgsize" */
	const char *key;
	uint8_t object; /* VFUI_CAP_OBJECTS: in none */
	uint8_t type;
	uint8_t combine;
	uint8_t as;
	size_t limit; /* what it sets, in struct vfui_limits */
	uint8_t limit_size;
	uint64_t min, max, dflt; /* dflt (uint64_t)-1: absent */
	uint64_t multiple_of;	 /* 0: any */
	uint64_t own_min, own_max, own; /* what our side may say, and what it does if it says so unasked */
	bool is_own_said;
	bool kept;	 /* not for the user to say */
	bool feature;	 /* answered only if it was proposed */
	bool in_request;
	bool in_reply;
	uint8_t drop; /* a reply grows too long: after the defaults, 1 goes first; 0 never */
};

extern const struct vfui_cap vfui_caps_table[VFUI_CAPS];
extern const char *const vfui_cap_objects[VFUI_CAP_OBJECTS + 1];

#ifdef __cplusplus
}
#endif

#endif /* VFUI_CAPS_H */
]]

return function(model)
	return text.fill(template, {
		keys = text.map(model.caps, function(c) return cname.cap(c) .. "," end),
		depth = tail_json.depth(model),
		objects = text.map(model.cap_objects, function(o) return cname.cap_object(o.name) .. "," end),
	})
end
