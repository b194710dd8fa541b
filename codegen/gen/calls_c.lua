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
	local args = { "struct vfui_conn *conn", "struct vfui_call *call" }
	local input, output = "NULL, 0", "NULL, 0"
	if m.request.cname then
		args[#args + 1] = ("const struct %s *in"):format(m.request.cname)
		input = "in, sizeof(*in)"
	end
	if m.reply.cname then
		args[#args + 1] = ("struct %s *out"):format(m.reply.cname)
		output = "out, sizeof(*out)"
	end
	local head = text.c_statement("", ("int vfui_call_%s("):format(m.name), table.concat(args, ", "), ")")
	local body = text.c_statement("\t", "return vfui_conn_call(",
				      ("conn, %s, call, %s, %s"):format(m.cname, input, output), ");")
	return ("%s\n{\n%s\n}\n"):format(head, body)
end

return function(model)
	local vars = { dispatchers = {}, cases = {}, calls = {} }
	for _, m in ipairs(model.messages) do
		if m.status ~= "retired" then
			table.insert(vars.dispatchers, dispatcher(m))
			table.insert(vars.cases, ("case %s:"):format(m.cname))
			table.insert(vars.cases, ("\treturn dispatch_%s(handlers, ctx, payload, len, req);"):format(m.name))
			table.insert(vars.calls, call(m))
		end
	end
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
