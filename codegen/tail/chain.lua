-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- A linked list.  Each link begins with the same head; its key and version tell its layout.  Links only
-- point forward, so there is no loop.
--
--	| fields | at -> head, link | ... | next -> head, link | ... | next -> 0

local E = require "expr"
local X = require "model.expressions"
local cname = require "cname"
local load = require "load"
local names = require "model.names"
local pyname = require "pyname"
local rules = require "rules"
local text = require "text"
local words = require "words"

local M = {}
local fault, at, describe = load.fault, load.at, load.describe

local function link(t, l, scope)
	local struct = X.struct_named(scope, l.of, at(l, "of"))
	if struct.tail and not struct.tail.more then
		fault(at(l, "of"), "%s: the array of struct '%s' must say more = true inside a chain", describe(l), l.of)
	end
	for i, f in ipairs(t.head.fields) do
		local own = struct.fields[i]
		if not own or own.name ~= f.name or own.type ~= f.type then
			fault(at(l, "of"), "%s: struct '%s' does not begin with the fields of '%s'", describe(l), l.of, t.head.name)
		end
	end
	local enum = t.key.enum
	local value = enum and enum.values[l.name]
	if enum and (not value or value.value ~= l.number) then
		fault(l, "%s: is not value %d of enum '%s'%s", describe(l), l.number, enum.name, words.near(l.name, enum.values))
	end
	return names.entry(l, { value = l.number, struct = struct, version = l.version, excludes = l.excludes or {}, rules = {},
		condition = E.all(E.eq(E.field(t.key, "head"), E.num(l.number, value and value.cname)),
				  l.version and E.eq(E.field(t.version, "head"), E.num(l.version))) })
end

-- Links that exclude each other: each has a bit, and a rule that looks for those of the others.
local function exclusion(t, item)
	for i, l in ipairs(t.items) do
		local mask, others = 0, {}
		for j, other in ipairs(t.items) do
			local is_other = false
			for _, pair in ipairs { { l, other }, { other, l } } do
				for _, name in ipairs(pair[1].excludes) do
					is_other = is_other or name == pair[2].name
				end
			end
			mask = is_other and mask | 1 << j - 1 or mask
			others[#others + 1] = is_other and (other == l and "another " or "") .. other.name or nil
		end
		for _, name in ipairs(l.excludes) do
			if not t.items[name] then
				local node = item.items[i]
				fault(at(node, "excludes"), "%s: excludes '%s', which is no link%s", describe(node), name,
				      words.near(name, t.items))
			end
		end
		if mask ~= 0 then
			l.seen = 1 << i - 1
			l.rules = { rules.make(rules.excludes, { mask = mask, names = others, who = l.name, loc = l.loc, at = E.name "at", phase = 4,
								 value = E.field(t.key, "head") }) }
			t.exclusive = true
		end
	end
end

function M.build(item, scope)
	local head = X.struct_named(scope, item.head, at(item, "head"))
	local t = { at = X.number(scope, item, "at"), when = X.condition(scope, item, "when"), head = head, items = {} }
	for _, key in ipairs { "key", "version", "next" } do
		t[key] = X.find_field(head.fields, item[key], at(item, key), " in struct '" .. head.name .. "'")
	end
	for i, l in ipairs(item.items) do
		t.items[i] = link(t, l, scope)
	end
	names.by_name(t.items)
	exclusion(t, item)
	-- of the loop itself
	local here = E.name "at"
	t.rule = rules.make(rules.tail, { who = item.name, loc = names.loc(item), at = here, value = here,
		words = "has each entry behind the one before, inside the payload",
		mend = t.when and function(_, d) d.scene:force(d, t.when, false) end,
		wrong = E.orelse(E.orelse(E.lt(here, E.name "from"), E.gt(here, E.len)),
				 E.lt(E.sub(E.len, here), E.num(head.size, "sizeof(head)"))) })
	return t
end

-- Does the list stand in the payload?
local function is_there(t)
	return E.all(t.when, t.whole and E.ge(E.len, t.whole))
end

local c_link = [[
${link_head}
{
	${entries}
	return 0; /* an unknown one is skipped */
}

${loop_head}
{
	uint64_t at = ${at}, from = sizeof(*in);
	struct ${head} head;
	${seen_declaration}

	for (;;) {
		int err;

		${test}
		memcpy(&head, v->payload + at, sizeof(head));
		err = check_${owner}_link(v, at, &head, ${seen_argument}in);
		if (err || head.${next} == 0)
			return err;
		from = at + sizeof(head);
		at = head.${next};
	}
}
]]

function M.c(f, t, part)
	local owner = part.owner .. "_" .. t.name
	local view, struct = "static int check_%s(const struct view *v, ", ("const struct %s *in)"):format(part.cname)
	local link = ("uint64_t at, const struct %s *head, %s"):format(t.head.cname, t.exclusive and "uint32_t *seen, " or "")
	f.functions[#f.functions + 1] = text.fill(c_link, { owner = owner, head = t.head.cname, next = t.next.name,
		at = f.pointed(t.at), entries = f.entries(t.items, true), test = f.test(t.rule),
		link_head = f.head(view:format(owner .. "_link") .. link .. struct), loop_head = f.head(view:format(owner) .. struct),
		seen_argument = t.exclusive and "&seen, " or "", seen_declaration = t.exclusive and "uint32_t seen = 0;" or "" })
	f.tail_call(owner, is_there(t))
