-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- entries.html: all that has a place of its own in the explorer, with that place's address, and a link to the same in
-- the reference. The explorer's script fills them; here they are for who reads without it, and so that links in both
-- directions can be looked at.

local text = require "text"

local entry = [[
<section class="card %s" id="%s" aria-label="%s"><h3>%s <a class="site" href="gen/%s.html#%s">Reference</a></h3></section>]]

return function(model)
	local out = {}
	local function add(kind, address, label, anchor)
		out[#out + 1] = entry:format(kind, address, label, label, kind == "erratum" and "errata" or "protocol", anchor)
	end
	local function each(kind, list, key)
		for _, e in ipairs(list) do
			local name = tostring(e[key])
			add(kind, kind .. "/" .. name, kind .. " " .. name, e.made and "messages-all" or text.anchor(kind, name))
		end
	end
	each("message", model.messages, "name")
	add("header", "header", "header", "the-header")
	each("struct", model.structs, "name")
	each("flags", model.flags, "name")
	each("enum", model.enums, "name")
	each("capability", model.caps, "path")
	each("limit", model.limits, "name")
	each("policy", model.policies, "name")
	each("erratum", model.errata, "number")
	return table.concat(out, "\n") .. "\n"
end
