-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Entries whose length the message itself tells, each of a type that one of its fields tells.
--
--	          stride        stride
--	| fields | entry 0     | entry 1     |    stride = (whole - fields) / count
--	               by: type      by: type

local E = require "expr"
local X = require "model.expressions"
local cname = require "cname"
local load = require "load"
local names = require "model.names"
local pyname = require "pyname"
local text = require "text"

local M = {}
local fault, describe = load.fault, load.describe
local stride = E.name "stride"

-- One type of entries: of its kind, and long enough.
local function variant(t, item, v, scope)
	local struct = X.struct_named(scope, v.of, load.at(v, "of"))
	local by = X.find_field(struct.fields, item.by, v, " in struct '" .. v.of .. "'")
	if t.by and (t.by.offset ~= by.offset or t.by.type ~= by.type) then
		fault(v, "%s: '%s' lies elsewhere than in the other variants", describe(v), item.by)
	elseif struct.size > (v.min_stride or item.min_stride) then
		fault(v, "%s: struct '%s' is longer than its min_stride", describe(v), v.of)
	end
	t.by = by
	local min = v.min_stride or t.min_stride
	return names.entry(v, { value = v.number, struct = struct, min_stride = min, rules = {},
		condition = E.all(E.eq(E.name "by", E.num(v.number)), min > t.min_stride and E.ge(stride, E.num(min))) })
end

