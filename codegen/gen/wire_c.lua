-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- wire.c: layout assertions, the checks (cfile.lua, and tail/ for what follows the fields) and the table
-- of messages.

local E = require "expr"
local cfile = require "cfile"
local cname = require "cname"
local tails = require "tail"
local text = require "text"

local template = cname.banner:format("wire_c") .. [[
#include "checks.h"
#include "wire.h"

#include <errno.h>
#include <string.h>

#include "policy.h"

${asserts}

/* What a check looks at. */
struct view {
	const char *message;
	const uint8_t *payload;
	uint64_t len;
	uint64_t nfds;
	const struct vfui_limits *limits;
	const struct vfui_policy *policy;
	const void *request;
	struct vfui_fault *fault;
};

static int bad(const struct view *v, const char *field, const char *rule, uint64_t offset,
	       uint64_t value)
{
	if (v->fault) {
		v->fault->message = v->message;
		v->fault->field = field;
		v->fault->rule = rule;
		v->fault->offset = (uint32_t)offset;
		v->fault->value = value;
	}
	return -EINVAL;
}

${helpers}

${structs}

${checks}

int vfui_check_header(const struct vfu_wire_header *header, const struct vfui_policy *policy,
		      struct vfui_fault *fault)
{
	const struct view view = { .message = "header", .policy = policy, .fault = fault };
	const struct view *v = &view;
	const struct vfu_wire_header *in = header;

	${header}
	return 0;
}

const struct vfui_limits vfui_limits_widest = {
	${widest}
};

static const struct vfui_message messages[] = {
	${messages}
};

const struct vfui_message *vfui_message(unsigned command)
{
	if (command >= sizeof(messages) / sizeof(messages[0]) || !messages[command].name)
		return NULL;
	return &messages[command];
}

const struct vfui_message *vfui_message_named(const char *name)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (messages[i].name && strcmp(messages[i].name, name) == 0)
			return &messages[i];
	return NULL;
}

uint64_t vfui_message_max(const struct vfui_message *message, bool reply,
			  const struct vfui_limits *limits)
{
	uint64_t size = reply ? message->reply_size : message->request_size;
	uint64_t room = reply ? message->reply_room : message->request_room;
	bool bulk = reply ? message->reply_bulk : message->request_bulk;
	uint64_t data = bulk ? ${bulk} : 0;

	size += room;
	return data > UINT64_MAX - size ? UINT64_MAX : size + data;
}

bool vfui_message_has_effect(const struct vfui_message *message, const void *payload, size_t len)
{
	uint32_t word;

	if (message->effect_mask == 0)
		return true;
	if (len < message->effect_offset + sizeof(word))
		return false;
	memcpy(&word, (const uint8_t *)payload + message->effect_offset, sizeof(word));
	return (word & message->effect_mask) == message->effect_value;
}
]]

-- What checks may need, if they do.
local helpers = {
	div_up = [[
/* No wrap, unlike (a + b - 1) / b. */
static uint64_t div_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}
]],
	one_bit = [[
static bool one_bit(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}
]],
	is_text = [[
/* Do all bytes from at on form one string, with its NUL and no other? */
static bool is_text(const struct view *v, uint64_t at)
{
	const uint8_t *from = v->payload + at;

	return at < v->len && memchr(from, 0, v->len - at) == v->payload + v->len - 1;
}
]],
}

