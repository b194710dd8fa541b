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

function M.text(t, where)
	return { ("is as long as %s says%s"):format(E.text(t.size), where(t.when)) }
end

function M.loose(t, c)
	local n = c:holds(t.when) and c:value(t.size) or 0
	return n >= 0 and n <= 2 * c.scene.most_bytes and n or 5
end

return M
