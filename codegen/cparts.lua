-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- How what follows the fields of a part is read and built in C, and copied in the tests of that.
--
--	parse   where it begins, of any bytes          vfu_wire_sparse_mmap_areas_parse(payload, len)
--	next    the next piece, typed                  vfu_wire_sparse_mmap_areas_next(&items, &area)
--	build   a payload in the making, its fields    vfu_wire_get_region_info_reply_build(&b, buf, room, &in)
--	add     a piece more                           vfu_wire_sparse_mmap_areas_add(&b, &area)
--
-- Of each kind of tail c_parse(g, t, part), c_build(g, t, part) and c_copy(g, t, part) write them, with what
-- g has: its name, how expressions are written, and functions in the making.

local E = require "expr"
local cname = require "cname"
local text = require "text"

local M = {}

-- The part's name in functions.
function M.name(part)
	return part.owner or part.name
end

-- Does the expression name what a stranger has not: limits, policies, descriptors?
local function is_private(e)
	return e.op == "limit" or e.op == "policy" or e.op == "nfds" or
	       (e.a and is_private(e.a) or e.b and is_private(e.b) or e.c and type(e.c) == "table" and is_private(e.c)) or false
end

-- What of a condition a stranger can ask; nil: nothing, and it is taken for true.
function M.public(e)
	if e and e.op == "andalso" then
		return E.all(M.public(e.a), M.public(e.b))
	end
	return e and not is_private(e) and e or nil
end

