-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- wire.h: structures, numbers and the interface of the checks.

local cname = require "cname"
local text = require "text"

local template = cname.banner:format("wire_h") .. [[
#ifndef VFU_WIRE_H
#define VFU_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

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

/* What both ends have agreed on, or what this end is configured to take. */
struct vfui_limits {
	${limits}
};

/* Why a check failed.  The strings are constants. */
struct vfui_fault {
	const char *message;
	const char *field;
	const char *rule;
	uint32_t offset; /* of the field in the payload */
	uint64_t value;
};

struct vfui_policy;

/*
 * A check takes a payload of any alignment and the number of file descriptors that came with it.
 * For a reply, request is the fixed part of the request, aligned; else NULL.  It returns 0, or a
 * negative errno with fault filled in (fault may be NULL).  It neither allocates nor keeps a pointer.
 */
typedef int vfui_check_fn(const void *payload, size_t len, size_t nfds,
			  const struct vfui_limits *limits, const struct vfui_policy *policy,
			  const void *request, struct vfui_fault *fault);

${checks}

/* A header alone: type, size, and with the strict policy unknown bits. */
int vfui_check_header(const struct vfu_wire_header *header, const struct vfui_policy *policy,
		      struct vfui_fault *fault);

enum { VFUI_FROM_CLIENT, VFUI_FROM_SERVER };
enum { VFUI_CLASS_WAIT, VFUI_CLASS_NOWAIT, VFUI_CLASS_ASYNC, VFUI_CLASS_POSTED };
enum { VFUI_STATUS_STABLE, VFUI_STATUS_EXPERIMENTAL, VFUI_STATUS_RETIRED };

/* What the runtime needs to know of a message. */
struct vfui_message {
	const char *name;
	uint16_t id;
	uint8_t from;
#ifdef __cplusplus
	uint8_t message_class;
#else
	uint8_t class;
#endif
	uint8_t status;
	bool fence;
	bool quiesce;
	bool post; /* may be sent with NO_REPLY */
	bool request_takes_fds;
	bool reply_takes_fds;
	bool request_bulk; /* may carry max_data_xfer_size bytes besides its room */
	bool reply_bulk;
	uint32_t request_size; /* fixed parts */
	uint32_t reply_size;
	uint32_t request_room; /* most bytes after the fixed part, not counting data */
	uint32_t reply_room;
	uint32_t states; /* one bit for each device_state in which it is lawful; 0: any */
	uint32_t effect_offset; /* fence and quiesce hold only if the u32 there ... */
	uint32_t effect_mask;	/* ... has of these bits (0: always) ... */
	uint32_t effect_value;	/* ... exactly these */
	vfui_check_fn *check_request;
	vfui_check_fn *check_reply;
};

/* NULL for a number nobody knows.  A retired message is known, by its status. */
const struct vfui_message *vfui_message(unsigned command);
/* The longest payload. */
uint64_t vfui_message_max(const struct vfui_message *message, bool reply,
			  const struct vfui_limits *limits);
/* Do fence and quiesce hold for this request?  The payload need not be checked yet. */
bool vfui_message_has_effect(const struct vfui_message *message, const void *payload, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* VFU_WIRE_H */
]]

local function struct(part, doc)
	local out = { text.c_comment(doc .. ", " .. part.loc), "struct " .. part.cname .. " {" }
	for _, f in ipairs(part.fields) do
		local line = ("\t%s %s;"):format(cname.ctype[f.type], f.name)
		local comment = ("%s /* %s */"):format(line, f.doc)
		if text.width(comment) <= 100 then
			out[#out + 1] = comment
		else
			out[#out + 1] = text.c_comment(f.doc, "\t")
			out[#out + 1] = line
		end
	end
	out[#out + 1] = "};"
	return table.concat(out, "\n")
end

local function with_comment(line, doc)
	local one = ("\t%s /* %s */"):format(line, text.oneline(doc))
	if text.width(one) <= 100 then
		return one
	end
	return text.c_comment(doc, "\t") .. "\n\t" .. line
end

local function enum(e)
	local out = { text.c_comment(e.doc), "enum vfu_wire_" .. e.name .. " {" }
	for _, v in ipairs(e.values) do
		local line = ("%s = %d,"):format(v.cname, v.value)
		out[#out + 1] = e.name == "command" and "\t" .. line or with_comment(line, v.doc)
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
		if set.name == "header" and m.enum then
			for _, v in ipairs(m.enum.values) do
				out[#out + 1] = ("#define VFU_WIRE_HEADER_TYPE_%s %du"):format(v.name:upper(), v.value)
			end
		end
	end
	return table.concat(out, "\n")
end

return function(model)
	local vars = { enums = {}, flags = {}, structs = {}, payloads = {}, limits = {}, checks = {} }
	vars.header = struct(model.header, "precedes every payload")
	for _, e in ipairs(model.enums) do
		if e.name ~= "header_type" then
			table.insert(vars.enums, enum(e) .. "\n")
		end
	end
	for _, s in ipairs(model.flags) do
		table.insert(vars.flags, flag_set(s) .. "\n")
	end
	for _, s in ipairs(model.structs) do
		table.insert(vars.structs, struct(s, s.doc) .. "\n")
	end
	for _, m in ipairs(model.messages) do
		for _, key in ipairs { "request", "reply" } do
			if m[key].cname then
				table.insert(vars.payloads, struct(m[key], m.name .. ", " .. key) .. "\n")
			end
			table.insert(vars.checks, ("vfui_check_fn %s;"):format(cname.check(m.name, key)))
		end
	end
	for _, l in ipairs(model.limits) do
		table.insert(vars.limits, with_comment(("%s %s;"):format(cname.ctype[l.type], l.name), l.doc):sub(2))
	end
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
