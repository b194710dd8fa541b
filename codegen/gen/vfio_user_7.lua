-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- vfio-user.7: what somebody has to know who writes or reads messages, on a page of the manual. protocol_rst.lua
-- and errata_rst.lua have all of it: this has each field and its rules, but not what follows the fields in detail, nor what
-- errata say.

local E = require "expr"
local tails = require "tail"
local text = require "text"

local template = [[
.\" SPDX-License-Identifier: BSD-3-Clause
.\" Generated from spec/ by codegen/gen/vfio_user_7.lua. Do not edit.
.TH VFIO\-USER 7 "" "libvfu" "Miscellaneous Information Manual"
.nr HY 0
.nh
.ad l
.ss 12 0
.SH NAME
vfio\-user \- the protocol by which a process gives a PCI device to another
.SH DESCRIPTION
${doc}
.PP
In layouts below an entry is called OFFSET:SIZE, in bytes from the start of the payload.
A payload that breaks a rule is answered with the errno EINVAL, if the rule names no other.
What is of a later revision than what is around it says so.
.SH HEADER
${header}
.SH COMMANDS
Whoever sends a command is called its sender; the other side answers, if an answer is wanted.
.PP
.EX
${commands}
.EE
.SH MESSAGES
${messages}
.SH STRUCTURES
Parts of payloads.
${structs}
.SH FLAGS AND VALUES
${numbers}
.SH CAPABILITIES
What both sides say in VERSION, as JSON. A key that is unknown is ignored.
${caps}
.SH VERSIONS
${revisions}
.SH NOTES
Places where the text of the protocol is wrong, silent or not followed, as libvfu counts them; \fBvfu explain E1\fR
and the like say what is done there.
${errata}
.SH SEE ALSO
.BR vfu (1),
.BR vfu\-explain (1),
.BR vfu\-trace (1),
.BR libvfu (3)
.PP
All of it: \fIprotocol.rst\fR and \fIerrata.rst\fR of the C library's documentation, and \fIvfio\-user.json\fR, from which
programs can be made.
]]

local sign = { ["\\"] = "\\e", ["-"] = "\\-", ["'"] = "\\(aq", ["`"] = "\\(ga", ["^"] = "\\(ha", ["~"] = "\\(ti" }

-- Words as troff takes them literally; what has a place of its own in the reference is bold.
local function plain(s)
	local out = s:gsub("[\\'`^~-]", sign):gsub("\1%w+ ([%w_]+)\2", "\\fB%1\\fR")
	return (out:gsub("^%.", "\\&."))
end

local function sentence(s)
	s = plain(s):gsub("^%l", string.upper)
	return s:find("[%.!?]$") and s or s .. "."
end

local function bold(s)
	return "\\fB" .. plain(s) .. "\\fR"
end

