-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Checks in C.  A check becomes one function for each payload and one for each structure nested in it.
-- Inside them `in` is the aligned copy of the fixed part, `req` the request's, `outer` that of the
-- message around; all else hangs on v.

local E = require "expr"
local text = require "text"

local M = {}

-- How expressions reach their leaves where `in` is a local or a pointer.
local function env(in_is_pointer, more)
	local out = { ["in"] = in_is_pointer and "in->" or "in.", start = in_is_pointer and "sizeof(*in)" or "sizeof(in)",
		      req = "req->", outer = "outer->", head = "head->", limits = "v->limits->", policy = "v->policy->",
		      nfds = "v->nfds", len = "v->len", seen = "*seen" }
	for key, v in pairs(more or {}) do
		out[key] = v
	end
	return out
end
M.env = env

-- Offset of a structure's field: base is the C expression of where the structure lies.
local function offset(r, e)
	if r.at.op ~= "num" or not e.base then
		return E.c(r.at, e)
	end
	return r.at.v == 0 and e.base or e.base .. " + " .. r.at.v
end

-- Comment, if, return for each rule.  e.prefix names the structure around.
function M.tests(out, rules, e, depth)
	local tabs = ("\t"):rep(depth or 1)
	for _, r in ipairs(rules) do
		local guard = E.all(r.under, r.when)
		out[#out + 1] = text.c_comment(("%s: %s%s%s"):format(r.loc, r.label == "" and "" or r.label .. " ", r.text,
			guard and ", where " .. E.text(guard) or ""), tabs)
		local other = r.errno ~= "EINVAL"
		out[#out + 1] = text.c_statement(tabs, "if (", E.c(E.all(guard, r.broken), e), other and ") {" or ")")
		out[#out + 1] = text.c_statement(tabs .. "\t", other and "bad(" or "return bad(", ('v, "%s%s", "%s", %s, %s'):format(
			e.prefix and e.prefix .. "." or "", r.who, r.said, offset(r, e), E.c(r.value, e)), ");")
		out[#out + 1] = other and ("%s\treturn -%s;\n%s}"):format(tabs, r.errno, tabs) or nil
	end
end

local function uses(lines, word)
	return table.concat(lines, "\n"):find(word, 1, true) ~= nil
end

-- The head of a function, in lines.
function M.head(head)
	return text.c_statement("", head:match("^(.-%()(.*)$"))
end

-- A function from its parts; empty sections vanish.
function M.define(out, head, declarations, body)
	local lines = { M.head(head), "{" }
	for _, d in ipairs(declarations) do
		lines[#lines + 1] = "\t" .. d:gsub("\n", "\n\t")
	end
	lines[#lines + 1] = #declarations > 0 and "" or nil
	table.move(body, 1, #body, #lines + 1, lines)
	lines[#lines + 1] = "}\n"
	out[#out + 1] = table.concat(lines, "\n")
end

-- `req`, if the body has it, behind the n-th declaration.
local function declare_request(message, declarations, body, n)
	if uses(body, "req->") then
		table.insert(declarations, n + 1, ("const struct %s *req = v->request;"):format(message.request.cname))
	end
end

-- How to call the check of a nested structure.  outer: what names the message around here.
local function call(struct, at, outer)
	return ("check_%s(v, %s%s)"):format(struct.name, at, struct.inside and ", " .. outer or "")
end

-- What looks at the first of these items whose condition holds; `in` is a pointer, `at` its offset.
local function entries(items, outer)
	local out, e = {}, env(true)
	for _, item in ipairs(items) do
		local plain = #item.rules == 0 and not item.seen
		out[#out + 1] = text.c_comment(("%s: %s"):format(item.loc, item.doc), "\t")
		out[#out + 1] = text.c_statement("\t", "if (", E.c(item.condition, e), plain and ")" or ") {")
		M.tests(out, item.rules, e, 2)
		out[#out + 1] = item.seen and ("\t\t*seen |= 0x%x;"):format(item.seen) or nil
		out[#out + 1] = ("\t\treturn %s;"):format(call(item.struct, "at", outer))
		out[#out + 1] = not plain and "\t}" or nil
	end
	return out
end

-- Lines without the first tab, to fill a hole that has its own.
local function unindented(lines)
	return (table.concat(lines, "\n"):gsub("^\t", ""):gsub("\n\t", "\n"))
end

-- The function that checks a payload or structure, while it is made.  Those it calls go to `functions`.
function M.check(functions, part, outer)
	local f = { functions = functions, part = part, declarations = {}, body = {}, last = "return 0;",
		    start = part.message and "sizeof(in)" or "from" }
	local message = part.message

	function f.add(template, vars)
		f.body[#f.body + 1] = text.fill(template, vars):gsub("\n$", "")
	end

	function f.call(struct, at)
		return call(struct, at, outer)
	end

	-- Where `in` is a parameter that no item may look at.
	function f.entries(items, parameter)
		local out = entries(items, "in")
		if parameter and not uses(out, "in->") and not uses(out, ", in)") then
			table.insert(out, 1, "\t(void)in;")
		end
		return unindented(out)
	end

	-- An expression where `in` is a pointer.
	function f.pointed(e)
		return E.c(e, env(true))
	end

	f.head = M.head

	-- A rule of a loop at depth 2, in a template.
	function f.test(rule)
		local out = {}
		M.tests(out, { rule }, env(true), 2)
		return (unindented(out):gsub("^\t", ""):gsub("\n\t", "\n"))
	end

	-- The rest is left to check_OWNER(v, &in), where condition holds.
	function f.tail_call(owner, condition)
		f.last = ("return check_%s(v, &in);"):format(owner)
		if condition then
			f.body[#f.body + 1] = text.c_statement("\t", "if (", E.c(condition, env()), ")")
			f.body[#f.body + 1], f.last = "\t\t" .. f.last, "return 0;"
		end
	end

	-- That function, from its items at the start of the variable part.
	function f.items_function(owner, items, otherwise)
		local body, declarations = entries(items, "in"), { "const uint64_t at = sizeof(*in);" }
		body[#body + 1] = ("\treturn 0; /* %s */"):format(otherwise)
		declare_request(message, declarations, body, 1)
		M.define(functions, ("static int check_%s(const struct view *v, const struct %s *in)"):format(owner, part.cname),
			 declarations, body)
		f.tail_call(owner)
	end

	-- Another layout: its rules in a function with these declarations.
	function f.alternative(owner, alt, declarations)
		f.body[#f.body + 1] = text.c_comment(("%s: %s"):format(alt.loc, alt.doc), "\t")
		f.body[#f.body + 1] = text.c_statement("\t", "if (", E.c(alt.condition, env()), ")")
		f.body[#f.body + 1] = #alt.rules == 0 and "\t\treturn 0;" or ("\t\treturn check_%s(v);"):format(owner)
		if #alt.rules > 0 then
			local body = { ("\tmemcpy(&in, v->payload, %d);"):format(alt.size) }
			M.tests(body, alt.rules, env())
			body[#body + 1] = "\treturn 0;"
			declare_request(message, declarations, body, 0)
			functions[#functions + 1] = text.c_comment(("%s: %s"):format(alt.loc, alt.doc))
			M.define(functions, ("static int check_%s(const struct view *v)"):format(owner), declarations, body)
		end
	end

	-- Variables of the tail, set once the fields are there.
	function f.locals(e)
		for _, l in ipairs(part.tail and part.tail.locals or {}) do
			f.declarations[#f.declarations + 1] = ("uint64_t %s;"):format(l.name)
			f.body[#f.body + 1] = text.c_statement("\t", l.name .. " = ", E.c(l.value, e), ";")
		end
	end

	function f.finish(head, request_behind)
		f.body[#f.body + 1] = "\t" .. f.last
		if message then
			declare_request(message, f.declarations, f.body, request_behind)
		elseif outer and not uses(f.body, outer) then
			table.insert(f.body, 1, ("\t(void)%s;"):format(outer))
		end
		M.define(functions, head, f.declarations, f.body)
	end

	return f
end

return M
