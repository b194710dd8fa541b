-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- tests/gen/check-parts.c: functions that read a payload with parts.h and build it again, for
-- tests/lib/part-cases.c.

local cname = require "cname"
local cparts = require "cparts"
local tails = require "tail"
local text = require "text"

local template = cname.banner:format("tests_parts") .. [[
#include "part-cases.h"

#include <string.h>

${functions}

const struct wire_copy wire_copies[] = {
	${copies}
	{ 0, false, NULL },
};
]]

-- parse again, for what it wants to be given; only the copy is kept.
local function copy(out, part, outer)
	local g, t = cparts.generator(part, outer), part.tail
	tails[t.kind].c_parse(g, t)
	g.out = {}
	tails[t.kind].c_copy(g, t)
	table.move(g.out, 1, #g.out, #out + 1, out)
end

local payload = [[
static void copy_${owner}(const uint8_t *payload, size_t len, const void *request,
${pad}struct vfu_wire_builder *b, struct wire_seen *seen)
{
	struct ${cname} in;
	const struct wire_around around = { request, &in };

	if (len < sizeof(in))
		return;
	memcpy(&in, payload, sizeof(in));
	vfu_wire_${owner}_build(b, b->buf, b->room, &in);
	copy_${owner}_${tail}(payload, len, b, seen, &around);
}
]]

local bare = [[
static void copy_${owner}(const uint8_t *payload, size_t len, const void *request,
${pad}struct vfu_wire_builder *b, struct wire_seen *seen)
{
	const struct wire_around around = { request, NULL };

	vfu_wire_${owner}_build(b, b->buf, b->room);
	copy_${owner}_${tail}(payload, len, b, seen, &around);
}
]]

return function(model)
	local vars = { functions = {}, copies = {} }
	for _, s in ipairs(model.structs) do
		if s.tail then
			copy(vars.functions, s, cname.outer(model, s))
		end
	end
	for _, m in ipairs(model.messages) do
		for _, key in ipairs { "request", "reply" } do
			local part = m[key]
			if part.tail then
				copy(vars.functions, part)
				local columns = #("static void copy_" .. part.owner .. "(")
				table.insert(vars.functions, text.fill(part.cname and payload or bare, { owner = part.owner, cname = part.cname or "",
					tail = part.tail.name, pad = ("\t"):rep(columns // 8) .. (" "):rep(columns % 8) }))
				table.insert(vars.copies, ("{ %s, %s, copy_%s },"):format(m.cname, tostring(key == "reply"), part.owner))
			end
		end
	end
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