local function entry(out, tag, ...)
	out[#out + 1] = ".TP"
	out[#out + 1] = tag
	table.move({ ... }, 1, select("#", ...), #out + 1, out)
end

-- Revision and status where they are not those of what is around, and what must be agreed.
local function history(e, parent)
	local words = { e.since and e.since ~= (parent and parent.since) and "since " .. e.since or nil }
	words[#words + 1] = e.status and e.status ~= "stable" and e.status or nil
	words[#words + 1] = e.requires and "needs " .. e.requires or nil
	return #words > 0 and " (" .. plain(table.concat(words, ", ")) .. ")" or ""
end

-- Parts -------------------------------------------------------------------------------------------

local function where(...)
	local words = {}
	for i = 1, select("#", ...) do
		local e = select(i, ...)
		words[#words + 1] = e and E.text(e) or nil
	end
	return #words > 0 and ", where " .. table.concat(words, " and ") or ""
end

local function rule(r, who)
	local other = r.errno ~= "EINVAL" and "; if not: " .. r.errno or ""
	local under = where(r.under):gsub("^, where", r.said:find(", where ", 1, true) and " and" or "%0")
	local said = plain(r.said .. under .. other) .. "."
	return who and who .. " " .. said or said:gsub("^%l", string.upper)
end

-- What is said of a field: its meaning, where its bits or values are, its rules.
local function meaning(part, f)
	local words = { sentence(f.doc) }
	local set = f.flags or f.enum
	if set then
		words[#words + 1] = (f.flags and "Bits: " or "Values: ") .. (set.made and "the commands" or bold(set.name)) .. "."
	end
	for _, r in ipairs(part.rules) do
		words[#words + 1] = r.field == f and rule(r, "It") or nil
	end
	return table.concat(words, "\n")
end

local function layout(out, part, parent)
	for _, f in ipairs(part.fields) do
		entry(out, ("%d:%d %s%s"):format(f.offset, f.size, bold(f.name), history(f, parent)), meaning(part, f))
	end
	if part.tail then
		entry(out, ("%d:... %s"):format(part.size, bold(part.tail.name)), sentence(part.tail.doc))
	end
	for _, r in ipairs(tails.all_rules(part)) do
		if not r.field then
			entry(out, "Rule:", rule(r, r.who ~= "fds" and bold(r.who)))
		end
	end
	if part.longer then
		entry(out, "Rule:", "It may be longer; the rest is ignored.")
	end
end

local function side(out, part, name, m)
	out[#out + 1] = ".PP"
	local empty = #part.fields == 0 and not part.tail
	out[#out + 1] = empty and name .. ": empty." or ("%s, %s%d bytes:"):format(name, part.tail and "at least " or "", part.size)
	layout(out, part, m)
	for _, alt in ipairs(part.alts or {}) do
		out[#out + 1] = ".PP\n" .. sentence(tails.alt.text(alt, where))
		layout(out, alt, m)
	end
	if part.fds and not part.fds.none then
		entry(out, "Descriptors:", sentence(part.fds.doc))
	end
end

local function message(m)
	local out = { (".SS %s (%d)"):format(plain(m.name:upper()), m.id) }
	local notes = { ("From the %s."):format(m.from), ("Since %s."):format(m.since) }
	notes[#notes + 1] = m.status ~= "stable" and sentence(m.status) or nil
	notes[#notes + 1] = m.requires and sentence("only where " .. m.requires .. " was agreed") or nil
	notes[#notes + 1] = m.post and "May be sent without asking for a reply." or nil
	notes[#notes + 1] = m.basic and "Every server knows it." or nil
	local effect = m.effect and ", where " .. plain(m.effect.text) or ""
	notes[#notes + 1] = m.fence and ("A fence: no later request starts before it is answered%s."):format(effect) or nil
	notes[#notes + 1] = m.gate and ("A gate: the device is asked first, and may refuse with any errno%s."):format(effect) or nil
	out[#out + 1] = sentence(m.doc) .. "\n" .. table.concat(notes, "\n")
	side(out, m.request, "Request", m)
	side(out, m.reply, "Reply", m)
	if #m.errors > 0 then
		out[#out + 1] = ".PP\nErrors:"
	end
	for _, e in ipairs(m.errors) do
		entry(out, bold(e.name), sentence(e.doc))
	end
	return table.concat(out, "\n")
end

local function structure(s)
	local out = { ".SS " .. plain(s.name), sentence(s.doc) .. history(s) }
	layout(out, s, s)
	return table.concat(out, "\n")
end

-- Tables ------------------------------------------------------------------------------------------

local function commands(model)
	local form = "%3s  %-22s %-8s %-6s %s"
	local out = { form:format("No.", "Command", "Sender", "Since", "Status") }
	for _, m in ipairs(model.messages) do
		out[#out + 1] = form:format(m.id, m.name:upper(), m.from, m.since, m.status)
	end
	return plain(table.concat(out, "\n"):gsub(" +\n", "\n"))
end

local function numbers(model)
	local out = {}
	for _, set in ipairs(model.flags) do
		out[#out + 1] = (".SS %s: bits\n%s"):format(plain(set.name), sentence(set.doc))
		for _, m in ipairs(set.members) do
			entry(out, ("0x%x %s%s"):format(m.mask, bold(m.name), history(m, set)), sentence(m.doc))
		end
	end
	for _, e in ipairs(model.enums) do
		if not e.made then
			out[#out + 1] = (".SS %s: values\n%s"):format(plain(e.name), sentence(e.doc))
			for _, v in ipairs(e.values) do
				entry(out, ("%d %s%s"):format(v.value, bold(v.name), history(v, e)), sentence(v.doc))
			end
		end
	end
	return table.concat(out, "\n")
end

local combination = { own = "each side's own", min = "the smaller", ["and"] = "both true", echo = "the client's, repeated" }

local function caps(model)
	local out = {}
	for _, c in ipairs(model.caps) do
		local range = c.type == "bool" and "true or false" or ("%s to %s"):format(c.min, c.max)
		local absent = c.signed and "none" or tostring(c.default)
		entry(out, bold(c.path) .. history(c), sentence(c.doc),
		      plain(("%s; if absent: %s; agreed: %s."):format(range:gsub("^%l", string.upper), absent, combination[c.combine])))
	end
	return table.concat(out, "\n")
end

local function entries(list, tag, said)
	local out = {}
	for _, e in ipairs(list) do
		entry(out, tag(e), said(e))
	end
	return table.concat(out, "\n")
end

return function(model)
	local header = { sentence(model.header.doc) }
	layout(header, model.header)
	return text.fill(template, {
		doc = plain(model.doc:gsub("^%S+: (%l)", string.upper)), header = table.concat(header, "\n"), commands = commands(model),
		messages = text.map(model.messages, message), structs = text.map(model.structs, structure),
		numbers = numbers(model), caps = caps(model),
		revisions = entries(model.revisions, function(r) return bold(r.name) end, function(r)
			return sentence(r.doc .. (r.version and ("; spoken under version %s"):format(r.version) or ""))
		end),
		errata = entries(model.errata, function(e) return "E" .. e.number end, function(e) return sentence(e.title) end),
	})
end
