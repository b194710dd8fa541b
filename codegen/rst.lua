-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- What the pages in reST are written with. Of a part's name the place where links lead is "KIND-NAME"; that of another
-- page is linked to as PAGE.html#KIND-NAME, which holds beside whatever makes HTML of both.

local text = require "text"

local M = {}

function M.heading(out, title, line)
	out[#out + 1] = title
	out[#out + 1] = line:rep(text.width(title))
	out[#out + 1] = ""
end

function M.paragraph(out, words, first, rest)
	out[#out + 1] = text.wrap(words, 100, first, rest)
	out[#out + 1] = ""
end

M.anchor = text.anchor

-- Where links of this name lead.
function M.target(out, kind, name)
	out[#out + 1] = (".. _%s:"):format(M.anchor(kind, name))
	out[#out + 1] = ""
end

-- On this page, unless another is named.
function M.link(kind, name, words, page)
	return ("`%s <%s>`__"):format(words or name, page and ("%s.html#%s"):format(page, M.anchor(kind, name)) or M.anchor(kind, name) .. "_")
end

-- Stars, backquotes and the like are markup only by accident; links of text.link are meant.
function M.plain(s, link)
	return (s:gsub("[%*`|\\]", "\\%0"):gsub("(%w)_(%W)", "%1\\_%2"):gsub("_$", "\\_"):gsub("\1(%w+) ([%w_]+)\2", link or M.link))
end

function M.sentence(s)
	s = M.plain(s):gsub("^%l", string.upper)
	return s:find("[%.!?]$") and s or s .. "."
end

function M.code(s)
	return "``" .. s .. "``"
end

-- A row may be the place where links of its target lead.
function M.list_table(out, header, rows, options)
	table.move({ ".. list-table::", "   :header-rows: 1" }, 1, 2, #out + 1, out)
	table.move(options or {}, 1, #(options or {}), #out + 1, out)
	out[#out + 1] = ""
	table.insert(rows, 1, header)
	for _, row in ipairs(rows) do
		local first = "   * - "
		if row.target then
			table.move({ ("   * - .. _%s:"):format(row.target), "" }, 1, 2, #out + 1, out)
			first = "       "
		end
		for i, cell in ipairs(row) do
			out[#out + 1] = text.wrap(cell, 100, i == 1 and first or "     - ", "       ")
		end
	end
	out[#out + 1] = ""
end

return M
