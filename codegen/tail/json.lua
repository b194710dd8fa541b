-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- A text that ends with its NUL.

local E = require "expr"

local M = {}

function M.build(item)
	return { optional = item.optional or false, schema = item.schema }
end

function M.rules(t)
	return { { wrong = E.all(t.optional and E.gt(E.len, E.start), E.negate(E.is_text(E.start))),
		   words = "ends with a NUL and holds no other" } }
end

function M.text(t)
	return { "is a text that ends with a NUL and holds no other" .. (t.optional and "; it may be left out" or "") }
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