end

local py_loop = [[
v.seen, start, at = 0, ${start}, ${at}
while True:
    ${test}
    head = ${head}._fixed(v.payload, at)
    _check_${owner}_link(v, at, head, p)
    if head.${next} == 0:
        return
    start, at = at + ${size}, head.${next}
]]

function M.py(f, t, part)
	local owner = part.owner .. "_" .. t.name
	f:define(("_check_%s_link(v, at, head, p)"):format(owner), function(g)
		g:entries(t.items, 1, "return")
	end)
	local condition = is_there(t)
	if condition then
		f:line("if not (%s):", f.expression(condition))
		f:line("    return")
	end
	f:line("%s", text.fill(py_loop, { owner = owner, start = part.size, at = f.expression(t.at), head = f.class(t.head), size = t.head.size,
		next = t.next.name, test = f.test(t.rule) }))
end

local c_next = [[
if (!vfu_wire_items_read(items, &out->head, sizeof(out->head)))
	return false;
out->kind = ${unknown};
out->data = items->from + items->at;
out->rest = items->len - items->at;
items->left = out->head.${next} >= items->at + sizeof(out->head);
out->len = items->left && out->head.${next} < items->len ? out->head.${next} - items->at : out->rest;
items->at = out->head.${next};
${choose}
return true;
]]

function M.c_parse(g, t)
	g:piece(t.head.cname)
	g:parse_items("1", "0", g:c(t.at, "SIZE_MAX"), is_there(t))
	g:inline("bool", "next", ("struct vfu_wire_items *items, struct vfu_wire_%s *out"):format(g.name), c_next,
		 { unknown = cname.member(g.name, "unknown"), next = t.next.name, choose = g:choose(t.items) })
end

-- A new link, not written yet: the one before, or the field that tells of the first, says where it will be.
local c_link = [[
vfu_wire_builder_align(b, 8);
if (b->last)
	vfu_wire_builder_change(b, b->last + offsetof(struct ${head}, ${next}), ${size}, 0, b->len);
${first}
b->last = b->part = b->len;
]]

local c_add = [[
vfu_wire_${name}_link(b);
vfu_wire_builder_append(b, head, sizeof(*head));
vfu_wire_builder_append(b, data, len);
${set_next}
]]

function M.c_build(g, t)
	local head = t.head.cname
	local first = text.map({ t.at.op == "field" and g:change(t.at.field, "0", "b->len") or "", t.when and g:raise(t.when) or "" },
			       function(line) return line ~= "" and "if (!b->last)\n\t" .. line or nil end)
	local function set(field, value)
		return ("vfu_wire_builder_change(b, b->part + offsetof(struct %s, %s), %d, 0, %s);"):format(head, field.name, field.size,
			value)
	end
	g:inline("void", "link", "struct vfu_wire_builder *b", c_link, { head = head, next = t.next.name, size = t.next.size, first = first })
	g:inline("void", "add", ("struct vfu_wire_builder *b, const struct %s *head, const void *data, size_t len"):format(head), c_add,
		 { set_next = set(t.next, 0) })
	for _, kind in ipairs(g.kinds) do
		local l = kind.list[1]
		g:add("add_" .. kind.name, kind.struct, { ("vfu_wire_%s_link(b);"):format(g.name), "vfu_wire_builder_append(b, in, sizeof(*in));",
			set(t.key, l.value), set(t.next, 0), l.version and set(t.version, l.version) or nil })
	end
end

function M.c_copy(g, t)
	g:copy([[
struct vfu_wire_items items = vfu_wire_${name}_parse(payload, len${given});
struct vfu_wire_${name} one;

while (vfu_wire_${name}_next(&items, &one)) {
	one.head.${next} = 0;
	switch (one.kind) {
	${cases}
	default:
		wire_saw(seen, 0, &one.head, sizeof(one.head));
		vfu_wire_${name}_add(b, &one.head, one.data + sizeof(one.head), one.len - sizeof(one.head));
	}
}
]], { next = t.next.name, cases = g:copy_cases("", t.next.name) })
end

