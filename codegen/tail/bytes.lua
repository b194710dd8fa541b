-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Bytes without structure: as many as the message says, none where `when` does not hold.

local E = require "expr"
local X = require "model.expressions"

local M = {}

function M.build(item, scope)
	return { size = X.number(scope, item, "size"), when = X.condition(scope, item, "when") }
end

function M.rules(t, part)
	local size = t.when and E.choose(t.when, t.size, E.zero) or t.size
	return { { wrong = (part.longer and E.lt or E.ne)(E.sub(E.len, E.start), size),
		   words = ("is %sas long as %s says%s"):format(part.longer and "at least " or "", E.text(t.size),
			   t.when and (", where %s; else it is empty"):format(E.text(t.when)) or "") } }
end

local c_parse = [[
uint64_t size;
${fields}
size = ${bytes};
*out_len = size < len - ${size} ? (size_t)size : len - ${size};
return *out_len ? (const uint8_t *)payload + ${size} : NULL;
]]

function M.c_parse(g, t)
	local size = t.when and E.choose(t.when, t.size, E.zero) or t.size
	g:comment(t)
	g:inline("const void *", "parse", "const void *payload, size_t len, size_t *out_len", c_parse,
		 { fields = "*out_len = 0;\n" .. g:fields("NULL"), bytes = g:c(size, "UINT64_MAX") })
end

function M.c_build(g, t)
	g:inline("void", "add", "struct vfu_wire_builder *b, const void *data, size_t len", table.concat({
		"vfu_wire_builder_append(b, data, len);", g:count(t.size, "len") or "", t.when and g:raise(t.when) or "" }, "\n"))
end

function M.c_copy(g)
	g:copy([[
size_t n;
const void *data = vfu_wire_${name}_parse(payload, len, &n${given});

wire_saw(seen, 0, data, n);
if (n > 0)
	vfu_wire_${name}_add(b, data, n);
]])
end

function M.py_type()
	return "bytes", 'b""'
end

function M.py_read(f, t)
	local size = t.when and E.choose(t.when, t.size, E.zero) or t.size
	f:line("self.%s = v.payload[start : start + %s]", t.name, f.expression(size))
end

function M.py_build(f, t)
	if t.when then
		f:unless_empty(t)
		f:raise(t.when)
	end
	f:derive(t.size, ("len(self.%s)"):format(t.name))
	return ("bytes(self.%s)"):format(t.name)
end

function M.box(t)
	return E.text(t.size) .. " bytes" .. (t.when and ", or none" or "")
end

function M.json(t, J)
	return { { "size", J.tree(t.size) } }
end

function M.loose(t, c)
	local n = c:holds(t.when) and c:value(t.size) or 0
	return n >= 0 and n <= 2 * c.scene.most_bytes and n or 5
end

return M
