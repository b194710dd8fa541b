-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Another layout of a payload, told by its length: nothing of the usual one holds then.

local E = require "expr"
local X = require "model.expressions"
local agreed = require "model.agreed"
local cname = require "cname"
local cparts = require "cparts"
local load = require "load"
local names = require "model.names"
local rules_of = require "model.rules"

local M = {}

-- layout: of model/parts.lua
function M.build(node, scope, layout)
	local fields, size = layout(scope.model, node.items)
	if size ~= node.size then
		load.fault(load.at(node, "size"), "%s: its fields take %d bytes, size says %d", load.describe(node), size, node.size)
	end
	local inner = setmetatable({ fields = fields, size = size }, { __index = scope })
	local alt = names.entry(node, { size = size, fields = fields, when = X.condition(scope, node, "when"),
		under = X.policy(scope, node.under, load.at(node, "under")), rules = rules_of.build(fields, nil, inner) })
	alt.condition = E.all(E.eq(E.len, E.num(size)), alt.under, alt.when)
	agreed.guard(scope, alt.rules, { who = alt.name, value = E.len, loc = alt.loc }, alt)
	return alt
end

-- Its structure, in lines; what may stand behind the last field is no part of the payload.
local function struct(alt, head, tail)
	local lines = { head }
	for _, field in ipairs(alt.fields) do
		lines[#lines + 1] = ("\t%s %s;"):format(cname.ctype[field.type], field.name)
	end
	lines[#lines + 1] = tail
	return lines
end

function M.c(f, alt, part)
	f.alternative(part.owner .. "_" .. alt.name, alt, struct(alt, "struct {", "} in;"))
end

-- Whether a payload is this layout; which ones are lawful the check has said.
function M.c_parse(g, alt)
	local name = g.owner .. "_" .. alt.name
	local condition = E.c(E.all(E.eq(E.len, E.num(alt.size)), cparts.public(alt.when)), g.env)
	g:comment(alt)
	if #alt.fields == 0 then
		g:define("static inline bool", ("vfu_wire_is_%s"):format(name), "size_t len", ("return %s;"):format(condition))
		return
	end
	g.out[#g.out + 1] = table.concat(struct(alt, ("struct %s {"):format(cname.struct(name)), "};\n"), "\n")
	g:define("static inline bool", ("vfu_wire_%s_parse"):format(name),
		 ("struct %s *out, const void *payload, size_t len"):format(cname.struct(name)), [[
if (!(${condition}))
	return false;
memcpy(out, payload, ${size});
return true;
]], { condition = condition, size = alt.size })
end

function M.text(alt, where)
	return ("May instead be %d bytes%s: %s"):format(alt.size, where(alt.under, alt.when), alt.doc)
end

return M
