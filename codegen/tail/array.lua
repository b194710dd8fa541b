-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Entries of one size, as many as the message says.
--
--	from         + 16         + 32             + n * 16
--	| entry 0    | entry 1    | ...            |          end of the payload, unless `more` may follow

local E = require "expr"
local X = require "model.expressions"
local cname = require "cname"
local load = require "load"
local pyname = require "pyname"
local text = require "text"

local M = {}
local n = E.name "n"

-- The most entries, where the spec says that in one number.
local function stated(count)
	local node = count.op == "field" and count.field.node
	local max = node and not (node.under or {}).max and node.max or count.op == "num" and count.v
	return math.type(max) == "integer" and max or nil
end

-- Bytes of that, which `max` need not say again.
local function room(t, item)
	local most, max = stated(t.count), item.max
	t.most = most and most * t.element_size
	t.words = most and (", with %d entries in %s"):format(most, item.name)
	if math.type(max) ~= "integer" or t.more then
		return
	elseif most and max ~= t.most then
		load.fault(load.at(item, "max"), "%s: max is %d bytes, but %d entries of %d bytes are %d: leave it out", load.describe(item), max,
			   most, t.element_size, t.most)
	elseif max % t.element_size ~= 0 then
		load.fault(load.at(item, "max"), "%s: max is %d bytes, no multiple of the %d of an entry", load.describe(item), max, t.element_size)
	end
end

function M.build(item, scope)
	local t = { more = item.more or false, count = X.number(scope, item, "count"), scalar = cname.size[item.of] and item.of }
	t.locals = { { name = "n", value = t.count } }
	if t.scalar then
		t.element_size = cname.size[item.of]
		room(t, item)
		return t
	end
	t.element = X.struct_named(scope, item.of, load.at(item, "of"))
	t.element_size, t.items = t.element.size, { { struct = t.element } }
	if t.element.tail then
		load.fault(load.at(item, "of"), "%s: entries of struct '%s' have no fixed size", load.describe(item), item.of)
	end
	room(t, item)
	if item.disjoint then
		local where = load.at(item, "disjoint")
		t.disjoint = { X.find_field(t.element.fields, item.disjoint[1], where, " in the entries"),
			       X.find_field(t.element.fields, item.disjoint[2], where, " in the entries") }
	end
	return t
end

function M.rules(t)
	local room, size = E.sub(E.len, E.start), E.num(t.element_size)
	local fit = E.div(room, size)
	if t.more then
		return { { wrong = E.gt(n, fit), words = ("holds all entries of %d bytes"):format(t.element_size), value = n } }
	end
	return { { wrong = E.orelse(E.ne(n, fit), E.ne(E.mod(room, size), E.zero)), value = n,
		   words = ("is entries of %d bytes, as many as counted, and ends the payload"):format(t.element_size) } }
end

local c_overlap = [[
static bool overlap_${element}(const struct view *v, uint64_t one, uint64_t two)
{
	struct ${cname} a, b;

	memcpy(&a, v->payload + one, sizeof(a));
	memcpy(&b, v->payload + two, sizeof(b));
	return a.${start} - b.${start} < b.${length} || b.${start} - a.${start} < a.${length};
}
]]

local c_loop = [[
	for (uint64_t i = 0; i < n; i++) {
		int err = ${check};

		if (err)
			return err;
		${disjoint}
	}
]]

local c_disjoint = [[
for (uint64_t j = 0; j < i; j++)
	if (overlap_${element}(v, ${from} + i * ${size}, ${from} + j * ${size}))
		return bad(v, "${name}", "do not overlap", ${from} + i * ${size}, i);
]]

local function vars(t, part)
	local d = t.disjoint or { {}, {} }
	return { name = part.owner and t.name or part.name .. "." .. t.name, element = t.element.name, cname = t.element.cname, size = t.element_size, start = d[1].name or "",
		 length = d[2].name or "", disjoint = "" }
end

