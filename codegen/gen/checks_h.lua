-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- checks.h: the interface of the checks, and what the runtime needs to know of messages.

local cname = require "cname"
local text = require "text"

local template = cname.banner:format("checks_h") .. [[
#ifndef VFUI_CHECKS_H
#define VFUI_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vfu_wire_header;

/* What both ends have agreed on, or what this end is configured to take. */
struct vfui_limits {
	${limits}
};

/* Minor versions: the highest that a revision has, which a client proposes, and that a server agrees to. */
enum { VFUI_MINOR_NAMED = ${named}, VFUI_MINOR_MOST = ${most} };

/* Those that refuse least. */
extern const struct vfui_limits vfui_limits_widest;

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

enum { VFUI_FROM_SERVER, VFUI_FROM_CLIENT, VFUI_FROM_NOBODY };
/* What the device is asked before such a request starts. */
enum {
	VFUI_GATE_NONE,
	VFUI_GATE_DMA_MAP,
	VFUI_GATE_DMA_UNMAP,
	VFUI_GATE_RESET,
	VFUI_GATE_FEATURE_SET,
	VFUI_GATE_COMMAND,
};

/* What the runtime needs to know of a message. */
struct vfui_message {
	const char *name;
	const char *keeps; /* what of it the library keeps; NULL: users may send and serve it */
	uint16_t id;
	uint8_t from; /* nobody: it is retired */
	bool fence;
	uint8_t gate;
	bool at_once; /* no gate nor states, and a handler of ours: most messages, most of the time */
	bool post; /* may be sent with NO_REPLY */
	bool basic; /* every server knows it */
	bool request_takes_fds;
	bool reply_takes_fds;
	bool request_flat; /* its check does not look behind the fixed part */
	bool request_bulk; /* may carry max_data_xfer_size bytes besides its room */
	bool reply_bulk;
	uint32_t request_size; /* fixed parts */
	uint32_t reply_size;
	uint32_t request_room; /* most bytes after the fixed part, not counting data */
	uint32_t reply_room;
	uint32_t states; /* one bit for each device state in which it is lawful; 0: any */
	const char *states_rule; /* what that is, in words */
	uint32_t effect_offset; /* fence and gate hold only if the u32 there ... */
	uint32_t effect_mask;	/* ... has of these bits (0: always) ... */
	uint32_t effect_value;	/* ... exactly these */
	vfui_check_fn *check_request;
	vfui_check_fn *check_reply;
};

/* The longest fixed part of a request. */
enum { VFUI_REQUEST_SIZE = ${longest} };

/* NULL for a number nobody knows.  A retired message is known, and from nobody. */
const struct vfui_message *vfui_message(unsigned command);
/* The same by its name in the spec, as "dma_map". */
const struct vfui_message *vfui_message_named(const char *name);
/* The longest payload. */
uint64_t vfui_message_max(const struct vfui_message *message, bool reply,
			  const struct vfui_limits *limits);
/* Do fence and gate hold for this request?  The payload need not be checked yet. */
bool vfui_message_has_effect(const struct vfui_message *message, const void *payload, size_t len);

#endif /* VFUI_CHECKS_H */
]]

return function(model)
	local vars = { checks = {}, longest = 1, named = 0, most = model.most.minor and model.most.minor.max or 0 }
	for _, r in ipairs(model.revisions) do
		vars.named = r.minor or vars.named
	end
	for _, m in ipairs(model.messages) do
		vars.longest = math.max(vars.longest, m.request.size)
		for _, key in ipairs { "request", "reply" } do
			table.insert(vars.checks, ("vfui_check_fn %s;"):format(cname.check(m.name, key)))
		end
	end
	vars.limits = text.map(model.limits, function(l)
		return (text.c_member(("%s %s;"):format(cname.ctype[l.type], l.name), l.doc):gsub("^\t", ""):gsub("\n\t", "\n"))
	end)
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
