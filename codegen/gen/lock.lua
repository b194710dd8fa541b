-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- wire.lock: everything a peer can see, a line each, without prose.  A change of the wire is a change
-- of this file.

local E = require "expr"

local function add(out, fmt, ...)
	out[#out + 1] = (fmt:format(...):gsub("[: ]+$", ""))
end

local function rule_line(out, owner, r)
	local condition = E.text(r.broken)
	for _, e in ipairs { r.when or false, r.under or false } do
		condition = e and E.text(e) .. ": " .. condition or condition
	end
	add(out, "rule %s refuses %s%s", owner, condition, r.errno ~= "EINVAL" and " with " .. r.errno or "")
end

local function sizes(t)
	local out = {}
	for _, key in ipairs { "size", "count", "stride", "at", "whole", "by", "when" } do
		if t[key] and t[key].op then
			out[#out + 1] = key .. " " .. E.text(t[key])
		end
	end
	if t.by and not t.by.op then
		out[#out + 1] = "by " .. t.by.name
	end
	if t.element or t.scalar then
		out[#out + 1] = "of " .. (t.scalar or t.element.name)
	end
	return table.concat(out, ", ")
end

local function tail(out, owner, t)
	if not t then
		return
	end
	add(out, "tail %s.%s %s: %s", owner, t.name, t.word, sizes(t))
	for _, item in ipairs(t.element and {} or t.items) do
		add(out, "tail %s.%s %d %s is %s%s%s", owner, t.name, item.value, item.name, item.struct.name,
		    item.version and " version " .. item.version or "", item.when and " when " .. E.text(item.when) or "")
	end
end

local function layout(out, owner, part)
	add(out, "part %s %d", owner, part.size)
	for _, f in ipairs(part.fields) do
		add(out, "field %s.%s @%d %s%s%s", owner, f.name, f.offset, f.type,
		    f.flags and " flags " .. f.flags.name or "", f.enum and " enum " .. f.enum.name or "")
	end
	for _, r in ipairs(part.rules) do
		rule_line(out, owner, r)
	end
	tail(out, owner, part.tail)
	for _, alt in ipairs(part.alts) do
		layout(out, owner .. "/" .. alt.name, { size = alt.size, fields = alt.fields, rules = alt.rules, alts = {} })
	end
end

local function fds(out, owner, f)
	if f then
		local words = {}
		for _, key in ipairs { "min", "max", "count", "when" } do
			if f[key] then
				words[#words + 1] = key .. " " .. E.text(f[key])
			end
		end
		add(out, "fds %s %s%s", owner, table.concat(words, ", "), f.or_none and " or none" or "")
	end
end

local function message(out, m)
	add(out, "message %s %d from %s class %s %s", m.name, m.id, m.from, m.class, m.status)
	for _, key in ipairs { "request", "reply" } do
		layout(out, m.name .. "." .. key, m[key])
		fds(out, m.name .. "." .. key, m[key].fds)
	end
	for _, e in ipairs(m.errors) do
		add(out, "error %s %s", m.name, e.name)
	end
end

return function(model)
	local out = { "# Generated from spec/ by `make update-lock`. Do not edit." }
	layout(out, "header", model.header)
	for _, set in ipairs(model.flags) do
		for _, m in ipairs(set.members) do
			add(out, "flags %s.%s 0x%x", set.name, m.name, m.mask)
		end
	end
	for _, enum in ipairs(model.enums) do
		for _, v in ipairs(enum.values) do
			add(out, "enum %s.%s %d", enum.name, v.name, v.value)
		end
	end
	for _, s in ipairs(model.structs) do
		layout(out, s.name, s)
	end
	for _, m in ipairs(model.messages) do
		message(out, m)
	end
	for _, cap in ipairs(model.caps) do
		add(out, "capability %s%s %s default %s", cap.object == "" and "" or cap.object .. ".", cap.name, cap.type,
		    tostring(cap.default))
	end
	for _, p in ipairs(model.policies) do
		add(out, "policy %s %s", p.name, table.concat(p.choices, " "))
	end
	return table.concat(out, "\n") .. "\n"
end