function M.c(f, t, part)
	if t.scalar then
		return
	end
	local v = vars(t, part)
	v.from = f.start
	v.check = f.call(t.element, ("%s + i * %d"):format(f.start, t.element_size))
	if t.disjoint then
		f.functions[#f.functions + 1] = text.fill(c_overlap, v)
		v.disjoint = text.fill(c_disjoint, v)
	end
	f.add(c_loop, v)
end

-- What an entry is in C: its type, and where no bytes mean anything else.
local function entry_type(t)
	return t.scalar and cname.ctype[t.scalar] or "struct " .. t.element.cname
end

function M.c_parse(g, t)
	g:comment(t)
	g:parse_items(g:c(t.count, "UINT64_MAX"), t.element_size, g.size)
	g:inline("bool", "next", ("struct vfu_wire_items *items, %s *out"):format(entry_type(t)), [[
const uint8_t *data = vfu_wire_items_take(items, sizeof(*out));

if (data)
	memcpy(out, data, sizeof(*out));
return data;
]])
end

function M.c_build(g, t)
	g:inline("void", "add", ("struct vfu_wire_builder *b, const %s *in"):format(entry_type(t)),
		 "vfu_wire_builder_append(b, in, sizeof(*in));\n" .. (g:count(t.count, 1) or ""))
end

function M.c_copy(g, t)
	g:copy([[
struct vfu_wire_items items = vfu_wire_${name}_parse(payload, len${given});
${type} one;

while (vfu_wire_${name}_next(&items, &one)) {
	wire_saw(seen, 0, &one, sizeof(one));
	vfu_wire_${name}_add(b, &one);
}
]], { type = entry_type(t) })
end

M.py_helper = [[
def _check_disjoint(v, name, before, at, new, size):
    """A new entry, and start and size of those before it."""
    for old, old_size in before:
        if (new - old) % 2**64 < old_size or (old - new) % 2**64 < size:
            v.bad(name, "do not overlap", at, len(before))
    before.append((new, size))
]]

local py_disjoint = [[
entry = ${class}._fixed(v.payload, start + i * ${size})
_check_disjoint(v, "${name}", before, start + i * ${size}, entry.${start}, entry.${length})
]]

function M.py(f, t, part)
	if t.scalar then
		return
	end
	if t.disjoint then
		f:line("before = []")
	end
	f:line("for i in range(n):")
	f:line("    %s", f.call(t.element, ("start + i * %d"):format(t.element_size)))
	if t.disjoint then
		local v = vars(t, part)
		v.class = f.class(t.element)
		f:line("    %s", (text.fill(py_disjoint, v):gsub("\n$", ""):gsub("\n", "\n    ")))
	end
end

function M.py_type(t)
	return ("list[%s]"):format(t.scalar and "int" or pyname.part(t.element)), "_list()"
end

function M.py_read(f, t)
	if t.scalar then
		f:line('self.%s = list(struct.unpack_from(f"={n}%s", v.payload, start))', t.name, pyname.format[t.scalar])
	else
		f:line("self.%s = [%s for i in range(n)]", t.name, f.read(t.element, ("start + i * %d"):format(t.element_size)))
	end
end

function M.py_build(f, t)
	f:derive(t.count, ("len(self.%s)"):format(t.name))
	return t.scalar and ('struct.pack(f"={len(self.%s)}%s", *self.%s)'):format(t.name, pyname.format[t.scalar], t.name) or
	       ('b"".join([one.build() for one in self.%s])'):format(t.name)
end

function M.verdict(c, t)
	local seen = {}
	for i = 0, t.element and c.n - 1 or -1 do
		local at = c.start + i * t.element_size
		local found, v = c:struct(t.element, at)
		if found then
			return found
		end
		for _, o in ipairs(t.disjoint and seen or {}) do
			local start, length = t.disjoint[1].name, t.disjoint[2].name
			if math.ult(v[start] - o[start], o[length]) or math.ult(o[start] - v[start], v[length]) then
				return c:fault(t.name, at, t)
			end
		end
		seen[#seen + 1] = v
	end
end

function M.box(t)
	return ("%s x %s, %d bytes each"):format(E.text(t.count), t.scalar or t.element.name, t.element_size)
end

function M.says(t)
	return t.disjoint and "do not overlap"
end

function M.json(t, J)
	return { { "of", t.scalar or t.element.name }, { "entry_size", t.element_size }, { "more", t.more or nil },
		 { "disjoint", t.disjoint and J.names(t.disjoint) },
		 { "overlap", t.disjoint and J.says("disjoint", M.says(t)) } }
end

function M.text(t)
	return { ("is %s entries of %s, %d bytes each"):format(E.text(t.count), t.scalar or text.link("struct", t.element.name), t.element_size) }
end

function M.shapes(t, add)
	for count = 0, 2 do
		add(("%d entries"):format(count), function(s)
			s.root.kids = not t.scalar and s:entries(t.element, count) or {}
			if count == 0 and t.count.op == "field" then
				s.root:pin(t.count.field, 0)
			end
			return true
		end)
	end
end

function M.loose(t, c, d)
	local count = (t.scalar or #d.kids == 0 and t.count.op ~= "field") and c:value(t.count) or 0
	return count >= 0 and count <= c.scene.most_bytes and count * t.element_size or t.element_size
end

return M
