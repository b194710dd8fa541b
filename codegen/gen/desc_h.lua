-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- desc.h: names and fields of messages, for tracing and for errors.

local cname = require "cname"
local text = require "text"

local template = cname.banner:format("desc_h") .. [[
#ifndef VFUI_DESC_H
#define VFUI_DESC_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How to show a field. */
enum { VFUI_DESC_NUMBER, VFUI_DESC_HEX, VFUI_DESC_FLAGS, VFUI_DESC_ENUM };

/* A value has the name if value & mask == value.  A table ends with name NULL. */
struct vfui_desc_name {
	uint64_t mask;
	uint64_t value;
	const char *name;
};

struct vfui_desc_field {
	const char *name;
	uint16_t offset;
	uint8_t size;
	uint8_t kind;
	const struct vfui_desc_name *names; /* for flags and enumerations */
};

struct vfui_desc {
	const char *name;
	const struct vfui_desc_field *fields;
	unsigned nfields;
	uint32_t size; /* of the fixed part */
};

extern const struct vfui_desc vfui_desc_header;

/* The fixed part of a payload; NULL for a number nobody knows. */
const struct vfui_desc *vfui_desc_message(unsigned command, bool reply);
/* A nested structure by its name in the spec, as "io_fd"; NULL if there is none. */
const struct vfui_desc *vfui_desc_struct(const char *name);

#ifdef __cplusplus
}
#endif

#endif /* VFUI_DESC_H */
]]

return function()
	return text.fill(template, {})
end
