-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- wire.lock: everything a peer can see, a line each, without prose.  A change of the wire is a change
-- of this file.

local E = require "expr"

local function add(out, fmt, ...)
	out[#out + 1] = (fmt:format(...):gsub("[:, ]+$", ""))
end

-- Words behind a line: ", since 0.9, experimental, requires write_multiple".
local function history(e, parent)
	return (e.since and e.since ~= (parent and parent.since) and ", since " .. e.since or "") ..
	       (e.status and e.status ~= "stable" and ", " .. e.status or "") .. (e.requires and ", requires " .. e.requires or "")
end

local function rule_line(out, owner, r)
	local condition = E.text(r.broken)
	for _, e in ipairs { r.when or false, r.under or false } do
		condition = e and E.text(e) .. ": " .. condition or condition
	end
	add(out, "rule %s refuses %s%s", owner, condition, r.errno ~= "EINVAL" and " with " .. r.errno or "")
end

-- What a tail says of itself: expressions, fields, words.
local function sizes(t)
	local out = {}
	for _, key in ipairs { "size", "count", "stride", "min_stride", "at", "whole", "by", "head", "key", "version", "next", "when", "max", "depth" } do
		local v = t[key]
		out[#out + 1] = v and key .. " " .. (type(v) ~= "table" and v or v.op and E.text(v) or v.name) or nil
	end
	if t.element or t.scalar then
		out[#out + 1] = "of " .. (t.scalar or t.element.name)
	end
	for _, key in ipairs { "more", "disjoint", "optional", "schema" } do
		out[#out + 1] = t[key] and key or nil
	end
	return table.concat(out, ", ")
end

local function tail(out, owner, t)
	add(out, "tail %s.%s %s: %s%s", owner, t.name, t.word, sizes(t), history(t))
	for _, item in ipairs(t.element and {} or t.items) do
		local words = (item.version and ", version " .. item.version or "") .. (item.optional and ", optional" or "") ..
			      (item.min_stride and item.min_stride > t.min_stride and ", min_stride " .. item.min_stride or "") ..
			      (item.excludes and #item.excludes > 0 and ", excludes " .. table.concat(item.excludes, " ") or "")
		add(out, "tail %s.%s %d %s is %s%s%s%s", owner, t.name, item.value, item.name, item.struct.name, words,
		    item.when and ", when " .. E.text(item.when) or "", history(item))
	end
end

local function layout(out, owner, part)
	local longer = part.longer and ", longer to " .. (type(part.longer) == "table" and part.longer.name or part.longer) or ""
	add(out, "part %s %d%s%s%s", owner, part.size, longer, part.condition and ", where " .. E.text(part.condition) or "",
	    history(part))
	for _, f in ipairs(part.fields) do
		add(out, "field %s.%s @%d %s%s%s%s", owner, f.name, f.offset, f.type, f.flags and " flags " .. f.flags.name or "",
		    f.enum and " enum " .. f.enum.name or "", history(f))
	end
	for _, r in ipairs(part.rules) do
		rule_line(out, owner, r)
	end
	if part.tail then
		tail(out, owner, part.tail)
	end
	for _, alt in ipairs(part.alts or {}) do
		layout(out, owner .. "/" .. alt.name, alt)
	end
end

local function fds(out, owner, f)
	local words = {}
	for _, key in ipairs { "min", "max", "count", "when" } do
		words[#words + 1] = f[key] and key .. " " .. E.text(f[key]) or nil
	end
	words[#words + 1] = f.extra and "more are closed" or nil
	add(out, "fds %s %s%s", owner, table.concat(words, ", "), f.or_none and " or none" or "")
end

local function message(out, m)
	local words = { "message", m.name, m.id, "from", m.from }
	for _, key in ipairs { "post", "fence" } do
		words[#words + 1] = m[key] and key or nil
	end
	words[#words + 1] = m.gate and "gate " .. m.gate
	words[#words + 1] = m.effect and ("where %s & 0x%x is 0x%x"):format(m.effect.field.name, m.effect.mask, m.effect.value)
	for i, s in ipairs(m.states) do
		words[#words + 1] = (i == 1 and "states " or "") .. s.name
	end
	add(out, "%s%s", table.concat(words, " "), history(m))
	for _, key in ipairs { "request", "reply" } do
		layout(out, m.name .. "." .. key, m[key])
		if m[key].fds then
			fds(out, m.name .. "." .. key, m[key].fds)
		end
	end
	for _, e in ipairs(m.errors) do
		add(out, "error %s %s", m.name, e.name)
	end
end

-- Who sends a capability or object, and when.
local function sent(c)
	return (c.feature and ", feature" or "") .. (c.in_request and ", in request" or "") .. (c.in_reply and ", in reply" or "") ..
	       (c.drop > 0 and ", drop " .. c.drop or "")
end

local function sets(c)
	return c.limit and (" sets %s%s"):format(c.limit.name, c.as and " as " .. c.as or "") or ""
end

local function ours(c)
	local range = c.type ~= "bool" and not c.kept and (" (%d to %d)"):format(c.ours.min, c.ours.max) or ""
	return ", we say " .. (c.ours.value == nil and "nothing" or tostring(c.ours.value)) .. range .. (c.kept and ", kept" or "")
end

local function capability(out, c)
	add(out, "capability %s %s default %s%s%s, %s%s%s", c.path, c.type,
	    tostring(c.default), c.min and (", %d to %d"):format(c.min, c.max) or "",
	    c.multiple_of and ", multiple of " .. c.multiple_of or "", c.combine .. sets(c), sent(c) .. ours(c), history(c))
end

return function(model)
	local out = { "# Generated from spec/ by `make update-lock`. Do not edit." }
	for _, r in ipairs(model.revisions) do
		add(out, "revision %s%s", r.name, r.version and " version " .. r.version or "")
	end
	layout(out, "header", model.header)
	for _, set in ipairs(model.flags) do
		for _, m in ipairs(set.members) do
			add(out, "flags %s.%s 0x%x%s", set.name, m.name, m.mask, history(m))
		end
	end
	for _, enum in ipairs(model.enums) do
		for _, v in ipairs(enum.values) do
			add(out, "enum %s.%s %d%s", enum.name, v.name, v.value, history(v))
		end
	end
	for _, s in ipairs(model.structs) do
		layout(out, s.name, s)
	end
	for _, m in ipairs(model.messages) do
		message(out, m)
	end
	for _, l in ipairs(model.limits) do
		add(out, "limit %s %s default %s%s%s", l.name, l.type, tostring(l.default),
		    l.type ~= "bool" and (", %d to %d"):format(l.min, l.max) or "", l.power_of_two and ", power of two" or "")
	end
	for _, object in ipairs(model.cap_objects) do
		add(out, "object %s%s", object.name, history(object))
	end
	for _, cap in ipairs(model.caps) do
		capability(out, cap)
	end
	for _, p in ipairs(model.policies) do
		local chosen = {}
		for _, profile in ipairs(model.profiles) do
			chosen[#chosen + 1] = ("%s %s"):format(profile, p.profiles[profile])
		end
		add(out, "policy %s %s: %s", p.name, table.concat(p.choices, " "), table.concat(chosen, ", "))
	end
	return table.concat(out, "\n") .. "\n"
end