local function helpers_of(...)
	local out = {}
	for _, name in ipairs { "div_up", "one_bit", "is_text" } do
		local used = false
		for _, list in ipairs { ... } do
			used = used or table.concat(list):find(name .. "(", 1, true)
		end
		out[#out + 1] = used and helpers[name] or nil
	end
	return out
end

-- Structures --------------------------------------------------------------------------------------

-- What follows the fields of a payload or structure.
local function check_tail(f, part, e)
	local t = part.tail
	f.locals(e)
	cfile.tests(f.body, part.after, e)
	if t and tails[t.kind].c then
		tails[t.kind].c(f, t, part)
	end
end

local function check_struct(out, model, s)
	local outer = s.inside and ", const struct " .. cname.outer(model, s) .. " *outer" or ""
	local functions = {}
	local f = cfile.check(functions, s, s.inside and "outer")
	local e = cfile.env(false, { base = "at", prefix = s.name, start = "from" })
	f.declarations = { ("struct %s in;"):format(s.cname) }
	f.body = { "\tif (at > v->len || v->len - at < sizeof(in))",
		   ("\t\treturn bad(v, \"%s\", \"is at least %d bytes\", at, v->len);"):format(s.name, s.size),
		   "\tmemcpy(&in, v->payload + at, sizeof(in));" }
	cfile.tests(f.body, s.rules, e)
	if s.tail then
		f.declarations[2] = "const uint64_t from = at + sizeof(in);"
	end
	check_tail(f, s, e)
	f.finish(("static int check_%s(const struct view *v, uint64_t at%s)"):format(s.name, outer))
	table.insert(functions, #functions, text.c_comment(("%s: %s"):format(s.loc, s.doc)))
	table.move(functions, 1, #functions, #out + 1, out)
end

-- The structures that lie in payloads.
local function used_structs(model)
	local used = {}
	for _, m in ipairs(model.messages) do
		for _, key in ipairs { "request", "reply" } do
			tails.each_part(m[key], function(p) used[p] = true end)
		end
	end
	return used
end

-- Payloads ----------------------------------------------------------------------------------------

local parameters = "const void *payload, size_t len, size_t nfds, const struct vfui_limits *limits, " ..
		   "const struct vfui_policy *policy, const void *request, struct vfui_fault *fault)"

local function check_part(out, part)
	local m, t, e = part.message, part.tail, cfile.env(false)
	local f = cfile.check(out, part, "&in")
	local copies = part.size > 0 and (#part.rules > 0 or #part.after > 0 or t or part.fds and not part.fds.none)
	f.declarations = {
		text.c_statement("\t", "const struct view view = { ",
				 ("\"%s\", payload, len, nfds, limits, policy, request, fault"):format(m.name),
				 " };"):gsub("^\t", ""):gsub("\n\t", "\n"),
		"const struct view *v = &view;",
	}
	for _, alt in ipairs(part.alts) do
		tails.alt.c(f, alt, part)
	end
	cfile.tests(f.body, part.before, copies and e or
		    cfile.env(false, { start = part.cname and "sizeof(struct " .. part.cname .. ")" or "0" }))
	if copies then
		f.declarations[3] = ("struct %s in;"):format(part.cname)
		f.body[#f.body + 1] = "\tmemcpy(&in, payload, sizeof(in));"
	end
	cfile.tests(f.body, part.rules, e)
	check_tail(f, part, e)
	out[#out + 1] = text.c_comment(("%s: %s, %s"):format(part.loc, m.name, part.key))
	f.finish(("int %s("):format(cname.check(m.name, part.key)) .. parameters, 2)
end

-- Tables ------------------------------------------------------------------------------------------

local function asserts(part, out)
	local s = "struct " .. part.cname
	for _, f in ipairs(part.fields) do
		local condition = ("offsetof(%s, %s) == %d"):format(s, f.name, f.offset)
		local line = ("_Static_assert(%s, \"%s\");"):format(condition, f.name)
		if text.width(line) > 100 then
			line = ("_Static_assert(%s,\n\t       \"%s\");"):format(condition, f.name)
		end
		out[#out + 1] = line
	end
	out[#out + 1] = ("_Static_assert(sizeof(%s) == %d, \"size\");\n"):format(s, part.size)
end

local function takes_fds(part)
	return part.fds ~= nil and not part.fds.none
end

local function message_entry(m)
	local out = { ("[%s] = {"):format(m.cname) }
	local function set(field, value)
		if value and value ~= 0 then
			out[#out + 1] = ("\t.%s = %s,"):format(field, value)
		end
	end
	set("name", '"' .. m.name .. '"')
	set("id", m.id)
	set("from", "VFUI_FROM_" .. (m.status == "retired" and "nobody" or m.from):upper())
	for _, key in ipairs { "fence", "post", "basic" } do
		set(key, m[key] and "true")
	end
	set("gate", m.gate and "VFUI_GATE_" .. m.gate:upper())
	set("keeps", m.keeps and '"' .. m.keeps:gsub('[\\"]', "\\%0") .. '"')
	set("at_once", m.keeps and not m.gate and #m.states == 0 and "true")
	for _, key in ipairs { "request", "reply" } do
		set(key .. "_takes_fds", takes_fds(m[key]) and "true")
		set(key .. "_bulk", m[key].bulk and "true")
		set(key .. "_size", m[key].size)
		set(key .. "_room", m[key].room)
	end
	set("request_flat", (not m.request.tail or m.request.tail.kind == "bytes") and "true")
	if #m.states > 0 then
		local mask = 0
		for _, s in ipairs(m.states) do
			mask = mask | 1 << s.value
		end
		set("states", ("0x%x"):format(mask))
		set("states_rule", ('"is lawful in %s alone"'):format(table.concat(text.map(m.states, function(s) return s.name end), ", ")))
	end
	if m.effect then
		set("effect_offset", m.effect.field.offset)
		set("effect_mask", ("0x%x"):format(m.effect.mask))
		set("effect_value", ("0x%x"):format(m.effect.value))
	end
	for _, key in ipairs { "request", "reply" } do
		set("check_" .. key, cname.check(m.name, key))
	end
	out[#out + 1] = "},"
	return table.concat(out, "\n")
end

return function(model)
	local vars = { asserts = {}, structs = {}, checks = {}, header = {}, messages = {} }
	asserts(model.header, vars.asserts)
	local used = used_structs(model)
	for _, s in ipairs(model.structs) do
		asserts(s, vars.asserts)
		if used[s] then
			check_struct(vars.structs, model, s)
		end
	end
	for _, m in ipairs(model.messages) do
		for _, key in ipairs { "request", "reply" } do
			if m[key].cname then
				asserts(m[key], vars.asserts)
			end
			check_part(vars.checks, m[key])
		end
		table.insert(vars.messages, message_entry(m))
	end
	vars.widest = text.map(model.limits, function(l)
		return (".%s = %s,"):format(l.name, l.type == "bool" and "true" or E.c_number(l.widest))
	end)
	cfile.tests(vars.header, model.header.rules, cfile.env(true))
	vars.helpers = helpers_of(vars.structs, vars.checks, vars.header)
	vars.bulk = model.most.bytes and "limits->" .. model.most.bytes.name or "0"
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
