-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Faults that can be seen without layout: missing or ill-typed keys, names and numbers used twice.
-- What needs layout or resolved names (alignment, expressions, references) is checked in model.lua.

local load = require "load"

local fault, describe = load.fault, load.describe
local M = {}

local errnos = {}
for name in ([[EPERM ENOENT EIO E2BIG ENOMEM EACCES EBUSY EEXIST ENODEV EINVAL EFBIG ENOSPC ERANGE ENOSYS ENOTTY
	ENOTSUP EPROTO EOVERFLOW ECANCELED EAGAIN]]):gmatch("%S+") do
	errnos[name] = true
end

local function one_of(node, key, choices, optional)
	local v = node[key]
	if v == nil and optional then
		return
	end
	for _, choice in ipairs(choices) do
		if v == choice then
			return
		end
	end
	fault(node, "%s: %s must be one of %s", describe(node), key, table.concat(choices, ", "))
end

local function typed(node, key, want)
	if node[key] ~= nil and type(node[key]) ~= want then
		fault(node, "%s: %s must be a %s", describe(node), key, want)
	end
end

local function required(node, key, want)
	if node[key] == nil then
		fault(node, "%s: lacks '%s'", describe(node), key)
	end
	typed(node, key, want)
end

local function documented(node, revisions, parent)
	required(node, "doc", "string")
	if not node.doc:find("%S") then
		fault(node, "%s: doc is empty", describe(node))
	end
	if not parent then
		required(node, "since", "string")
	end
	if node.since and not revisions[node.since] then
		fault(node, "%s: since '%s' is no revision of the protocol", describe(node), tostring(node.since))
	end
	one_of(node, "status", { "stable", "experimental", "retired" }, true)
end

local function unique(list, key, what)
	local seen = {}
	for _, node in ipairs(list) do
		local v = node[key]
		if v ~= nil and seen[v] then
			fault(node, "%s: %s %s is taken by line %d of %s", describe(node), what, tostring(v),
			      seen[v].line, seen[v].file)
		end
		if v ~= nil then
			seen[v] = node
		end
	end
end

local function integer_number(node)
	if math.type(node.number) ~= "integer" then
		fault(node, "%s: its number must be an integer", describe(node))
	end
end

local function check_flags(set, revisions)
	documented(set, revisions)
	one_of(set, "width", { 32, 64 }, true)
	unique(set.items, "name", "the name")
	local taken = 0
	for _, bit in ipairs(set.items) do
		documented(bit, revisions, set)
		integer_number(bit)
		local last = bit.last or bit.number
		if bit.kind == "bits" and math.type(bit.last) ~= "integer" then
			fault(bit, "%s: needs a first and a last bit", describe(bit))
		end
		if bit.number < 0 or last < bit.number or last >= (set.width or 32) then
			fault(bit, "%s: bit %d lies outside the set's %d bits", describe(bit),
			      bit.number < 0 and bit.number or last, set.width or 32)
		end
		for b = bit.number, last do
			if taken & (1 << b) ~= 0 then
				fault(bit, "%s: bit %d has two meanings", describe(bit), b)
			end
			taken = taken | (1 << b)
		end
	end
end

local function check_enum(enum, revisions)
	documented(enum, revisions)
	unique(enum.items, "name", "the name")
	unique(enum.items, "number", "the value")
	for _, value in ipairs(enum.items) do
		documented(value, revisions, enum)
		integer_number(value)
		if value.number < 0 then
			fault(value, "%s: a value cannot be negative", describe(value))
		end
	end
	if #enum.items == 0 then
		fault(enum, "%s: has no values", describe(enum))
	end
end

local function check_items(part, revisions)
	if #part.items == 0 then
		fault(part, "%s: has no fields; write none", describe(part))
	end
	local names = {}
	for _, item in ipairs(part.items) do
		documented(item, revisions, part)
		if names[item.name] then
			fault(item, "%s: the name is taken by line %d", describe(item), names[item.name].line)
		end
		names[item.name] = item
		local inner = {}
		for _, sub in ipairs(item.items) do
			documented(sub, revisions, item)
			if item.kind == "alt" or item.kind == "chain" then
				if inner[sub.name] then
					fault(sub, "%s: the name is taken by line %d", describe(sub),
					      inner[sub.name].line)
				end
				inner[sub.name] = sub
			end
		end
	end
	typed(part, "check", "table")
end

