-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Holds every key of a spec against the grammar, and hands it to its node.  Then what no table says:
-- numbers that contradict each other.  What needs layout or resolved names (alignment, expressions,
-- references) is checked in model/.

local E = require "expr"
local grammar = require "grammar"
local load = require "load"
local words = require "words"

local fault, at, describe, kind_of = load.fault, load.at, load.describe, load.kind_of
local M = {}

local sizes = { [1] = "u8", [2] = "u16", [4] = "u32", [8] = "u64" }

local function sorted_keys(t)
	local out = {}
	for key in pairs(t) do
		out[#out + 1] = tostring(key)
	end
	table.sort(out)
	return out
end

-- Types -------------------------------------------------------------------------------------------
--
-- Each is (value, words behind the type's name, spec) -> is it one, what it must be.

local types = {}

local errnos = words.errnos

local function is_plain(v)
	return type(v) == "table" and not E.is_raw(v) and not kind_of(v)
end

local function is_list(v, holds)
	local is = is_plain(v) and #v > 0
	for _, one in ipairs(is and v or {}) do
		is = is and holds(one)
	end
	return is
end

types["true"] = function(v) return v == true, "takes only true" end
function types.bool(v) return type(v) == "boolean", "must be true or false" end
function types.string(v) return type(v) == "string", "must be a string" end
function types.text(v) return type(v) == "string" and v:find("%S") ~= nil, "must be a text" end
function types.word(v) return words.is(v), "must be a word in quotes" end
function types.words(v) return is_list(v, types.string), "must be a list of words" end
function types.expression(v) return math.type(v) == "integer" or E.is_raw(v), "must be a number or an expression" end
function types.condition(v) return E.is_raw(v), "must be a condition" end
function types.policy(v) return E.is_raw(v), "must be policy.NAME.CHOICE" end
function types.policies(v) return is_plain(v), "must be { RULE = policy.NAME.CHOICE }" end
function types.record(v) return is_plain(v), "must be { ... }" end
types.room = types.expression

-- Of a flag set, or several such lists.
function types.members(v)
	return is_list(v, function(w) return words.is(w) or is_list(w, words.is) end), "must be a list of members"
end

function types.integer(v, range)
	local low, high = tonumber(range[1]), tonumber(range[2])
	return math.type(v) == "integer" and v >= (low or v) and v <= (high or v),
	       "must be an integer" .. (high and (" from %d to %d"):format(low, high) or low and " from " .. low or "")
end

function types.value(v)
	return type(v) == "boolean" or math.type(v) == "integer", "must be an integer, true or false"
end

function types.one(v, choices)
	local is = false
	for _, choice in ipairs(choices) do
		is = is or tostring(v) == choice and type(v) ~= "boolean"
	end
	return is, "must be one of " .. table.concat(choices, ", ") .. words.near(v, choices)
end

function types.rules(v)
	return is_list(v, function(r) return kind_of(r) == "rule" end), "must be a list of rules"
end

function types.part(v)
	return kind_of(v) == "part" or kind_of(v) == "none", "must be none or { fields }"
end

function types.texts(v)
	local is = is_plain(v)
	for _, text in pairs(is and v or {}) do
		is = is and types.text(text)
	end
	return is, "must be { NAME = text }"
end

function types.errors(v)
	for _, name in ipairs(is_plain(v) and sorted_keys(v) or {}) do
		if not errnos[name] then
			return false, ("names '%s', which is no errno known here"):format(name) .. words.near(name, errnos)
		end
	end
	return types.texts(v), "must be { ERRNO = sentence }"
end

function types.errno(v)
	return errnos[v] ~= nil, ("is '%s', which is no errno known here"):format(tostring(v)) .. words.near(v, errnos)
end

function types.errnos(v)
	for _, key in ipairs(is_plain(v) and sorted_keys(v) or {}) do
		local is, must = types.errno(v[key])
		if not is then
			return is, must
		end
	end
	return is_plain(v), "must be { RULE = errno }"
end

function types.numbers(v)
	return is_list(v, function(n) return math.type(n) == "integer" and n >= 0 end), "must be a list of numbers"
end

function types.revision(v, _, spec)
	local known = {}
	for _, r in ipairs(spec.protocol[1].revisions) do
		known[r.name] = r
	end
	return known[v] ~= nil, ("is '%s', which is no revision"):format(tostring(v)) .. words.near(v, known)
end

function types.records(v) return is_list(v, is_plain), "must be a list of { ... }" end
function types.version(v) return type(v) == "string" and v:find("^%d+%.%d+$") ~= nil, "must be \"MAJOR.MINOR\"" end

-- A bool of VERSION that sets a limit.
function types.capability(v, _, spec)
	local known = {}
	for _, cap in ipairs(spec.capability) do
		known[cap.field] = cap.given.type == "bool" and cap.given.limit and cap or nil
	end
	local name = E.is_raw(v) and E.data(v).op == "cap" and E.data(v).name
	return known[name] ~= nil, "must be cap.NAME, of a bool that sets a limit" .. words.near(name, known)
end

-- Keys --------------------------------------------------------------------------------------------

-- A word left without its name or braces is still the function that makes it.
local function unfinished(node, path, v)
	if type(v) == "function" then
		fault(at(node, path), "%s, key '%s': a word that lacks its name or its { ... }", describe(node), path)
	elseif is_plain(v) then
		for key, inner in pairs(v) do
			unfinished(node, type(key) == "string" and path .. "." .. key or path, inner)
		end
	end
end

-- The keys `given` to a node, or to a record inside it, whose keys lie under `path`.
local function check_keys(spec, node, given, keys, path)
	local who = describe(node) .. (path == "" and "" or ", " .. path:sub(1, -2))
	for _, key in ipairs(sorted_keys(given)) do
		unfinished(node, path .. key, given[key])
		if not keys[key] then
			fault(at(node, path .. key), "%s: unknown key '%s'%s", who, key, words.near(key, keys))
		end
	end
	for _, key in ipairs(keys) do
		local v = given[key.name]
		if v == nil and key.required then
			fault(at(node, path:sub(1, -2)), "%s: lacks '%s'", who, key.name)
		elseif v ~= nil then
			local is, must = types[key.type](v, key.args, spec)
			if not is then
				fault(at(node, path .. key.name), "%s: %s %s", who, key.name, must)
			end
			for _, record in ipairs(key.type == "records" and v or key.type == "record" and { v } or {}) do
				check_keys(spec, node, record, grammar.kinds[key.args[1]].keys, path .. key.name .. ".")
			end
		end
	end
end

-- No two of a list have the same, where the grammar says so.
local function unique(list, kind)
	local seen = {}
	for _, node in ipairs(list) do
		for key in (grammar.kinds[kind or node.kind].unique or ""):gmatch("%S+") do
			local v, id = node[key], ("%s %s"):format(key, tostring(node[key]))
			if v ~= nil and seen[id] then
				fault(at(node, key), "%s: the %s %s is taken by line %d of %s", describe(node), key, tostring(v),
				      at(seen[id], key).line, seen[id].file)
			end
			seen[id] = node
		end
	end
end

local extra = {}

local function check_node(spec, node, kind)
	local g = grammar.kinds[kind]
	check_keys(spec, node, node.given, g.keys, "")
	for _, key in ipairs(g.keys) do
		node[key.name] = node.given[key.name]
	end
	for i, item in ipairs(node.items) do
		local is = kind_of(item)
		if not is or not g.items_set[is] then
			fault(node, is and "%s: entry %d is of kind %s, which does not belong here" or
			      "%s: entry %d lacks its name or its { ... }", describe(node), i, is)
		end
		item.shown = g.items_as
		check_node(spec, item, g.items_as or is)
	end
	unique(node.items, g.items_as)
	for _, rule in ipairs(node.check or {}) do
		check_node(spec, rule, "rule")
	end
	if extra[kind] then
		extra[kind](node, spec)
	end
end

-- What no table says ------------------------------------------------------------------------------

local function integer_number(node)
	if math.type(node.number) ~= "integer" then
		fault(node, "%s: its number must be an integer", describe(node))
	end
end

function extra.protocol(node)
	if #node.items ~= 1 then
		fault(node, "protocol: needs exactly one header")
	end
	local known, last = {}, nil
	for _, r in ipairs(node.revisions) do
		local major, minor = (r.version or "0.0"):match("(%d+)%.(%d+)")
		if known[r.name] then
			fault(at(node, "revisions"), "protocol: revision '%s' is there twice", r.name)
		elseif r.version and last and (major ~= last.major or tonumber(minor) <= tonumber(last.minor)) then
			fault(at(node, "revisions"), "protocol: version %s of revision '%s' is no later minor version than %s.%s", r.version,
			      r.name, last.major, last.minor)
		end
		known[r.name], last = true, r.version and { major = major, minor = minor } or last
	end
end

function extra.flags(set)
	local width, taken = set.width or 32, 0
	for _, bit in ipairs(set.items) do
		integer_number(bit)
		local last = bit.last
		if bit.kind == "bit" then
			last = bit.number
		end
		if math.type(last) ~= "integer" then
			fault(bit, "%s: needs a first and a last bit", describe(bit))
		elseif bit.number < 0 or last < bit.number or last >= width then
			fault(bit, "%s: bit %d lies outside the set's %d bits", describe(bit), bit.number < 0 and bit.number or last,
			      width)
		end
		for b = bit.number, last do
			if taken & (1 << b) ~= 0 then
				fault(bit, "%s: bit %d has two meanings", describe(bit), b)
			end
			taken = taken | (1 << b)
		end
	end
end

function extra.value(value)
	integer_number(value)
	if value.number < 0 then
		fault(value, "%s: a value cannot be negative", describe(value))
	end
end

local function has_items(what)
	return function(node)
		if #node.items == 0 then
			fault(node, "%s: has no %s", describe(node), what)
		end
	end
end
extra.enum, extra.chain, extra.union = has_items "values", has_items "links", has_items "cases"
extra.part = has_items "fields; write none"
extra.header = extra.part

-- Keys that say nothing where another one is, or is not.
local function no_keys(node, why, ...)
	for _, key in ipairs { ... } do
		if node[key] ~= nil then
			fault(at(node, key), "%s: %s means nothing %s", describe(node), key, why)
		end
	end
end

function extra.struct(node)
	extra.part(node)
	for _, item in ipairs(node.items) do
		no_keys(item, "in a struct", item.kind == "array" and "max" or item.kind == "bytes" and "max" or nil)
	end
end

function extra.array(node)
	if node.stride then
		no_keys(node, "with stride", "of", "more", "disjoint")
	else
		no_keys(node, "without stride", "min_stride", "by")
		if #node.items > 0 or not node.of then
			fault(node, "%s: needs of, or stride and variants", describe(node))
		end
	end
end

-- Two words are fields with rules of their own.
function extra.reserved(node, spec)
	node.shown, node.kind, node.doc = node.kind, sizes[node.number], node.doc or "unused"
	if not node.kind then
		fault(node, "%s: takes 1, 2, 4 or 8 bytes", describe(node))
	end
	local choice = spec.protocol[1].reserved
	node.zero, node.under = true, choice and { zero = choice } or nil
end

function extra.argsz(node)
	node.name, node.kind, node.doc = "argsz", "u32", node.doc or "size of this payload"
	node.min = E.raw { op = "sizeof_payload" }
end

-- A range that is written out must have something in it.
local function range(node)
	if math.type(node.min) == "integer" and math.type(node.max) == "integer" and node.min > node.max then
		fault(at(node, "min"), "%s: min is above max", describe(node))
	end
end
extra.u8, extra.u16, extra.u32, extra.u64 = range, range, range, range

-- Of a capability or limit.
local function range_of_value(node, type_of)
	if type(node.default) ~= (type_of == "bool" and "boolean" or "number") then
		fault(at(node, "default"), "%s: default is no %s", describe(node), type_of)
	elseif type_of == "bool" then
		if node.min or node.max or node.multiple_of or node.power_of_two then
			fault(node, "%s: a bool has no range", describe(node))
		end
		return
	elseif not node.min or not node.max then
		fault(node, "%s: needs min and max", describe(node))
	end
	range(node)
	if type_of == "u32" and node.max > 0xffffffff then
		fault(at(node, "max"), "%s: max does not fit a u32", describe(node))
	elseif not node.signed and (node.default < node.min or node.default > node.max) then
		fault(at(node, "default"), "%s: the default lies outside min to max", describe(node))
	end
end

function extra.limit(limit)
	range_of_value(limit, limit.kind)
	if limit.power_of_two and (limit.min < 1 or limit.default & (limit.default - 1) ~= 0) then
		fault(limit, "%s: 0 and the like are no power of two", describe(limit))
	end
end

-- What the library says lies within what is lawful.
local function ours(cap)
	local o = cap.ours or {}
	local least, most = o.min or cap.min, o.max or cap.max
	local wrong = cap.type == "bool" and (o.min or o.max) and "a bool has no range" or
		      o.value ~= nil and type(o.value) ~= type(cap.default) and "value is no " .. cap.type
	if not wrong and cap.type ~= "bool" then
		wrong = (least < cap.min or most > cap.max or least > most) and "min and max lie outside its own" or
			o.value and (o.value < least or o.value > most) and "value lies outside min to max" or
			o.value and cap.multiple_of and o.value % cap.multiple_of ~= 0 and "value is no multiple of multiple_of"
	end
	if wrong then
		fault(at(cap, "ours"), "%s: ours: %s", describe(cap), wrong)
	end
end

-- How two values combine must suit what they are.
local function combination(cap)
	local how = cap.combine
	if (how == "and") ~= (cap.type == "bool") and how ~= "echo" then
		fault(at(cap, "combine"), "%s: combine '%s' is not for a %s", describe(cap), how, cap.type)
	elseif how == "echo" and not (cap.feature and cap.in_request and cap.in_reply) then
		fault(at(cap, "combine"), "%s: combine 'echo' is for features that both sides send", describe(cap))
	elseif cap.as and (not cap.limit or cap.type == "bool" or cap.min < 1) then
		fault(at(cap, "as"), "%s: as needs a limit and a number that is not 0", describe(cap))
	elseif cap.as and cap.ours and cap.ours.max then
		fault(at(cap, "ours"), "%s: ours: max means nothing with as", describe(cap))
	end
end

function extra.capability(cap)
	range_of_value(cap, cap.type)
	if cap.max and cap.max == math.maxinteger then
		fault(at(cap, "max"), "%s: readers of JSON take its max for all that is larger: say one less", describe(cap))
	end
	combination(cap)
	ours(cap)
	if cap.signed and (cap.default ~= -1 or cap.type ~= "u64") then
		fault(at(cap, "signed"), "%s: signed means a u64 whose default -1 says absent", describe(cap))
	elseif cap.multiple_of and cap.default % cap.multiple_of ~= 0 then
		fault(at(cap, "default"), "%s: the default is no multiple of multiple_of", describe(cap))
	end
end

function extra.message(message, spec)
	if not message.fence and not message.gate then
		no_keys(message, "without fence or gate", "effect")
	end
	for _, key in ipairs { "request", "reply" } do
		if message[key].kind == "part" then
			check_node(spec, message[key], "part")
		end
	end
	if message.check and message.request.check then
		fault(at(message, "check"), "%s: check stands both beside and inside request", describe(message))
	end
end

local function known(list, word)
	for _, w in ipairs(list) do
		if w == word then
			return true
		end
	end
end

function extra.erratum(erratum, spec)
	integer_number(erratum)
	local who = "erratum " .. erratum.number
	if not erratum.policy then
		if erratum.choices or erratum.profiles then
			fault(erratum, "%s: choices and profiles need a policy", who)
		end
		return
	elseif not erratum.choices or not erratum.profiles or #erratum.choices < 2 then
		fault(erratum, "%s: a policy needs profiles and two choices at least", who)
	end
	for _, name in ipairs(erratum.choices) do
		if words.bad_name(name) then
			fault(at(erratum, "choices"), "%s: a choice %s", who, words.bad_name(name))
		end
	end
	local profiles = spec.protocol[1].profiles or {}
	for _, profile in ipairs(profiles) do
		local choice = erratum.profiles[profile]
		if not choice then
			fault(at(erratum, "profiles"), "%s: profile '%s' has no choice", who, profile)
		elseif not known(erratum.choices, choice) then
			fault(at(erratum, "profiles"), "%s: profile '%s': '%s' is no choice of policy '%s'%s", who, profile, choice,
			      erratum.policy, words.near(choice, erratum.choices))
		end
	end
	for _, profile in ipairs(sorted_keys(erratum.profiles)) do
		if not known(profiles, profile) then
			fault(at(erratum, "profiles"), "%s: unknown profile '%s'%s", who, profile, words.near(profile, profiles))
		end
	end
end

function M.spec(spec)
	for _, node in ipairs(spec.object) do
		node.field = node.name
		for _, cap in ipairs(node.items) do
			cap.field, cap.object = node.name .. "_" .. cap.name, node.name
		end
	end
	local fields = table.move(spec.object, 1, #spec.object, 1, {})
	for _, cap in ipairs(spec.capability) do
		cap.field = cap.field or cap.name
		fields[#fields + 1] = cap
	end
	check_node(spec, spec.protocol[1], "protocol")
	for _, kind in ipairs(grammar.order) do
		for _, node in ipairs(kind ~= "protocol" and spec[kind] or {}) do
			check_node(spec, node, kind)
		end
		unique(kind == "object" and fields or spec[kind] or {})
	end
	if #spec.limits > 1 then
		fault(spec.limits[2], "limits: given twice")
	end
end

return M