function M.py_type(t)
	return ("list[%s]"):format(pyname.one_of(t.items, "UnknownLink")), "_list()"
end

function M.py_read(f, t)
	f:choice("_link(self, head)", t.items)
	f:line("self.%s = []", t.name)
	local there = is_there(t)
	if there then
		f:line("if %s:", f.expression(there))
	end
	f:line('%sself.%s = _read_links(v, %s, %s, "%s", self._link, self)', there and "    " or "", t.name, f.expression(t.at),
	       f.class(t.head), t.next.name)
end

M.py_helper = [[
def _read_links(v, at, head_class, following, class_of, outer):
    links = []
    while True:
        head = head_class._fixed(v.payload, at)
        end = getattr(head, following)
        cls = class_of(head)
        if cls:
            links.append(cls._at(v, at, outer))
        else:
            links.append(UnknownLink(head_class.unpack(v.payload, at), v.payload[at + head_class.SIZE : end or v.len]))
        if not end:
            return links
        at = end


def _build_links(links, at, following, keys):
    """One behind the other from `at`; keys: what the fields of a class hold, as the link's type."""
    out = b""
    for i, link in enumerate(links):
        head = link.head if isinstance(link, UnknownLink) else link
        if head is link and type(link) not in keys:
            raise TypeError(f"no link of this list: {link}")
        for name, value in keys.get(type(link), {}).items():
            setattr(head, name, value)
        setattr(head, following, at + len(out) + len(link.build()) if i + 1 < len(links) else 0)
        out += link.build()
    return out
]]

-- What the head of each class holds; nothing if several links share the class.
local function keys(t)
	local known, order = {}, {}
	for _, l in ipairs(t.items) do
		local class = pyname.part(l.struct)
		order[#order + 1] = not known[class] and class or nil
		local version = l.version and (', "%s": %d'):format(t.version.name, l.version) or ""
		known[class] = known[class] and "{}" or ('{"%s": %d%s}'):format(t.key.name, l.value, version)
	end
	return text.map(order, function(class) return ("    %s: %s,"):format(class, known[class]) end)
end

function M.py_build(f, t)
	f:unless_empty(t)
	if t.when then
		f:raise(t.when)
	end
	f:derive(t.at, "self.SIZE")
	f:line('tail = _build_links(self.%s, self.SIZE, "%s", {', t.name, t.next.name)
	for _, line in ipairs(keys(t)) do
		f:line("%s", line)
	end
	f:line("})")
	if t.whole then
		f:derive(t.whole, "self.SIZE + len(tail)")
	end
	return "tail"
end

function M.verdict(c, t)
	local there = is_there(t)
	if there and not c:value(there) then
		return nil
	end
	c.at, c.from, c.seen = c:value(t.at), c.start, 0
	repeat
		local found = c:tests { t.rule }
		if found then
			return found
		end
		c.head = c:decode(t.head, c.at)
		found = c:entry(t.items, c.at)
		if found then
			return found
		end
		c.from, c.at = c.at + t.head.size, c.head[t.next.name]
	until c.at == 0
end

function M.box(t)
	return ("links, the first at %s"):format(E.text(t.at))
end

function M.json(t, J, rule)
	return { { "present", J.tree(is_there(t)) }, { "at", J.tree(t.at) }, { "head", t.head.name }, { "key", t.key.name },
		 { "version", t.version.name }, { "next", t.next.name }, { "each", rule(t.rule) } }
end

function M.text(t, where)
	local out = { ("begins at the offset %s%s"):format(E.text(t.at), where(t.when)) }
	for _, l in ipairs(t.items) do
		out[#out + 1] = ("holds, where %s is %d, %s: %s"):format(t.key.name, l.value, text.link("struct", l.struct.name), l.doc)
	end
	return out
end

function M.shapes(t, add)
	local function with(name, links, newer)
		add(name, function(s)
			for _, l in ipairs(links) do
				local kid = s:entries(l.struct, 1)[1]
				kid:pin_at(t.key, l.value)
				if l.version then
					kid:pin_at(t.version, l.version + newer)
				end
				table.insert(s.root.kids, kid)
			end
			return not t.when or s:force(s.root, t.when, true)
		end)
	end
	for i, l in ipairs(t.items) do
		with(l.name, { l }, 0)
		with(l.name .. " of another version", { l }, 1)
		for j, other in ipairs(t.items) do
			if i ~= j then
				with(l.name .. " and " .. other.name, { l, other }, 0)
			end
		end
	end
end

return M
