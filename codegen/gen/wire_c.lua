-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- wire.c: layout assertions, the checks and the table of messages.
--
-- A check becomes one function for each payload and one for each structure nested in it.  Inside them
-- `in` is the aligned copy of the fixed part, `req` the request's, `outer` that of the message around.

local E = require "expr"
local cname = require "cname"
local text = require "text"

local template = cname.banner:format("wire_c") .. [[
#include "checks.h"

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

/* No wrap, unlike (a + b - 1) / b. */
static uint64_t div_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

static bool one_bit(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

/* Do all bytes from at on form one string, with its NUL and no other? */
static bool is_text(const struct view *v, uint64_t at)
{
	const uint8_t *from = v->payload + at;

	return at < v->len && memchr(from, 0, v->len - at) == v->payload + v->len - 1;
}

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

static const struct vfui_message messages[] = {
	${messages}
};

const struct vfui_message *vfui_message(unsigned command)
{
	if (command >= sizeof(messages) / sizeof(messages[0]) || !messages[command].name)
		return NULL;
	return &messages[command];
}

uint64_t vfui_message_max(const struct vfui_message *message, bool reply,
			  const struct vfui_limits *limits)
{
	uint64_t size = reply ? message->reply_size : message->request_size;
	uint64_t room = reply ? message->reply_room : message->request_room;
	bool bulk = reply ? message->reply_bulk : message->request_bulk;
	uint64_t data = bulk ? limits->max_data_xfer_size : 0;

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

-- Small pieces ------------------------------------------------------------------------------------

-- Expressions inside a function where `in` is a pointer or a local, and all else hangs on v.
local function env(in_is_pointer)
	return { ["in"] = in_is_pointer and "in->" or "in.", req = "req->", outer = "outer->",
		 limits = "v->limits->", policy = "v->policy->", nfds = "v->nfds", len = "v->len" }
end

local function indent_of(depth)
	return ("\t"):rep(depth or 1)
end

-- Lines of one test: comment, if, return.
local function test(out, depth, comment, condition, fields)
	local tabs = indent_of(depth)
	out[#out + 1] = text.c_comment(comment, tabs)
	out[#out + 1] = text.c_statement(tabs, "if (", condition, ")")
	out[#out + 1] = text.c_statement(tabs .. "\t", "return bad(", "v, " .. fields, ");")
end

local function conjunction(...)
	local e
	for i = 1, select("#", ...) do
		local part = select(i, ...)
		if part then
			e = e and E.andalso(e, part) or part
		end
	end
	return e
end

local function prefixed(prefix, name)
	return prefix and prefix .. "." .. name or name
end

-- base: C expression of the offset of the structure in the payload, nil for a payload itself
local function offset(base, n)
	if not base then
		return tostring(n)
	end
	return n == 0 and base or base .. " + " .. n
end

local function rule_tests(out, rules, e, base, prefix)
	for _, r in ipairs(rules) do
		local name = r.field and r.field.name or "fds"
		local value = r.field and e["in"] .. name or "v->nfds"
		local when = (r.under or r.when) and ", where " .. E.text(conjunction(r.under, r.when)) or ""
		test(out, 1, ("%s: %s %s%s"):format(r.loc, name, r.text, when),
		     E.c(conjunction(r.under, r.when, r.broken), e),
		     ("\"%s\", \"%s\", %s, %s"):format(prefixed(prefix, name), r.text,
						       offset(base, r.field and r.field.offset or 0), value))
	end
end

local function uses(lines, word)
	return table.concat(lines, "\n"):find(word, 1, true) ~= nil
end

-- A function from its parts; empty sections vanish.
local function define(out, head, declarations, body)
	local before, arguments = head:match("^(.-%()(.*)$")
	local lines = { text.c_statement("", before, arguments, ""), "{" }
	for _, d in ipairs(declarations) do
		lines[#lines + 1] = "\t" .. d
	end
	if #declarations > 0 then
		lines[#lines + 1] = ""
	end
	for _, b in ipairs(body) do
		lines[#lines + 1] = b
	end
	lines[#lines + 1] = "}\n"
	out[#out + 1] = table.concat(lines, "\n")
end

local function request_declaration(m, body, declarations)
	if uses(body, "req->") then
		table.insert(declarations, 2, ("const struct %s *req = v->request;"):format(m.request.cname))
	end
end

-- How to call the check of a nested structure.  outer: what names the message around here.
local function call(struct, at, outer)
	return ("check_%s(v, %s%s)"):format(struct.name, at, struct.inside and ", " .. outer or "")
end

-- Arrays ------------------------------------------------------------------------------------------

local function overlap(out, struct, first, second)
	local s = "const struct view *v, uint64_t one, uint64_t two"
	define(out, ("static bool overlap_%s(%s)"):format(struct.name, s), { ("struct %s a, b;"):format(struct.cname) }, {
		"\tmemcpy(&a, v->payload + one, sizeof(a));",
		"\tmemcpy(&b, v->payload + two, sizeof(b));",
		("\treturn a.%s - b.%s < b.%s || b.%s - a.%s < a.%s;"):format(first, first, second, first, first, second),
	})
end

local function array_loop(body, t, outer)
	if t.element.scalar then
		return
	end
	body[#body + 1] = "\tfor (uint64_t i = 0; i < n; i++) {"
	body[#body + 1] = ("\t\tint err = %s;"):format(call(t.element, ("from + i * %d"):format(t.element_size), outer))
	body[#body + 1] = ""
	body[#body + 1] = "\t\tif (err)"
	body[#body + 1] = "\t\t\treturn err;"
	if t.disjoint then
		body[#body + 1] = "\t\tfor (uint64_t j = 0; j < i; j++)"
		body[#body + 1] = ("\t\t\tif (overlap_%s(v, from + i * %d, from + j * %d))"):format(t.element.name,
										t.element_size, t.element_size)
		body[#body + 1] = ("\t\t\t\treturn bad(v, \"%s\", \"do not overlap\", from + i * %d, i);"):format(t.name,
										t.element_size)
	end
	body[#body + 1] = "\t}"
end

-- from: C expression of where the array starts
local function array_body(declarations, body, t, e, from, outer, prefix)
	declarations[#declarations + 1] = ("const uint64_t from = %s;"):format(from)
	declarations[#declarations + 1] = "uint64_t n;"
	body[#body + 1] = ("\tn = %s;"):format(E.c(t.count, e))
	local size, room = t.element_size, "v->len - from"
	local wrong, rule
	if t.more then
		wrong = ("n > (%s) / %d"):format(room, size)
		rule = ("holds all entries of %d bytes"):format(size)
	else
		wrong = ("n != (%s) / %d || (%s) %% %d != 0"):format(room, size, room, size)
		rule = ("is entries of %d bytes, as many as counted, and ends the payload"):format(size)
	end
	test(body, 1, ("%s: %s %s"):format(t.loc, t.name, rule), wrong,
	     ("\"%s\", \"%s\", from, n"):format(prefixed(prefix, t.name), rule))
	array_loop(body, t, outer)
end

-- Entries whose length the message itself tells.
local function variant_switch(body, t)
	body[#body + 1] = ("\tmemcpy(&by, v->payload + at + %d, sizeof(by));"):format(t.by.offset)
	body[#body + 1] = "\tswitch (by) {"
	local seen = {}
	for _, first in ipairs(t.variants) do
		if not seen[first.value] then
			seen[first.value] = true
			local same = {}
			for _, v in ipairs(t.variants) do
				if v.value == first.value then
					same[#same + 1] = v
				end
			end
			table.sort(same, function(a, b) return a.min_stride > b.min_stride end)
			body[#body + 1] = ("\tcase %d:"):format(first.value)
			for _, v in ipairs(same) do
				body[#body + 1] = text.c_comment(("%s: %s"):format(v.loc, v.name), "\t\t")
				if v.min_stride > t.min_stride then
					body[#body + 1] = ("\t\tif (stride >= %d)"):format(v.min_stride)
					body[#body + 1] = ("\t\t\treturn %s;"):format(call(v.struct, "at", "in"))
				else
					body[#body + 1] = ("\t\treturn %s;"):format(call(v.struct, "at", "in"))
				end
			end
			if same[#same].min_stride > t.min_stride then
				body[#body + 1] = "\t\treturn 0;"
			end
		end
	end
	body[#body + 1] = "\tdefault:"
	body[#body + 1] = "\t\treturn 0; /* an unknown type is skipped */"
	body[#body + 1] = "\t}"
end

local strided = [[
	if (v->len < ${whole}) {
		/* ${loc}: a reply too short for its entries holds none */
		if (v->len != sizeof(*in))
			return bad(v, "payload", "is whole or only its fixed part", 0, v->len);
		return 0;
	}
	if (in->count == 0) {
		if (v->len != sizeof(*in))
			return bad(v, "${name}", "is empty when there are no entries", at, v->len);
		return 0;
	}
	stride = ${stride};
	/* ${loc}: ${name} is entries of one size, at least ${min} bytes */
	if (stride < ${min} || stride * ${count} != v->len - at)
		return bad(v, "${name}", "is entries of one size, at least ${min} bytes", at, stride);
	for (; at < v->len; at += stride) {
		int err = ${entry}(v, at, stride);

		if (err)
			return err;
	}
	return 0;
]]

local function strided_array(out, part, t)
	local owner = part.owner .. "_" .. t.name
	local body = {}
	variant_switch(body, t)
	define(out, ("static int check_%s_entry(const struct view *v, uint64_t at, uint64_t stride)"):format(owner),
	       { cname.ctype[t.by.type] .. " by;" }, body)
	local e = env(true)
	local filled = text.fill(strided, { whole = E.c(t.whole, e), loc = t.loc, name = t.name, stride = E.c(t.stride, e),
		min = t.min_stride, count = E.c(t.count, e), entry = "check_" .. owner .. "_entry" })
	define(out, ("static int check_%s(const struct view *v, const struct %s *in)"):format(owner, part.cname),
	       { "uint64_t at = sizeof(*in);", "uint64_t stride;" }, { (filled:gsub("\n$", "")) })
end

-- Chains ------------------------------------------------------------------------------------------

local function chain_links(out, part, t, owner)
	local body, excluded = { ("\tswitch (head->%s) {"):format(t.key.name) }, false
	for i, l in ipairs(t.links) do
		body[#body + 1] = ("\tcase %s:"):format(l.cname or l.value)
		if l.version then
			body[#body + 1] = ("\t\tif (head->%s != %d)"):format(t.version.name, l.version)
			body[#body + 1] = "\t\t\treturn 0;"
		end
		local mask = 0
		for j, other in ipairs(t.links) do
			for _, name in ipairs(l.excludes) do
				mask = name == other.name and mask | (1 << (j - 1)) or mask
			end
			for _, name in ipairs(other.excludes) do
				mask = name == l.name and mask | (1 << (j - 1)) or mask
			end
		end
		if mask ~= 0 then
			excluded = true
			body[#body + 1] = text.c_comment(("%s: some capabilities exclude each other"):format(l.loc), "\t\t")
			body[#body + 1] = ("\t\tif (*seen & 0x%x)"):format(mask)
			body[#body + 1] = ("\t\t\treturn bad(v, \"%s\", \"excludes another one present\", at, head->%s);"):format(
				l.name, t.key.name)
			body[#body + 1] = ("\t\t*seen |= 0x%x;"):format(1 << (i - 1))
		end
		body[#body + 1] = ("\t\treturn %s;"):format(call(l.struct, "at", "in"))
	end
	body[#body + 1] = "\tdefault:"
	body[#body + 1] = "\t\treturn 0; /* an unknown one is skipped */"
	body[#body + 1] = "\t}"
	if not excluded then
		table.insert(body, 1, "\t(void)seen;")
	end
	define(out, ("static int check_%s_link(const struct view *v, uint64_t at, const struct %s *head, " ..
		     "uint32_t *seen, const struct %s *in)"):format(owner, t.head.cname, part.cname), {}, body)
end

local chained = [[
	uint64_t at = ${at}, from = sizeof(*in);
	struct ${head} head;
	uint32_t seen = 0;

	for (;;) {
		int err;

		/* ${loc}: ${name}: each lies behind the one before, so there is no loop */
		if (at < from || at > v->len || v->len - at < sizeof(head))
			return bad(v, "${name}", "each lies behind the one before, in the payload", at, at);
		memcpy(&head, v->payload + at, sizeof(head));
		err = check_${owner}_link(v, at, &head, &seen, in);
		if (err || head.${next} == 0)
			return err;
		from = at + sizeof(head);
		at = head.${next};
	}
]]

local function chain(out, part, t)
	local owner = part.owner .. "_" .. t.name
	chain_links(out, part, t, owner)
	local filled = text.fill(chained, { at = E.c(t.at, env(true)), head = t.head.cname, loc = t.loc, name = t.name,
					    owner = owner, next = t.next.name })
	define(out, ("static int check_%s(const struct view *v, const struct %s *in)"):format(owner, part.cname), {},
	       { (filled:gsub("\n$", "")) })
end

-- Unions ------------------------------------------------------------------------------------------

local function union_case(body, c, e)
	body[#body + 1] = text.c_comment(("%s: %s"):format(c.loc, c.doc), "\t\t")
	local condition = c.when and E.c(c.when, e) or "true"
	local rule = ("is exactly %d bytes"):format(c.struct.size)
	if c.struct.tail then
		body[#body + 1] = text.c_statement("\t\t", "if (", condition, ")")
	else
		body[#body + 1] = text.c_statement("\t\t", "if (", condition, ") {")
		body[#body + 1] = ("\t\t\tif (v->len - at != %d)"):format(c.struct.size)
		body[#body + 1] = text.c_statement("\t\t\t\t", "return bad(",
			("v, \"%s\", \"%s\", at, v->len - at"):format(c.name, rule), ");")
	end
	body[#body + 1] = ("\t\t\treturn %s;"):format(call(c.struct, "at", "in"))
	if not c.struct.tail then
		body[#body + 1] = "\t\t}"
	end
end

local function union(out, part, t)
	local e, body, seen = env(true), {}, {}
	local optional = E.ne({ op = "len" }, E.num(part.size))
	body[#body + 1] = ("\tswitch (%s) {"):format(E.c(t.by, e))
	for _, first in ipairs(t.cases) do
		if not seen[first.value] then
			seen[first.value] = true
			body[#body + 1] = ("\tcase %s:"):format(first.cname)
			for _, c in ipairs(t.cases) do
				if c.value == first.value then
					local when = conjunction(c.when, c.optional and optional)
					union_case(body, setmetatable({ when = when or false, optional = false },
								      { __index = c }), e)
				end
			end
			body[#body + 1] = "\t\treturn 0;"
		end
	end
	body[#body + 1] = "\tdefault:"
	body[#body + 1] = "\t\treturn 0; /* no layout is known */"
	body[#body + 1] = "\t}"
	local declarations = { "const uint64_t at = sizeof(*in);" }
	request_declaration(part.message, body, declarations)
	define(out, ("static int check_%s_%s(const struct view *v, const struct %s *in)"):format(part.owner, t.name,
											    part.cname),
	       declarations, body)
end

-- Structures --------------------------------------------------------------------------------------

local function outer_name(model, struct)
	local message, key = struct.inside:match("^(.-)%.(.*)$")
	return model.messages[message][key].cname
end

local function check_struct(out, model, s)
	local outer = s.inside and ", const struct " .. outer_name(model, s) .. " *outer" or ""
	if s.tail and s.tail.disjoint then
		overlap(out, s.tail.element, s.tail.disjoint[1].name, s.tail.disjoint[2].name)
	end
	local declarations, body = { ("struct %s in;"):format(s.cname) }, {}
	body[#body + 1] = "\tif (at > v->len || v->len - at < sizeof(in))"
	body[#body + 1] = ("\t\treturn bad(v, \"%s\", \"is at least %d bytes\", at, v->len);"):format(s.name, s.size)
	body[#body + 1] = "\tmemcpy(&in, v->payload + at, sizeof(in));"
	rule_tests(body, s.rules, env(false), "at", s.name)
	if s.tail then
		array_body(declarations, body, s.tail, env(false), "at + sizeof(in)", "outer", s.name)
	end
	if s.inside and not uses(body, "outer") then
		table.insert(body, 1, "\t(void)outer;")
	end
	body[#body + 1] = "\treturn 0;"
	out[#out + 1] = text.c_comment(("%s: %s"):format(s.loc, s.doc))
	define(out, ("static int check_%s(const struct view *v, uint64_t at%s)"):format(s.name, outer), declarations, body)
end

local function used_structs(model)
	local used = {}
	local function note(t)
		if not t then
			return
		end
		for _, list in ipairs { t.links or {}, t.variants or {}, t.cases or {} } do
			for _, item in ipairs(list) do
				used[item.struct] = true
				note(item.struct.tail)
			end
		end
		if t.element and t.element.name then
			used[t.element] = true
		end
	end
	for _, m in ipairs(model.messages) do
		note(m.request.tail)
		note(m.reply.tail)
	end
	return used
end

-- Payloads ----------------------------------------------------------------------------------------

local function length_test(out, part)
	local t, size = part.tail, part.size
	local sizeof = size > 0 and "sizeof(in)" or "0"
	local wrong, rule
	local max = t and t.max or part.room > 0 and part.room
	local bulk = part.bulk and (not t or t.kind ~= "bytes" or part.longer)
	if not t and not part.longer then
		wrong = "v->len != " .. sizeof
		rule = size == 0 and "is empty" or ("is exactly %d bytes"):format(size)
	elseif bulk then
		wrong = ("v->len < %s || v->len - %s > v->limits->max_data_xfer_size"):format(sizeof, sizeof)
		rule = ("is %d bytes and at most max_data_xfer_size more"):format(size)
	elseif max then
		wrong = ("v->len < %s || v->len - %s > %d"):format(sizeof, sizeof, max)
		rule = ("is at least %d bytes and at most %d"):format(size, size + max)
	else
		wrong = "v->len < " .. sizeof
		rule = ("is at least %d bytes"):format(size)
	end
	test(out, 1, ("%s: the payload %s"):format(part.loc, rule), wrong,
	     ("\"payload\", \"%s\", 0, v->len"):format(rule))
end

local function fd_rule(out, fds, wrong, rule, e)
	local when = fds.when and ", where " .. E.text(fds.when) or ""
	test(out, 1, ("%s: %s%s"):format(fds.loc, rule, when), E.c(conjunction(fds.when, wrong), e),
	     ("\"fds\", \"%s\", 0, v->nfds"):format(rule))
end

-- early: before the fixed part is copied, so only what needs no field
local function fd_tests(out, fds, e, early)
	if not fds then
		return
	end
	local nfds = { op = "nfds" }
	local function is_early(x)
		return x.op == "num" and not fds.when
	end
	if fds.max and is_early(fds.max) == early then
		local none = fds.max.op == "num" and fds.max.v == 0
		fd_rule(out, fds, none and E.ne(nfds, E.num(0)) or E.gt(nfds, fds.max),
			none and "no file descriptors" or "at most " .. E.text(fds.max) .. " file descriptors", e)
	end
	if fds.min and is_early(fds.min) == early then
		local wrong = fds.min.op == "num" and fds.min.v == 1 and E.eq(nfds, E.num(0)) or E.lt(nfds, fds.min)
		fd_rule(out, fds, wrong, "at least " .. E.text(fds.min) .. " file descriptors", e)
	end
	if fds.count and not early then
		local wrong = E.ne(nfds, fds.count)
		if fds.or_none then
			wrong = E.andalso(E.ne(nfds, E.num(0)), wrong)
		end
		fd_rule(out, fds, wrong, ("as many file descriptors as %s says%s"):format(E.text(fds.count),
			fds.or_none and ", or none" or ""), e)
	end
end

local function bytes_test(out, part, e)
	local t = part.tail
	local size = E.c(t.size, e)
	if t.when then
		size = ("(%s ? %s : 0)"):format(E.c(t.when, e, 9), size)
	end
	local rule = ("is as long as %s says"):format(E.text(t.size))
	test(out, 1, ("%s: %s %s"):format(t.loc, t.name, rule),
	     ("v->len - sizeof(in) %s %s"):format(part.longer and "<" or "!=", size),
	     ("\"%s\", \"%s\", sizeof(in), v->len - sizeof(in)"):format(t.name, rule))
end

local function json_test(out, t)
	local rule = "ends with a NUL and holds no other"
	local has = t.optional and "v->len > sizeof(in) && " or ""
	test(out, 1, ("%s: %s %s"):format(t.loc, t.name, rule), has .. "!is_text(v, sizeof(in))",
	     ("\"%s\", \"%s\", sizeof(in), v->len - sizeof(in)"):format(t.name, rule))
end

-- The variable part, inside the payload's own function.  Returns the function's last statement.
local function tail_tests(out, part, declarations, e)
	local t = part.tail
	if not t then
		return "return 0;"
	elseif t.kind == "bytes" then
		bytes_test(out, part, e)
	elseif t.kind == "json" then
		json_test(out, t)
	elseif t.kind == "array" and not t.stride then
		array_body(declarations, out, t, e, "sizeof(in)", "&in")
	elseif t.kind == "chain" then
		local skip = conjunction(t.when, t.whole and E.ge({ op = "len" }, t.whole))
		if skip then
			out[#out + 1] = text.c_statement("\t", "if (", E.c(skip, e), ")")
			out[#out + 1] = ("\t\treturn check_%s_%s(v, &in);"):format(part.owner, t.name)
			return "return 0;"
		end
		return ("return check_%s_%s(v, &in);"):format(part.owner, t.name)
	else
		return ("return check_%s_%s(v, &in);"):format(part.owner, t.name)
	end
	return "return 0;"
end

local function check_alt(out, part, alt)
	if #alt.rules == 0 then
		return
	end
	local body, declarations = {}, { "struct {" }
	for _, f in ipairs(alt.fields) do
		declarations[#declarations + 1] = ("\t%s %s;"):format(cname.ctype[f.type], f.name)
	end
	declarations[#declarations + 1] = "} in;"
	body[#body + 1] = ("\tmemcpy(&in, v->payload, %d);"):format(alt.size)
	rule_tests(body, alt.rules, env(false))
	body[#body + 1] = "\treturn 0;"
	if uses(body, "req->") then
		table.insert(declarations, 1, ("const struct %s *req = v->request;"):format(part.message.request.cname))
	end
	out[#out + 1] = text.c_comment(("%s: %s"):format(alt.loc, alt.doc))
	define(out, ("static int check_%s_%s(const struct view *v)"):format(part.owner, alt.name), declarations, body)
end

local function alt_tests(body, part, e)
	for _, alt in ipairs(part.alts) do
		body[#body + 1] = text.c_comment(("%s: %s"):format(alt.loc, alt.doc), "\t")
		local condition = conjunction(E.eq({ op = "len" }, E.num(alt.size)), alt.under, alt.when)
		body[#body + 1] = text.c_statement("\t", "if (", E.c(condition, e), ")")
		body[#body + 1] = #alt.rules == 0 and "\t\treturn 0;" or
				  ("\t\treturn check_%s_%s(v);"):format(part.owner, alt.name)
	end
end

local parameters = "const void *payload, size_t len, size_t nfds, const struct vfui_limits *limits, " ..
		   "const struct vfui_policy *policy, const void *request, struct vfui_fault *fault)"

local function check_part(out, part)
	local m, t, e = part.message, part.tail, env(false)
	if t and t.kind == "chain" then
		chain(out, part, t)
	elseif t and t.kind == "union" then
		union(out, part, t)
	elseif t and t.stride then
		strided_array(out, part, t)
	end
	for _, alt in ipairs(part.alts) do
		check_alt(out, part, alt)
	end
	local declarations = {
		text.c_statement("\t", "const struct view view = { ",
				 ("\"%s\", payload, len, nfds, limits, policy, request, fault"):format(m.name),
				 " };"):sub(2),
		"const struct view *v = &view;",
	}
	local body = {}
	local copies = part.size > 0 and (#part.rules > 0 or t or part.fds and not part.fds.none)
	alt_tests(body, part, e)
	length_test(body, part)
	fd_tests(body, part.fds, e, true)
	if copies then
		declarations[#declarations + 1] = ("struct %s in;"):format(part.cname)
		body[#body + 1] = "\tmemcpy(&in, payload, sizeof(in));"
	end
	rule_tests(body, part.rules, e)
	fd_tests(body, part.fds, e, false)
	local last = tail_tests(body, part, declarations, e)
	body[#body + 1] = "\t" .. last
	if not copies then
		for i, line in ipairs(body) do
			body[i] = line:gsub("sizeof%(in%)", part.cname and "sizeof(struct " .. part.cname .. ")" or "0")
		end
	end
	request_declaration(m, body, declarations)
	if uses({ declarations[2] }, "req =") then
		declarations[2], declarations[3] = declarations[3], declarations[2]
	end
	local head = ("int %s("):format(cname.check(m.name, part.key))
	out[#out + 1] = text.c_comment(("%s: %s, %s"):format(part.loc, m.name, part.key))
	define(out, head .. parameters, declarations, body)
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
	set("from", "VFUI_FROM_" .. m.from:upper())
	set("class", "VFUI_CLASS_" .. m.class:upper())
	set("status", "VFUI_STATUS_" .. m.status:upper())
	for _, key in ipairs { "fence", "quiesce", "post" } do
		set(key, m[key] and "true")
	end
	for _, key in ipairs { "request", "reply" } do
		set(key .. "_takes_fds", takes_fds(m[key]) and "true")
		set(key .. "_bulk", m[key].bulk and "true")
		set(key .. "_size", m[key].size)
		set(key .. "_room", m[key].room)
	end
	local states = 0
	for _, s in ipairs(m.states) do
		states = states | (1 << s.value)
	end
	set("states", states ~= 0 and ("0x%x"):format(states))
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
	rule_tests(vars.header, model.header.rules, env(true))
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
