-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- A text that ends with its NUL.

local E = require "expr"

local M = {}
local syntax = "is JSON text"

function M.build(item)
	return { optional = item.optional or false, schema = item.schema, depth = item.depth }
end

-- Of the texts that say capabilities, whose readers are no functions of one message.
function M.depth(model)
	for _, m in ipairs(model.messages) do
		local t = m.request.tail
		if t and t.kind == "json" and t.schema then
			return t.depth
		end
	end
	return 1
end

function M.rules(t)
	return { { wrong = E.all(t.optional and E.gt(E.len, E.start), E.negate(E.is_text(E.start))),
		   words = "ends with a NUL and holds no other" } }
end

function M.c_parse(g, t)
	g:comment(t)
	g:inline("const char *", "parse", "const void *payload, size_t len", [[
const char *text = len > ${at} ? (const char *)payload + ${at} : NULL;

return text && memchr(text, 0, len - ${at}) ? text : NULL;
]], { at = g.part.cname and "sizeof(struct " .. g.part.cname .. ")" or "0" })
end

function M.c_build(g)
	g:inline("void", "add", "struct vfu_wire_builder *b, const char *text", "vfu_wire_builder_append(b, text, strlen(text) + 1);")
end

function M.c_copy(g)
	g:copy([[
const char *text = vfu_wire_${name}_parse(payload, len);

if (text) {
	wire_saw(seen, 0, text, strlen(text));
	vfu_wire_${name}_add(b, text);
}
]])
end

function M.py_type(t)
	return t.schema and "Capabilities | None" or "object", "None"
end

function M.py_read(f, t, part)
	local read = t.schema and ("Capabilities._at(v, start, %s)"):format(part.key == "reply" and "True" or "False") or
		     ("_read_json(v, start, %q, %d)"):format(t.name, t.depth)
	f:line("self.%s = %s if v.len > start else None", t.name, read)
end

function M.py_build(f, t, part)
	if t.optional then
		f:line("if self.%s is None:", t.name)
		f:line('    return b""')
	end
	return t.schema and ("self.%s.build(%s)"):format(t.name, part.key == "reply" and "reply=True" or "") or
	       ("_build_json(self.%s)"):format(t.name)
end

M.py_helper = [[
def _levels(tree):
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else None
    return 0 if inner is None else 1 + max(map(_levels, inner), default=0)


def _read_json(v, at, name, depth):
    def members(pairs):
        if len(dict(pairs)) < len(pairs):
            raise ValueError("has a key twice")
        if any("\0" in key for key, _ in pairs):
            raise ValueError("has a NUL in a key")
        return dict(pairs)

    def number(word):
        raise ValueError(f"holds {word}, which is no JSON")

    def whole(digits):  # int() refuses thousands of digits
        return int(digits) if len(digits) < 100 else float(digits)

    try:
        tree = json.loads(v.payload[at:-1].decode(), object_pairs_hook=members, parse_constant=number, parse_int=whole)
        if _levels(tree) > depth:
            raise ValueError(f"is nested deeper than {depth} levels")
        return tree
    except (ValueError, RecursionError) as error:
        v.bad(name, f"is JSON text ({error})", at, v.len - at)


def _build_json(value):
    return json.dumps(value, separators=(",", ":")).encode() + b"\0"
]]

function M.box(t)
	return "JSON text and a NUL" .. (t.optional and ", or nothing" or "")
end

function M.json(t, J)
	return { { "depth", t.depth }, { "optional", t.optional or nil }, { "schema", t.schema }, { "syntax", J.says("json", syntax) },
		 { "object", J.says("object", "is an object") } }
end

function M.says(t)
	return t.schema and syntax
end

function M.text(t)
	return { ("is in UTF-8 and has at most %d levels of objects and arrays; no object has a key twice%s"):format(t.depth,
			t.optional and "; it may be left out" or "") }
end

function M.shapes(_, add)
	for _, text in ipairs { "", "\0", "{}", "{\0}\0", "{}\0\0" } do
		add(("text of %d bytes"):format(#text), function(s)
			s.text = text
			return true
		end)
	end
end

function M.loose(_, c)
	return #c.scene.text
end

return M