local function check_message(message, revisions)
	documented(message, revisions)
	required(message, "id", "number")
	if math.type(message.id) ~= "integer" or message.id < 1 or message.id > 0xffff then
		fault(message, "%s: id must lie in 1 to 65535", describe(message))
	end
	one_of(message, "from", { "client", "server" })
	one_of(message, "class", { "wait", "nowait", "async", "posted" })
	for _, key in ipairs { "fence", "quiesce", "post" } do
		typed(message, key, "boolean")
	end
	if message.class == "posted" and not message.post then
		fault(message, "%s: class posted needs post = true", describe(message))
	end
	for _, key in ipairs { "request", "reply" } do
		required(message, key, "table")
		local part = message[key]
		if part.kind == "part" then
			check_items(part, revisions)
		elseif part.kind ~= "none" then
			fault(message, "%s: %s must be none or { fields }", describe(message), key)
		end
	end
	typed(message, "fds", "table")
	typed(message, "states", "table")
	typed(message, "effect", "table")
	typed(message, "check", "table")
	if message.request.kind == "part" and message.check and message.request.check then
		fault(message, "%s: check stands both beside and inside request", describe(message))
	end
	required(message, "errors", "table")
	local names = {}
	for name in pairs(message.errors) do
		names[#names + 1] = tostring(name)
	end
	table.sort(names)
	for _, name in ipairs(names) do
		if not errnos[name] then
			fault(message, "%s: errors: '%s' is no errno known here", describe(message), name)
		elseif type(message.errors[name]) ~= "string" then
			fault(message, "%s: errors: %s needs a sentence", describe(message), name)
		end
	end
end

local function check_capability(cap, revisions)
	documented(cap, revisions)
	one_of(cap, "type", { "bool", "u32", "u64" })
	one_of(cap, "role", { "receiver", "both" })
	for _, key in ipairs { "in_request", "in_reply" } do
		required(cap, key, "boolean")
	end
	required(cap, "drop", "number")
	required(cap, "default", cap.type == "bool" and "boolean" or "number")
	if cap.type == "bool" then
		if cap.min or cap.max or cap.multiple_of then
			fault(cap, "%s: a bool has no range", describe(cap))
		end
		return
	end
	required(cap, "min", "number")
	required(cap, "max", "number")
	typed(cap, "signed", "boolean")
	if cap.signed then
		if cap.default ~= -1 or cap.type ~= "u64" then
			fault(cap, "%s: signed means a u64 whose default -1 says absent", describe(cap))
		end
		return
	end
	if cap.min > cap.max then
		fault(cap, "%s: min is above max", describe(cap))
	elseif cap.default < cap.min or cap.default > cap.max then
		fault(cap, "%s: the default lies outside min to max", describe(cap))
	elseif cap.type == "u32" and cap.max > 0xffffffff then
		fault(cap, "%s: max does not fit a u32", describe(cap))
	elseif cap.multiple_of and cap.default % cap.multiple_of ~= 0 then
		fault(cap, "%s: the default is no multiple of multiple_of", describe(cap))
	end
end

local function choice_known(erratum, choice)
	for _, c in ipairs(erratum.choices) do
		if c == choice then
			return true
		end
	end
end

local function check_erratum(erratum)
	integer_number(erratum)
	for _, key in ipairs { "title", "text", "peers", "decision" } do
		required(erratum, key, "string")
	end
	typed(erratum, "policy", "string")
	if not erratum.policy then
		if erratum.choices or erratum.profiles then
			fault(erratum, "erratum %d: choices and profiles need a policy", erratum.number)
		end
		return
	end
	required(erratum, "choices", "table")
	required(erratum, "profiles", "table")
	if #erratum.choices < 2 then
		fault(erratum, "erratum %d: a policy needs two choices at least", erratum.number)
	end
	for _, profile in ipairs { "strict", "libvfio-user" } do
		local choice = erratum.profiles[profile]
		if not choice then
			fault(erratum, "erratum %d: profile '%s' has no choice", erratum.number, profile)
		elseif not choice_known(erratum, choice) then
			fault(erratum, "erratum %d: profile '%s': '%s' is no choice of policy '%s'", erratum.number,
			      profile, tostring(choice), erratum.policy)
		end
	end
	for profile in pairs(erratum.profiles) do
		if profile ~= "strict" and profile ~= "libvfio-user" then
			fault(erratum, "erratum %d: unknown profile '%s'", erratum.number, tostring(profile))
		end
	end
end

local function check_protocol(protocol)
	required(protocol, "doc", "string")
	required(protocol, "revisions", "table")
	typed(protocol, "files", "table")
	local headers = 0
	for _, item in ipairs(protocol.items) do
		headers = headers + (item.kind == "header" and 1 or 0)
	end
	if headers ~= 1 then
		fault(protocol, "protocol: needs exactly one header")
	end
end

function M.spec(spec)
	local protocol = spec.protocol[1]
	check_protocol(protocol)
	local revisions = protocol.revisions
	for _, set in ipairs(spec.flags) do
		check_flags(set, revisions)
	end
	for _, enum in ipairs(spec.enum) do
		check_enum(enum, revisions)
	end
	for _, struct in ipairs(spec.struct) do
		documented(struct, revisions)
		check_items(struct, revisions)
	end
	for _, message in ipairs(spec.message) do
		check_message(message, revisions)
	end
	for _, object in ipairs(spec.object) do
		documented(object, revisions)
		unique(object.items, "name", "the name")
	end
	for _, cap in ipairs(spec.capability) do
		check_capability(cap, revisions)
	end
	for _, erratum in ipairs(spec.erratum) do
		check_erratum(erratum)
	end
	if #spec.limits > 1 then
		fault(spec.limits[2], "limits: given twice")
	end
	unique(spec.message, "id", "id")
	unique(spec.erratum, "number", "the number")
	unique(spec.erratum, "policy", "the policy")
	for _, list in ipairs { "message", "struct", "flags", "enum", "object" } do
		unique(spec[list], "name", "the name")
	end
end

return M
