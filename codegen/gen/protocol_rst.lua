-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- protocol.rst: the reference of every message. errata_rst.lua has what we do where the protocol is not clear: here are
-- their titles, where they matter.

local E = require "expr"
local box = require "box"
local rst = require "rst"
local tails = require "tail"
local text = require "text"

local anchor, code, heading, link, list_table, paragraph = rst.anchor, rst.code, rst.heading, rst.link, rst.list_table, rst.paragraph
local plain, sentence, target = rst.plain, rst.sentence, rst.target

local template = [[
.. SPDX-License-Identifier: BSD-3-Clause
.. Copyright (c) 2026 the libvfu authors
.. Generated from spec/ by codegen/gen/protocol_rst.lua. Do not edit; see spec/README.md.

======================
The vfio-user protocol
======================

${doc}

Every section below names the line of the specification it is made from. Offsets and sizes are in
bytes; boxes have eight of them in a row. Offsets of a payload count from its first byte, behind the 16 bytes of
the header. Parts have the revision and status of what is around them if they
name no other. Numbered lines are rules, in the order in which they are checked. A payload that breaks one is refused with the
errno EINVAL, if the rule names no other; ``payload`` in a rule is all that follows the header.
*The text* is the document that defines the protocol, a part of QEMU's documentation.
Where the text is wrong, silent or not followed there is an erratum: its number leads to `what it says <errata.html>`__, what
others do and what we do.

Revisions
=========

A revision is a state of the text, not a version that peers agree on.

${revisions}

.. _the-header:

Header
======

${header}

.. _messages-all:

Messages
========

.. list-table::
   :header-rows: 1

   * - Number
     - Message
     - Sent by
     - Since
     - Status
   ${overview}

${messages}

Structures inside payloads
==========================

${structs}

Numbers
=======

${numbers}

Capabilities
============

The keys of the JSON text in ``version``. An unknown key is ignored. A feature is answered only if the
other side proposed it, and holds only if both said it. *Agreed* is what holds of the values of two sides; a side that
does not say a key means what stands under *If absent*.

${caps}

Limits
======

What rules compare with. A capability of that name sets each, if there is one; where what is *agreed* is *each side's own*, a
sender keeps to what its receiver said.

${limits}

.. _policies:

Policies
========

Where more than one behaviour is lawful, a policy says which one is taken; it is chosen for each connection by name, or for all
by a profile.

${policies}
]]

