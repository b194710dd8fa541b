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
		   words = ("is as long as %s says"):format(E.text(t.size)) } }
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

function M.text(t, where)
	return { ("is as long as %s says%s"):format(E.text(t.size), where(t.when)) }
end

function M.loose(t, c)
	local n = c:holds(t.when) and c:value(t.size) or 0
	return n >= 0 and n <= 2 * c.scene.most_bytes and n or 5
end

return M
