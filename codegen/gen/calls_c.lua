-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- vfu-calls.c: the functions behind vfu-calls.h.

local cname = require "cname"
local text = require "text"

local template = cname.banner:format("calls_c") .. [[
#include "vfu-calls.h"

#include <errno.h>
#include <string.h>

#include "transport/conn.h"
#include "wire.h"

/* Where a message's tail starts; a payload without one may have no buffer at all. */
static const void *tail_of(const void *payload, size_t fixed)
{
	return payload ? (const char *)payload + fixed : NULL;
}

${dispatchers}

int vfui_dispatch(const struct vfui_handlers *handlers, void *ctx, unsigned command,
		  const void *payload, size_t len, struct vfui_request *req)
{
	switch (command) {
	${cases}
	default:
		return -ENOSYS;
	}
}

/* Nothing is sent that its own check refuses. */
static int check_and_call(struct vfui_conn *conn, unsigned command, struct vfui_call *call,
			  const void *in, size_t in_len, void *out, size_t out_len)
{
	const struct iovec iov[2] = { { (void *)(uintptr_t)in, in_len },
				      { (void *)(uintptr_t)call->tail, call->tail_len } };
	int ret = vfui_conn_check_own(conn, command, iov, call->tail_len > 0 ? 2 : 1, call->nfds,
				      call->err);

	return ret ? ret : vfui_conn_call(conn, command, call, in, in_len, out, out_len);
}

${calls}
]]

local with_fixed = [[
static int dispatch_${name}(const struct vfui_handlers *handlers, void *ctx, const void *payload,
${pad}size_t len, struct vfui_request *req)
{
	struct ${struct} in;

	if (!handlers->${name})
		return -ENOSYS;
	if (len < sizeof(in))
		return -EINVAL;
	memcpy(&in, payload, sizeof(in));
	return handlers->${name}(ctx, req, &in, tail_of(payload, sizeof(in)), len - sizeof(in));
}
]]

local without_fixed = [[
static int dispatch_${name}(const struct vfui_handlers *handlers, void *ctx, const void *payload,
${pad}size_t len, struct vfui_request *req)
{
	if (!handlers->${name})
		return -ENOSYS;
	return handlers->${name}(ctx, req, tail_of(payload, 0), len);
}
]]

local function dispatcher(m)
	local columns = #("static int dispatch_" .. m.name .. "(")
	local pad = ("\t"):rep(columns // 8) .. (" "):rep(columns % 8)
	return text.fill(m.request.cname and with_fixed or without_fixed,
			 { name = m.name, struct = m.request.cname or "", pad = pad })
end

local function call(m)
	local input, output = m.request.cname and "in, sizeof(*in)" or "NULL, 0", m.reply.cname and "out, sizeof(*out)" or "NULL, 0"
	return ("%s\n{\n%s\n}\n"):format(cname.call(m, ""), text.c_statement("\t", "return check_and_call(",
		("conn, %s, call, %s, %s"):format(m.cname, input, output), ");"))
end

return function(model)
	local live = cname.live(model)
	local cases = text.map(live, function(m)
		return ("case %s:\n\treturn dispatch_%s(handlers, ctx, payload, len, req);"):format(m.cname, m.name)
	end)
	return (text.fill(template, { dispatchers = text.map(live, dispatcher), cases = cases, calls = text.map(live, call) })
		:gsub("\n\n\n+", "\n\n"))
end
