-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- vfu-calls.h: one client call and one server slot for each message.

local cname = require "cname"
local text = require "text"

local template = cname.banner:format("calls_h") .. [[
#ifndef VFUI_CALLS_H
#define VFUI_CALLS_H

#include <stddef.h>

struct vfui_call;
struct vfui_conn;
struct vfui_request;
${structs}

/*
 * What serves each message.  `in` is an aligned copy of the fixed part; `tail` is what follows it, at
 * any alignment, valid until the slot returns.
 */
struct vfui_handlers {
	${slots}
};

/* Runs the slot of a request whose payload was checked.  -ENOSYS without one. */
int vfui_dispatch(const struct vfui_handlers *handlers, void *ctx, unsigned command,
		  const void *payload, size_t len, struct vfui_request *req);

${calls}

#endif /* VFUI_CALLS_H */
]]

local function slot(m)
	local args = { "void *ctx", "struct vfui_request *req" }
	args[#args + 1] = m.request.cname and ("const struct %s *in"):format(m.request.cname)
	args[#args + 1] = "const void *tail, size_t tail_len"
	return (text.c_statement("\t", ("int (*%s)("):format(m.name), table.concat(args, ", "), ");"):sub(2):gsub("\n\t", "\n"))
end

return function(model)
	local live = cname.live(model)
	local structs = {}
	for _, m in ipairs(live) do
		for _, part in ipairs { m.request, m.reply } do
			structs[#structs + 1] = part.cname and ("struct %s;"):format(part.cname)
		end
	end
	return text.fill(template, {
		structs = structs,
		slots = text.map(live, slot),
		calls = text.map(live, function(m) return cname.call(m, ";") end),
	})
end