-- Revision and status where they are not those of what is around, and what must be agreed; nil if there is
-- nothing to say.
local function history(e, parent)
	local words = { e.since and e.since ~= (parent and parent.since) and "since " .. e.since or nil }
	words[#words + 1] = e.status and e.status ~= "stable" and e.status or nil
	words[#words + 1] = e.requires and "needs " .. code(e.requires) or nil
	return #words > 0 and table.concat(words, ", ") or nil
end

-- The same for a column.
local function age(e)
	return (history(e):gsub("^since ", ""))
end

-- Parts -------------------------------------------------------------------------------------------

local function kind_of_field(f)
	if f.flags then
		return "; bits: " .. link("flags", f.flags.name)
	end
	return f.enum and "; values: " .. (f.enum.made and link("messages", "all", "messages") or link("enum", f.enum.name)) or ""
end

-- Of what has a picture by boxes_svg.lua, and one to explore: entries.html has the address.
local function figure(out, name, alt, address)
	out[#out + 1] = (".. figure:: boxes/%s.svg"):format(name)
	out[#out + 1] = ("   :alt: %s"):format(alt)
	out[#out + 1] = ""
	out[#out + 1] = ("   `In the explorer <explorer.html#%s>`__"):format(address)
	out[#out + 1] = ""
end

-- The boxes as text, for who reads this file itself: a comment.
local function boxes(out, part)
	local lines = box.draw(part)
	if lines then
		out[#out + 1] = ".."
		for _, line in ipairs(lines) do
			out[#out + 1] = "    " .. line
		end
		out[#out + 1] = ""
	end
end

local function layout(out, part)
	boxes(out, part)
	local rows = text.map(part.fields, function(f)
		local since = history(f)
		return { tostring(f.offset), tostring(f.size), code(f.name),
			 plain(f.doc) .. kind_of_field(f) .. (since and "; " .. since or "") }
	end)
	if part.tail then
		rows[#rows + 1] = { tostring(part.size), "\\-", code(part.tail.name), plain(part.tail.doc) }
	end
	if #rows > 0 then
		list_table(out, { "Offset", "Size", "Field", "Meaning" }, rows)
	end
end

local function where(...)
	local words = {}
	for i = 1, select("#", ...) do
		local e = select(i, ...)
		if e then
			words[#words + 1] = E.text(e)
		end
	end
	return #words > 0 and ", where " .. table.concat(words, " and ") or ""
end

-- All of them, numbered in the order of the checks.
local function rules(out, part)
	local list = tails.all_rules(part)
	for _, r in ipairs(list) do
		local words = plain(r.said)
		words = r.who == "fds" and words:gsub("^%l", string.upper) or code(r.who) .. " " .. words
		local under = where(r.under):gsub("^, where", r.said:find(", where ", 1, true) and " and" or "%0")
		local other = r.errno ~= "EINVAL" and "; if not: " .. r.errno or ""
		out[#out + 1] = text.wrap(("#. %s%s%s."):format(words, plain(under), other), 100, "", "   ")
	end
	if #list > 0 then
		out[#out + 1] = ""
	end
end

-- What follows the fields, where that is no rule.
local function tail(out, t)
	local lines = text.map(tails[t.kind].text and tails[t.kind].text(t, where) or {}, function(s)
		return text.wrap(("- %s %s."):format(code(t.name), plain(s)), 100, "", "  ")
	end)
	table.move(lines, 1, #lines, #out + 1, out)
	out[#out + 1] = ""
end

local function body(out, part)
	layout(out, part)
	if part.tail then
		tail(out, part.tail)
	end
	rules(out, part)
	for _, alt in ipairs(part.alts or {}) do
		paragraph(out, plain(tails.alt.text(alt, where)) .. (#alt.fields > 0 and ":" or "."))
		layout(out, alt)
		rules(out, alt)
	end
	if part.longer then
		paragraph(out, "May be longer; the rest is ignored.")
	end
end

local function side(out, part, title)
	heading(out, title, "~")
	body(out, part)
	if part.fds then
		paragraph(out, ("File descriptors: %s.%s"):format(plain(part.fds.doc), part.fds.extra and " More are closed." or ""))
	end
end

local function erratum(e)
	return link("erratum", tostring(e.number), "E" .. e.number, "errata")
end

-- What they are about; the number leads to the rest.
local function errata(out, list, mark)
	if #list > 0 then
		heading(out, "Errata", mark)
		table.move(text.map(list, function(e) return ("- %s %s"):format(erratum(e), plain(e.title)) end), 1, #list, #out + 1, out)
		out[#out + 1] = ""
	end
end

local function term(word)
	return ("`%s <../glossary.html#term-%s>`__"):format(word, word)
end

local function message(m)
	local out = {}
	target(out, "message", m.name)
	heading(out, ("%s (%d)"):format(m.name, m.id), "-")
	paragraph(out, plain(m.doc))
	local notes = { ("From the %s."):format(m.from), ("Since %s."):format(m.since) }
	notes[#notes + 1] = m.status ~= "stable" and ("%s."):format(m.status:gsub("^%l", string.upper)) or nil
	notes[#notes + 1] = m.requires and ("Only where %s was agreed."):format(code(m.requires)) or nil
	notes[#notes + 1] = m.post and "May be sent without asking for a reply." or nil
	notes[#notes + 1] = m.basic and "Every server knows it." or nil
	local effect = m.effect and (", where %s"):format(plain(m.effect.text)) or ""
	notes[#notes + 1] = m.fence and ("A %s: no later request starts before it is answered%s."):format(term "fence", effect) or nil
	notes[#notes + 1] = m.gate and ("A %s: the device is asked first, and may refuse with any errno%s."):format(term "gate", effect) or nil
	notes[#notes + 1] = #m.states > 0 and ("Lawful only in the states %s (%s)."):format(table.concat(
		text.map(m.states, function(s) return s.name end), ", "), link("enum", m.states.enum.name)) or nil
	paragraph(out, table.concat(notes, " ") .. " *" .. m.loc .. "*")
	figure(out, m.name, ("Request and reply of %s as boxes, with the offsets and sizes of the tables below"):format(m.name), "message/" .. m.name)
	side(out, m.request, "Request")
	side(out, m.reply, "Reply")
	if #m.errors > 0 then
		heading(out, "Errors", "~")
	end
	for _, e in ipairs(m.errors) do
		paragraph(out, sentence(e.doc), code(e.name) .. " ", "")
	end
	errata(out, m.errata, "~")
	return table.concat(out, "\n")
end

local function structure(s)
	local out = {}
	target(out, "struct", s.name)
	heading(out, s.name, "-")
	local around = s.inside and (" Lies in the %s of %s."):format(s.inside:match("%.(.*)"), link("message", s.inside:match("^[^.]*"))) or ""
	paragraph(out, ("%s Since %s.%s *%s*"):format(sentence(s.doc), age(s), around, s.loc))
	figure(out, s.name, ("%s as boxes, with the offsets and sizes of the table below"):format(s.name), "struct/" .. s.name)
	body(out, s)
	return table.concat(out, "\n")
end

-- Numbers, capabilities, policies -------------------------------------------------------------------

local function numbers(model)
	local out = {}
	for _, set in ipairs(model.flags) do
		target(out, "flags", set.name)
		heading(out, set.name .. " (bits)", "-")
		paragraph(out, sentence(set.doc))
		list_table(out, { "Mask", "Name", "Since", "Meaning" }, text.map(set.members, function(m)
			return { target = anchor("flag", set.name .. "-" .. m.name), ("0x%x"):format(m.mask), code(m.name), age(m),
				 plain(m.doc) .. (m.enum and "; values: " .. link("enum", m.enum.name) or "") }
		end))
	end
	for _, e in ipairs(model.enums) do
		if not e.made then
			target(out, "enum", e.name)
			heading(out, e.name .. " (values)", "-")
			paragraph(out, sentence(e.doc))
			list_table(out, { "Value", "Name", "Since", "Meaning" }, text.map(e.values, function(v)
				return { target = anchor("value", e.name .. "-" .. v.name), tostring(v.value), code(v.name), age(v), plain(v.doc) }
			end))
		end
	end
	return table.concat(out, "\n")
end

-- What holds of two sides' values, and what it is good for.
local combination = { own = "each side's own", min = "the smaller", ["and"] = "both true", echo = "the client's, repeated" }
local as = { lowest_bit = " is its lowest bit" }

-- What libvfu itself says is less than what a peer may say.
local function narrower(c)
	local is_all = c.type == "bool" or c.kept or c.ours.min == c.min and c.ours.max == c.max
	return is_all and "" or ("; of libvfu %d to %d"):format(c.ours.min, c.ours.max)
end

local function caps(model)
	local out, rows = {}, {}
	for _, c in ipairs(model.caps) do
		local range = c.type == "bool" and "true, false" or ("%s to %s"):format(c.min, c.max)
		local absent = c.signed and "none" or tostring(c.default)
		local sets = c.limit and ("; limit %s%s"):format(code(c.limit.name), as[c.as] or "") or ""
		rows[#rows + 1] = { target = anchor("capability", c.path), code(c.path), c.type, absent,
				    range .. (c.multiple_of and (", multiple of %d"):format(c.multiple_of) or "") .. narrower(c),
				    combination[c.combine] .. sets, c.feature and "yes" or "no", age(c), plain(c.doc) }
	end
	list_table(out, { "Key", "Type", "If absent", "Range", "Agreed", "Feature", "Since", "Meaning" }, rows)
	return table.concat(out, "\n")
end

local function limits(model)
	local out = {}
	list_table(out, { "Limit", "Type", "Default", "Meaning" }, text.map(model.limits, function(l)
		return { target = anchor("limit", l.name), code(l.name), l.type, tostring(l.default), plain(l.doc) }
	end))
	return table.concat(out, "\n")
end

local function policies(model)
	local out, rows = {}, {}
	for _, p in ipairs(model.policies) do
		local row = { target = anchor("policy", p.name), code(p.name), table.concat(p.choices, ", "), p.default }
		for _, name in ipairs(model.profiles) do
			row[#row + 1] = p.profiles[name]
		end
		row[#row + 1] = erratum(p.erratum)
		rows[#rows + 1] = row
	end
	local header = table.move(model.profiles, 1, #model.profiles, 4, { "Policy", "Choices", "default" })
	header[#header + 1] = "Erratum"
	list_table(out, header, rows)
	return table.concat(out, "\n")
end

return function(model)
	local vars = { doc = text.wrap(model.doc, 100), numbers = numbers(model), caps = caps(model), limits = limits(model),
		       policies = policies(model), messages = text.map(model.messages, message),
		       structs = text.map(model.structs, structure) }
	vars.revisions = text.map(model.revisions, function(r)
		return code(r.name) .. "\n    " .. sentence(r.doc .. (r.version and ("; spoken under version %s"):format(r.version) or ""))
	end)
	local header = {}
	paragraph(header, plain(model.header.doc))
	figure(header, "header", "The header as boxes, with the offsets and sizes of the table below", "header")
	body(header, model.header)
	errata(header, model.errata.of_all, "-")
	vars.header = table.concat(header, "\n")
	vars.overview = text.map(model.messages, function(m)
		return ("* - %d\n  - %s\n  - %s\n  - %s\n  - %s\n"):format(m.id, link("message", m.name), m.from, m.since, m.status)
	end)
	return (text.fill(template, vars):gsub("\n\n\n+", "\n\n"))
end
