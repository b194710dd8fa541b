-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- errata.rst: where the protocol is not clear, by subject, and who does what. What is named there is linked to in protocol.rst.

local rst = require "rst"
local text = require "text"

local template = [[
.. SPDX-License-Identifier: BSD-3-Clause
.. Copyright (c) 2026 the libvfu authors
.. Generated from spec/ by codegen/gen/errata_rst.lua. Do not edit; see spec/README.md.

.. _errata:

=================
Errata by subject
=================

Where the text of the protocol is wrong, silent or not followed, by subject. *The text* is what a peer may count on. *We* is
what both ends of libvfu do; where the text says nothing it is our choice, and no duty of a peer. Where more than one behaviour is lawful a policy says which one is taken, and a program chooses it for each
connection, by ``vfu_server_set_policy``, ``vfu_client_set_policy`` or ``--policy`` of the commands; profiles
choose for all of them: see `their table <protocol.html#policies>`__. ``vfu explain E52`` says the same of one.

${subjects}
]]

local titles = {
	{ "messages", "Messages and their headers" },
	{ "version", "VERSION: what is agreed on" },
	{ "device", "The device: information, reset, the end of a connection" },
	{ "regions", "Regions" },
	{ "interrupts", "Interrupts" },
	{ "dma", "DMA" },
	{ "migration", "Features and migration" },
	{ nil, "Others" },
}

-- Names of messages and numbers of errata become links.
local function words(s, model)
	s = s:gsub("%f[%w_][A-Z][A-Z_]+%f[^%w_]", function(name)
		return model.messages[name:lower()] and text.link("message", name)
	end)
	s = s:gsub("%f[%w]E(%d+)%f[%W]", text.link("erratum", "E%1")):gsub("([Ee]rratum) (%d+)", "%1 " .. text.link("erratum", "E%2"))
	return rst.plain(s, function(kind, name)
		return kind == "erratum" and rst.link(kind, name:sub(2), name) or rst.link(kind, name, name, "protocol")
	end)
end

local function policy(e)
	return e.policy and (" Policy %s: %s; %s by default."):format(rst.link("policy", e.policy, nil, "protocol"),
		table.concat(text.map(e.choices, rst.code), ", "), rst.code(e.choices[1])) or ""
end

return function(model)
	local out = {}
	for _, subject in ipairs(titles) do
		local rows = text.map(model.errata, function(e)
			return e.subject == subject[1] and {
				target = rst.anchor("erratum", tostring(e.number)), ("E%d: %s"):format(e.number, words(e.title, model)),
				words(e.text, model), words(e.peers, model), words(e.decision, model) .. policy(e),
			} or nil
		end)
		if #rows > 0 then
			rst.heading(out, subject[2], "-")
			rst.list_table(out, { "Erratum", "The text", "Others", "We" }, rows, { "   :class: errata", "   :widths: 20 25 27 28" })
		end
	end
	return (text.fill(template, { subjects = table.concat(out, "\n") }):gsub("\n\n\n+", "\n\n"))
end