-- Those of a list of items that differ in type: name, struct, and a list of those they stand for.
function M.kinds(items)
	local out = {}
	for _, item in ipairs(items) do
		local known = out[item.name]
		local name = known and known.struct ~= item.struct and item.name .. "_" .. item.struct.name or item.name
		if not out[name] then
			out[name] = { name = name, struct = item.struct, doc = item.doc, loc = item.loc, list = {} }
			out[#out + 1] = out[name]
		end
		table.insert(out[name].list, item)
	end
	return out
end

-- Which structures and enumerators the file has besides those of wire.h: visit(C name, entry).
function M.each_name(part, visit)
	local t = part.tail
	if t and (t.kind == "chain" or t.kind == "strided" or t.kind == "union") then
		local owner = M.name(part) .. "_" .. t.name
		visit(cname.struct(owner), t)
		visit(cname.member(owner, "unknown"), t)
		for _, kind in ipairs(M.kinds(t.items)) do
			visit(cname.member(owner, kind.name), kind.list[1])
		end
	end
	for _, alt in ipairs(part.alts or {}) do
		visit(cname.struct(M.name(part) .. "_" .. alt.name), alt)
	end
end

local G = {}
G.__index = G

-- outer: the C name of the payload around a structure, or nil.
function M.generator(part, outer)
	local t = part.tail
	local g = setmetatable({ part = part, tail = t, out = {}, outer = outer, kinds = M.kinds(t and t.kind ~= "array" and t.items or {}) }, G)
	g.owner = M.name(part)
	g.name = t and g.owner .. "_" .. t.name
	g.size = part.size > 0 and "sizeof(in)" or "0"
	g.env = { ["in"] = "in.", start = g.size, req = "req->", outer = "outer->", head = "out->head.", len = "len",
		  div = "vfu_wire_divide", div_up = "vfu_wire_divide_up" }
	g.request = part.message and part.key == "reply" and part.message.request.cname
	return g
end

-- An expression; otherwise: what stands for one that a stranger cannot compute.
function G:c(e, otherwise)
	return is_private(e) and otherwise or E.c(e, self.env)
end

-- A function: its head without parameters that are not used, its body a template.
function G:define(result, name, parameters, body, vars)
	local lines = text.fill(body, setmetatable(vars or {}, { __index = self }))
	self.given = ""
	for _, more in ipairs { { "req", self.request }, { "outer", self.outer } } do
		if lines:find(more[1] .. "->", 1, true) then
			parameters = parameters .. (", const struct %s *%s"):format(more[2], more[1])
			self.given = self.given .. ", around->" .. more[1]
		end
	end
	local head = text.c_statement("", ("%s%s("):format(result:find("%*$") and result or result .. " ", name), parameters .. ")")
	local function line(l)
		local before, rest = ("\t" .. l):match("^(.-%()(.*)$")
		return before and text.c_statement("", before, rest) or "\t" .. l
	end
	self.out[#self.out + 1] = ("%s\n{\n%s}\n"):format(head, (lines:gsub("[^\n]+", line)))
end

function G:inline(result, verb, parameters, body, vars)
	self:define("static inline " .. result, ("vfu_wire_%s_%s"):format(self.name, verb), parameters, body, vars)
	self.parse_given = verb == "parse" and self.given or self.parse_given
end

function G:comment(thing)
	self.out[#self.out + 1] = text.c_comment(("%s: %s"):format(thing.loc, thing.doc))
end

-- Reading -----------------------------------------------------------------------------------------

-- The enumeration and structure of a piece that is one of several.  head: a structure each begins with.
function G:piece(head)
	local N = cname.struct(self.name)
	local enumerators = { ("\t%s,"):format(cname.member(self.name, "unknown")) }
	local members = {}
	for _, kind in ipairs(self.kinds) do
		enumerators[#enumerators + 1] = ("\t%s,"):format(cname.member(self.name, kind.name))
		members[#members + 1] = ("\t\tstruct %s %s;"):format(kind.struct.cname, kind.name)
	end
	self:comment(self.tail)
	self.out[#self.out + 1] = text.fill([[
enum ${N}_kind {
${enumerators}
};

struct ${N} {
	enum ${N}_kind kind;
	const uint8_t *data; /* all of it in the payload, of any alignment */
	size_t len;	     /* how long it is */
	size_t rest;	     /* from data to the end of the payload: what its own tail may take */
	${head}
	union {
	${members}
	} as; /* by kind; of an unknown one nothing */
};
]], { N = N, enumerators = table.concat(enumerators, "\n"), members = table.concat(members, "\n"):gsub("\t\t", "\t"),
      head = head and ("struct %s head;"):format(head) or "" })
end

-- Sets kind, and what goes with it, of the first item whose condition holds.
function G:choose(items)
	local lines = {}
	for i, item in ipairs(items) do
		local name
		for _, kind in ipairs(self.kinds) do
			for _, one in ipairs(kind.list) do
				name = one == item and kind.name or name
			end
		end
		lines[#lines + 1] = text.c_statement("\t", i == 1 and "if (" or "} else if (",
			E.c(E.all(M.public(item.condition), E.ge(E.name "rest", E.name(("sizeof(out->as.%s)"):format(name)))),
			    setmetatable({ rest = "out->rest" }, { __index = self.env })), ") {")
		lines[#lines + 1] = ("\t\tout->kind = %s;"):format(cname.member(self.name, name))
		lines[#lines + 1] = ("\t\tmemcpy(&out->as.%s, out->data, sizeof(out->as.%s));"):format(name, name)
	end
	lines[#lines + 1] = "\t}"
	return (table.concat(lines, "\n"):gsub("^\t", ""):gsub("\n\t", "\n"))
end

-- Begins a parse function: `in` from payload and len, or `failed` where that is too short.
function G:fields(failed)
	if self.part.size == 0 then
		return ""
	end
	return text.fill([[
struct ${cname} in;

if (len < sizeof(in))
	return ${failed};
memcpy(&in, payload, sizeof(in));
]], { cname = self.part.cname, failed = failed })
end

-- parse of what has items: count of them, of so many bytes, from an offset on, where condition holds.
function G:parse_items(count, size, from, condition)
	local body = [[
struct vfu_wire_items items = vfu_wire_items_none(payload, len);
${fields}
${start}
return items;
]]
	local start = ("vfu_wire_items_start(&items, %s, %s, %s);"):format(from, count, size)
	condition = M.public(condition)
	if condition then
		start = text.c_statement("", "if (", self:c(condition), ")") .. "\n\t" .. start
	end
	self:inline("struct vfu_wire_items", "parse", "const void *payload, size_t len", body,
		    { fields = self:fields("items"), start = start })
end

-- Building ----------------------------------------------------------------------------------------

-- Where a field lies in what is being built: in the payload, or the structure that was added last.
function G:place(field)
	local offset = ("offsetof(struct %s, %s)"):format(self.part.cname, field.name)
	return self.part.message and offset or "b->part + " .. offset
end

-- A field that follows from the tail, if the expression is one.
function G:derived(e)
	return e and e.op == "field" and e.of == "in" and e.field or nil
end

-- The flag that says there is a tail: its field and mask.
local function flag_of(when)
	local bits = when and when.op == "ne" and when.a
	if bits and bits.op == "band" and bits.a.op == "field" and bits.a.of == "in" and E.is_zero(when.b) then
		return bits.a.field, bits.b
	end
end

-- What changes a field: keeps these bits of it and adds a number.
function G:change(field, keep, add)
	return ("vfu_wire_builder_change(b, %s, %d, %s, %s);"):format(self:place(field), field.size, keep, add)
end

function G:count(e, n)
	local field = self:derived(e)
	return field and self:change(field, "UINT64_MAX", n) or nil
end

function G:raise(when)
	local field, mask = flag_of(when)
	return field and self:change(field, "~(uint64_t)" .. E.c(mask, {}), E.c(mask, {})) or nil
end

-- Fields that the tail will set begin so: of an empty one.
function G:empty()
	local t, lines = self.tail, {}
	for _, e in ipairs { t.count or false, t.size or false, t.at or false } do
		local field = e and self:derived(e)
		lines[#lines + 1] = field and self:change(field, "0", "0") or nil
	end
	local field, mask = flag_of(t.when)
	lines[#lines + 1] = field and self:change(field, "~(uint64_t)" .. E.c(mask, {}), "0") or nil
	return lines
end

-- What the payload says of its own length, kept up to date: an offset.
local function measured(part)
	local t = part.tail
	local whole = t.whole and t.whole.op == "field" and t.whole.of == "in" and t.whole.field
	return whole or part.argsz, whole
end

-- Begins a payload.
function G:build_payload()
	local part = self.part
	local measure, is_exact = measured(part)
	measure = measure and measure.size == 4 and measure
	local at = measure and ("offsetof(struct %s, %s)"):format(part.cname, measure.name) or "SIZE_MAX"
	local lines = { ("vfu_wire_builder_begin(b, buf, room, %s);"):format(at) }
	if part.cname then
		lines[#lines + 1] = "vfu_wire_builder_append(b, in, sizeof(*in));"
	end
	table.move(self:empty(), 1, 9, #lines + 1, lines)
	lines[#lines + 1] = is_exact and self:change(measure, "0", "sizeof(*in)") or nil
	self.out[#self.out + 1] = text.c_comment(("%s: %s, %s"):format(part.loc, part.message.name, part.key))
	self:define("static inline void", ("vfu_wire_%s_build"):format(self.owner), "struct vfu_wire_builder *b, void *buf, size_t room" ..
		    (part.cname and (", const struct %s *in"):format(part.cname) or ""), table.concat(lines, "\n"))
end

-- What a structure that was added has in its own tail: nothing yet.
function M.emptied(struct)
	return struct.tail and M.generator(struct):empty() or {}
end

-- add of a structure: `before` and `after` are lines around the one that appends it, `what` what it is.
function G:add(verb, struct, lines)
	for i, line in ipairs(M.emptied(struct)) do
		lines[#lines + 1] = line
	end
	self:inline("void", verb, ("struct vfu_wire_builder *b, const struct %s *in"):format(struct.cname),
		    table.concat(lines, "\n"))
end

-- Copying, in tests -------------------------------------------------------------------------------

-- Function of the tests: reads the tail at payload and adds what it finds to b, telling `seen`.  ${given} are
-- the last arguments of parse.
function G:copy(body, vars)
	vars = vars or {}
	vars.given = self.parse_given
	self:define("static void", "copy_" .. self.name, "const uint8_t *payload, size_t len, " ..
		    "struct vfu_wire_builder *b, struct wire_seen *seen, const struct wire_around *around",
		    body .. "(void)around;\n", vars)
end

-- Of a switch over the kinds of `one`: adds it, after `first` among the arguments, then its own tail.  clear: a
-- field that may differ.
function G:copy_cases(first, clear)
	local lines = {}
	for _, kind in ipairs(self.kinds) do
		lines[#lines + 1] = ("case %s:"):format(cname.member(self.name, kind.name))
		lines[#lines + 1] = clear and ("\tone.as.%s.%s = 0;"):format(kind.name, clear) or nil
		lines[#lines + 1] = ("\twire_saw(seen, one.kind, &one.as.%s, sizeof(one.as.%s));"):format(kind.name, kind.name)
		lines[#lines + 1] = ("\tvfu_wire_%s_add_%s(b, %s&one.as.%s);"):format(self.name, kind.name, first, kind.name)
		if kind.struct.tail then
			lines[#lines + 1] = ("\tcopy_%s_%s(one.data, one.rest, b, seen, around);"):format(kind.struct.name, kind.struct.tail.name)
		end
		lines[#lines + 1] = "\tbreak;"
	end
	return lines
end

return M