function M.build(item, scope)
	if not item.min_stride or not item.whole or not item.by or #item.items == 0 then
		fault(item, "%s: stride needs min_stride, whole, by and variants", describe(item))
	end
	local t = { more = item.more or false, count = X.number(scope, item, "count"), min_stride = item.min_stride, items = {} }
	-- the stride is computed only where there are entries
	local assume = t.count.op == "field" and { [t.count.field.name] = 1.0 } or nil
	t.stride = X.number(scope, item, "stride", assume)
	if t.stride.op ~= "div" then
		fault(load.at(item, "stride"), "%s: stride must be a division of the bytes by the count", describe(item))
	end
	for i, v in ipairs(item.items) do
		t.items[i] = variant(t, item, v, scope)
	end
	t.locals = { { name = "stride", value = E.choose(E.ne(t.count, E.zero), t.stride, E.zero) } }
	-- of those that fit the longest is taken
	t.by_length = table.move(t.items, 1, #t.items, 1, {})
	table.sort(t.by_length, function(a, b)
		return a.min_stride > b.min_stride or a.min_stride == b.min_stride and a.value < b.value
	end)
	return t
end

function M.rules(t)
	local counted = E.all(E.ge(E.len, t.whole), E.ne(t.count, E.zero))
	return {
		{ who = "payload", words = "is whole or only its fixed part", at = E.zero, value = E.len,
		  wrong = E.all(E.lt(E.len, t.whole), E.ne(E.len, E.start)) },
		{ words = "is empty when there are no entries", wrong = E.all(E.eq(t.count, E.zero), E.ne(E.len, E.start)) },
		{ words = ("is entries of one size, at least %d bytes"):format(t.min_stride), value = stride,
		  wrong = E.all(counted, E.orelse(E.lt(stride, E.num(t.min_stride)),
						  E.ne(E.mul(stride, t.count), E.sub(E.len, E.start)))) },
	}
end

local c_entry = [[
${head}
{
	${type} by;

	${unused}
	memcpy(&by, v->payload + at + ${offset}, sizeof(by));
	${entries}
	return 0; /* an unknown type is skipped */
}
]]

local c_loop = [[
	for (uint64_t at = sizeof(in); at < v->len; at += stride) {
		int err = check_${owner}_entry(v, at, stride${outer});

		if (err)
			return err;
	}
]]

-- Does an entry look at the message around it?
local function looks_around(t)
	for _, v in ipairs(t.items) do
		if v.struct.inside then
			return true
		end
	end
end

function M.c(f, t, part)
	local outer = looks_around(t)
	local vars = { owner = part.owner .. "_" .. t.name, type = cname.ctype[t.by.type], offset = t.by.offset,
		       entries = f.entries(t.by_length, outer), outer = outer and ", &in" or "" }
	vars.unused = vars.entries:find("%f[%w]stride%f[%W]") and "" or "(void)stride;"
	vars.head = f.head(("static int check_%s_entry(const struct view *v, uint64_t at, uint64_t stride%s)"):format(vars.owner,
		outer and ", const struct " .. part.cname .. " *in" or ""))
	f.functions[#f.functions + 1] = text.fill(c_entry, vars)
	f.add(c_loop, vars)
end

function M.py(f, t)
	f:line("for at in range(start, v.len, max(stride, 1)):")
	f:line('    (by,) = struct.unpack_from("=%s", v.payload, at + %d)', f.format[t.by.type], t.by.offset)
	f:entries(t.by_length, 2, "continue")
end

local c_next = [[
const uint64_t stride = items->size;
${type} by;
const uint8_t *data = vfu_wire_items_take(items, ${offset} + sizeof(by));

if (!data)
	return false;
memcpy(&by, data + ${offset}, sizeof(by));
out->kind = ${unknown};
out->data = data;
out->len = out->rest = (size_t)stride;
${choose}
return true;
]]

function M.c_parse(g, t)
	local stride = g:c(E.choose(E.ne(t.count, E.zero), t.stride, E.zero), "0")
	g:piece()
	g:parse_items(g:c(t.count, "UINT64_MAX"), stride, g.size, E.ge(E.len, t.whole))
	g:inline("bool", "next", ("struct vfu_wire_items *items, struct vfu_wire_%s *out"):format(g.name), c_next,
		 { type = cname.ctype[t.by.type], offset = t.by.offset, unknown = cname.member(g.name, "unknown"),
		   choose = g:choose(t.by_length) })
end

-- Among entries of so many bytes, is one of this type read as such?
local c_add = [[
if (stride < ${min}${longer})
	return false;
b->part = vfu_wire_builder_append(b, in, sizeof(*in));
vfu_wire_builder_append(b, NULL, stride - sizeof(*in));
${count}
vfu_wire_builder_change(b, b->part + offsetof(struct ${cname}, ${by}), ${size}, 0, ${value});
return true;
]]

function M.c_build(g, t)
	for _, v in ipairs(t.items) do
		local longer
		for _, other in ipairs(t.by_length) do
			if other.value == v.value and other.min_stride > v.min_stride then
				longer = other.min_stride
			end
		end
		g:inline("bool", "add_" .. v.name, ("struct vfu_wire_builder *b, size_t stride, const struct %s *in"):format(v.struct.cname),
			 c_add, { min = v.min_stride, longer = longer and " || stride >= " .. longer or "", count = g:count(t.count, 1) or "",
				  cname = v.struct.cname, by = t.by.name, size = t.by.size, value = v.value })
	end
end

function M.c_copy(g)
	g:copy([[
struct vfu_wire_items items = vfu_wire_${name}_parse(payload, len${given});
struct vfu_wire_${name} one;

while (vfu_wire_${name}_next(&items, &one)) {
	switch (one.kind) {
	${cases}
	default:
		break;
	}
}
]], { cases = g:copy_cases("one.len, ") })
end

function M.py_type(t)
	return ("list[%s]"):format(pyname.one_of(t.items, "bytes")), "_list()"
end

function M.py_read(f, t)
	f:choice("_entry(self, by, stride)", t.by_length)
	f:line("self.%s = []", t.name)
	f:line("for at in range(start, v.len, max(stride, 1)):")
	f:line('    (by,) = struct.unpack_from("=%s", v.payload, at + %d)', pyname.format[t.by.type], t.by.offset)
	f:line("    cls = self._entry(by, stride)")
	f:line("    self.%s.append(cls._at(v, at, self) if cls else v.payload[at : at + stride])", t.name)
end

M.py_helper = [[
def _build_entries(entries, stride, class_of, form, offset):
    """Entries of one size, at least stride; class_of(by, stride) is the class that will be read."""
    raw = [entry if isinstance(entry, bytes) else entry.build() for entry in entries]
    stride = max(stride, *map(len, raw))
    for i, entry in enumerate(entries):
        raw[i] = raw[i].ljust(stride, b"\0")
        (by,) = struct.unpack_from(form, raw[i], offset)
        if (class_of(by, stride) or bytes) is not type(entry):
            raise ValueError(f"among entries of {stride} bytes this one would be read as another: {entry}")
    return b"".join(raw)
]]

function M.py_build(f, t)
	f:unless_empty(t)
	f:line("tail = _build_entries(self.%s, %d, self._entry, \"=%s\", %d)", t.name, t.min_stride, pyname.format[t.by.type],
	       t.by.offset)
	f:derive(t.count, ("len(self.%s)"):format(t.name))
	f:derive(t.whole, "self.SIZE + len(tail)")
	return "tail"
end

function M.verdict(c, t)
	for at = c.start, #c.bytes - 1, math.max(c.stride, 1) do
		c.by = c:number(at + t.by.offset, t.by.size)
		local found = c:entry(t.by_length, at)
		if found then
			return found
		end
	end
end

function M.box(t)
	return ("%s entries of one size"):format(E.text(t.count))
end

function M.json(t, J)
	return { { "count", J.tree(t.count) }, { "min_stride", t.min_stride }, { "by", J.object { { "offset", t.by.offset }, { "type", t.by.type } } },
		 { "order", text.map(t.by_length, function(v) return v.name end) } }
end

function M.text(t)
	local out = { ("is %s entries of %s bytes each, at least %d"):format(E.text(t.count), E.text(t.stride), t.min_stride) }
	for _, v in ipairs(t.items) do
		out[#out + 1] = ("holds, where %s is %d and an entry has at least %d bytes, %s: %s"):format(t.by.name, v.value,
			v.min_stride, text.link("struct", v.struct.name), v.doc)
	end
	return out
end

function M.shapes(t, add)
	for _, v in ipairs(t.items) do
		for _, stride in ipairs { t.min_stride, v.min_stride, v.min_stride + 8 } do
			add(("%s of %d bytes"):format(v.name, stride), function(s)
				local kids = stride >= v.struct.size and s:entries(v.struct, 2) or {}
				for _, kid in ipairs(kids) do
					kid:pin_at(t.by, v.value)
				end
				s.root.kids, s.root.stride = kids, stride
				return #kids > 0
			end)
		end
	end
	add("no entries", function(s)
		s.root:pin(t.count.field, 0)
		return true
	end)
end

return M
