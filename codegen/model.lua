-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Turns a checked spec into the model that generators read: names resolved, offsets computed, rules
-- expanded to expressions and sentences.  Lists are ordered; nothing depends on table order.
-- codegen/README.md describes the model's shape.  Its chapters:
--
--	model/names.lua        numbers and words           spec node -> entry with doc, since, loc
--	model/expressions.lua  field.count + 1             raw node  -> { op = "add", ... }
--	model/rules.lua        min = 1                     key       -> rule with broken, text, bounds
--	model/agreed.lua       requires = cap.x            key       -> rules of what needs it
--	model/parts.lua        fields, and tail/*.lua      { ... }   -> part with offsets
--	model/messages.lua     messages and structures

local agreed = require "model.agreed"
local cname = require "cname"
local cparts = require "cparts"
local load = require "load"
local messages = require "model.messages"
local names = require "model.names"
local parts = require "model.parts"
local pyname = require "pyname"
local text = require "text"

local M = {}

-- Two things with one name in C or in Python would be one there.
local function claim_names(model)
	local taken = {}
	for _, name in ipairs(pyname.fixed) do
		taken["Python " .. name] = "every module"
	end
	local function claim(language, name, e)
		local id = language .. " " .. name
		if taken[id] then
			load.fault(e.loc, "'%s' is called %s in %s, like what stands in %s", e.name, name, language, taken[id])
		end
		taken[id] = e.loc
	end
	for _, e in ipairs(model.enums) do
		claim("C", cname.struct(e.name), e)
		claim("Python", pyname.class(e.name), e)
		for _, v in ipairs(e.values) do
			claim("C", v.cname, v)
		end
	end
	for _, set in ipairs(model.flags) do
		claim("Python", pyname.flags(set.name), set)
		for _, m in ipairs(set.members) do
			claim("C", m.cname, m)
		end
	end
	for _, object in ipairs(model.cap_objects) do
		claim("Python", pyname.class(object.name) .. "Capabilities", object)
	end
	pyname.each_class(model, function(part)
		if part.cname then
			claim("C", part.cname, part)
		end
		claim("Python", pyname.part(part), part)
		cparts.each_name(part, function(name, e) claim("C", name, e) end)
	end)
end

function M.build(spec)
	local protocol = spec.protocol[1]
	local model = { doc = text.oneline(protocol.doc), revisions = {}, files = spec.files, profiles = protocol.profiles or {},
			most = {}, flags = {}, enums = {}, limits = {}, errata = {}, policies = {}, caps = {}, cap_objects = {},
			structs = {}, messages = {} }
	names.build(spec, model)
	local header = protocol.items[1]
	header.name = "header"
	model.header = parts.build(header, { model = model })
	local needy = agreed.of_fields(model, model.header.fields, {})[1]
	if needy then
		load.fault(needy.loc, "header: %s %s, but it is read before anything is agreed", needy.who, needy.text)
	end
	model.header.cname, model.header.doc = cname.struct("header"), text.oneline(header.doc)
	messages.structs(spec, model)
	messages.messages(spec, model)
	for _, s in ipairs(model.structs) do
		if not s.used then
			load.fault(s.loc, "struct '%s': nothing uses it", s.name)
		end
	end
	claim_names(model)
	return model
end

return M
