-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Another layout of a payload, told by its length: nothing of the usual one holds then.

local E = require "expr"
local X = require "model.expressions"
local cname = require "cname"
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
	local inner = { model = scope.model, fields = fields, request = scope.request, outer = scope.outer, size = size }
	local alt = names.entry(node, { size = size, fields = fields, when = X.condition(scope, node, "when"),
		under = X.policy(scope, node.under, load.at(node, "under")), rules = rules_of.build(fields, nil, inner) })
	alt.condition = E.all(E.eq(E.len, E.num(size)), alt.under, alt.when)
	return alt
end

function M.c(f, alt, part)
	local members = { "struct {" }
	for _, field in ipairs(alt.fields) do
		members[#members + 1] = ("\t%s %s;"):format(cname.ctype[field.type], field.name)
	end
	members[#members + 1] = "} in;"
	f.alternative(part.owner .. "_" .. alt.name, alt, members)
end

function M.text(alt, where)
	return ("May instead be %d bytes%s: %s"):format(alt.size, where(alt.under, alt.when), alt.doc)
end

return M
