-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Turns a checked spec into the model that generators read: names resolved, offsets computed, rules
-- expanded to expressions and sentences.  Lists are ordered; nothing depends on table order.
-- codegen/README.md describes the model's shape.

local E = require "expr"
local cname = require "cname"
local load = require "load"
local rules = require "rules"
local text = require "text"

local fault, describe = load.fault, load.describe
local M = {}

local scalar = { u8 = true, u16 = true, u32 = true, u64 = true }

local function loc(node)
	return ("%s:%d"):format(node.file, node.line)
end

local function by_name(list)
	for _, v in ipairs(list) do
		list[v.name] = v
	end
	return list
end

local function sorted_pairs(t)
	local keys = {}
	for k in pairs(t) do
		keys[#keys + 1] = k
	end
	table.sort(keys)
	local i = 0
	return function()
		i = i + 1
		return keys[i], t[keys[i]]
	end
end

-- Flag sets, enumerations, limits, policies -------------------------------------------------------

local function build_enums(spec, model)
	for _, node in ipairs(spec.enum) do
		local enum = { name = node.name, doc = text.oneline(node.doc), since = node.since, loc = loc(node),
			       values = {} }
		for _, v in ipairs(node.items) do
			enum.values[#enum.values + 1] = {
				name = v.name, value = v.number, doc = v.doc, since = v.since or node.since,
				status = v.status or "stable", cname = cname.member(node.name, v.name), loc = loc(v),
			}
		end
		table.sort(enum.values, function(a, b) return a.value < b.value end)
		by_name(enum.values)
		model.enums[#model.enums + 1] = enum
	end
	by_name(model.enums)
end

local function build_flags(spec, model)
	for _, node in ipairs(spec.flags) do
		local set = { name = node.name, doc = text.oneline(node.doc), since = node.since, loc = loc(node),
			      width = node.width or 32, mask = 0, members = {} }
		for _, b in ipairs(node.items) do
			local last = b.last or b.number
			local mask = ((1 << (last - b.number + 1)) - 1) << b.number
			if b.enum and not model.enums[b.enum] then
				fault(b, "%s: there is no enum '%s'", describe(b), tostring(b.enum))
			end
			set.mask = set.mask | mask
			set.members[#set.members + 1] = {
				name = b.name, shift = b.number, mask = mask, wide = b.kind == "bits",
				enum = b.enum and model.enums[b.enum], doc = b.doc, since = b.since or node.since,
				cname = b.kind == "bits" and cname.member(node.name, "mask") or
					cname.member(node.name, b.name),
				loc = loc(b),
			}
			if b.kind == "bits" and node.name == "header" then
				set.members[#set.members].cname = cname.member(node.name, b.name .. "_mask")
			end
		end
		by_name(set.members)
		model.flags[#model.flags + 1] = set
	end
	by_name(model.flags)
end

local function build_limits(spec, model)
	for _, item in ipairs(spec.limits[1] and spec.limits[1].items or {}) do
		local limit = { name = item.name, type = item.kind, size = cname.size[item.kind], doc = item.doc,
				min = item.min or 0, max = item.max or 1, default = item.default,
				power_of_two = item.power_of_two, loc = loc(item) }
		if not item.doc or item.default == nil then
			fault(item, "limit '%s': needs doc and default", item.name)
		end
		if item.kind ~= "bool" and not (math.type(item.min) == "integer" and math.type(item.max) == "integer") then
			fault(item, "limit '%s': needs min and max", item.name)
		end
		if limit.power_of_two and limit.min < 1 then
			fault(item, "limit '%s': a power of two is not 0", item.name)
		end
		model.limits[#model.limits + 1] = limit
	end
	by_name(model.limits)
end

local function build_errata(spec, model)
	for _, node in ipairs(spec.erratum) do
		local erratum = { number = node.number, title = text.oneline(node.title),
				  text = text.oneline(node.text), peers = text.oneline(node.peers),
				  decision = text.oneline(node.decision), policy = node.policy,
				  choices = node.choices, profiles = node.profiles, loc = loc(node) }
		model.errata[#model.errata + 1] = erratum
	end
	table.sort(model.errata, function(a, b) return a.number < b.number end)
	for _, erratum in ipairs(model.errata) do
		if erratum.policy then
			model.policies[#model.policies + 1] = { name = erratum.policy, choices = erratum.choices,
				default = erratum.choices[1], profiles = erratum.profiles, erratum = erratum,
				doc = text.oneline(erratum.title), loc = erratum.loc }
		end
	end
	by_name(model.policies)
end

local function build_caps(spec, model)
	local objects = {}
	for _, object in ipairs(spec.object) do
		model.cap_objects[#model.cap_objects + 1] = { name = object.name, doc = text.oneline(object.doc),
			since = object.since, status = object.status or "stable", feature = object.feature or false,
			in_request = object.in_request or false, in_reply = object.in_reply or false,
			drop = object.drop or 0, loc = loc(object) }
		for _, cap in ipairs(object.items) do
			objects[cap] = object.name
		end
	end
	by_name(model.cap_objects)
	-- capabilities were noted in file order; those of an object before the object itself
	for i, cap in ipairs(spec.capability) do
		local object = objects[cap] or ""
		local field = object == "" and cap.name or object .. "_" .. cap.name
		model.caps[i] = { name = cap.name, object = object, field = field, type = cap.type,
			default = cap.default, min = cap.min, max = cap.max, signed = cap.signed or false, multiple_of = cap.multiple_of,
			role = cap.role, feature = cap.feature or false, in_request = cap.in_request,
			in_reply = cap.in_reply, drop = cap.drop, doc = text.oneline(cap.doc), since = cap.since,
			status = cap.status or "stable", bit = i - 1, loc = loc(cap) }
	end
end

-- Expressions -------------------------------------------------------------------------------------

local function find_field(fields, name, where, whose)
	local f = fields and fields[name]
	if not f then
		fault(where, "%s: there is no field '%s'%s", describe(where), tostring(name), whose)
	end
	return f
end

local function resolve_policy(model, data, where)
	local base = E.is_raw(data.base) and E.data(data.base)
	if base and base.op == "policy" then
		local policy = model.policies[base.name]
		if not policy then
			fault(where, "%s: there is no policy '%s'", describe(where), base.name)
		end
		for _, choice in ipairs(policy.choices) do
			if choice == data.name then
				return { op = "policy", policy = base.name, choice = data.name }
			end
		end
		fault(where, "%s: policy '%s' has no choice '%s'", describe(where), base.name, data.name)
	end
end

local resolve

local function resolve_member(model, data, scope, where)
	local policy = resolve_policy(model, data, where)
	if policy then
		return policy
	end
	local base = resolve(model, data.base, scope, where)
	local set = base.op == "field" and base.field.flags
	local member = set and set.members[data.name]
	if not member then
		fault(where, "%s: '%s' is no member of %s", describe(where), data.name,
		      set and "flags '" .. set.name .. "'" or "anything with flags")
	end
	local mask = E.num(member.mask, member.cname)
	if member.wide then
		local v = E.band(base, mask)
		v.flag = data.name
		return member.shift == 0 and v or E.shr(v, E.num(member.shift))
	end
	local e = E.ne(E.band(base, mask), E.num(0))
	e.flag = (base.of == "req" and "the request's " or "") .. data.name
	return e
end

local leaf = {
	field = function(model, d, scope, where)
		return { op = "field", of = "in", field = find_field(scope.fields, d.name, where, " here") }
	end,
	request = function(model, d, scope, where)
		if not scope.request then
			fault(where, "%s: request.%s: only a reply can look at its request", describe(where), d.name)
		end
		return { op = "field", of = "req",
			 field = find_field(scope.request, d.name, where, " in the request") }
	end,
	outer = function(model, d, scope, where)
		if not scope.outer then
			fault(where, "%s: outer.%s: only a struct with inside = ... has a message around it",
			      describe(where), d.name)
		end
		return { op = "field", of = "outer", field = find_field(scope.outer, d.name, where, " around it") }
	end,
	limit = function(model, d, scope, where)
		local limit = model.limits[d.name]
		if not limit or limit.type == "bool" then
			fault(where, "%s: there is no limit '%s'", describe(where), d.name)
		end
		return { op = "limit", limit = limit }
	end,
	sizeof = function(model, d, scope, where)
		local struct = model.structs[d.name]
		if not struct then
			fault(where, "%s: sizeof: there is no struct '%s' before this", describe(where),
			      tostring(d.name))
		end
		return E.num(struct.size)
	end,
	sizeof_payload = function(model, d, scope, where)
		return E.num(scope.size)
	end,
	member = resolve_member,
	policy = function(model, d, scope, where)
		fault(where, "%s: a policy is named with its choice: policy.%s.CHOICE", describe(where), d.name)
	end,
	no = function(model, d, scope, where)
		local a = resolve(model, d.a, scope, where)
		local e = E.negate(a)
		e.flag = a.flag
		return e
	end,
	is_whole = function(model, d, scope, where)
		return E.ge({ op = "len" }, resolve(model, d.a, scope, where))
	end,
	has_fd = function() return E.ne({ op = "nfds" }, E.num(0)) end,
	is = function(model, d, scope, where)
		return E.eq(resolve(model, d.a, scope, where), resolve(model, d.b, scope, where))
	end,
}

local function fold(op)
	return function(model, d, scope, where)
		local e
		for _, item in ipairs(d.list) do
			local r = resolve(model, item, scope, where)
			e = e and E[op](e, r) or r
		end
		return e
	end
end
leaf.all, leaf.any = fold "andalso", fold "orelse"

function resolve(model, v, scope, where)
	if math.type(v) == "integer" then
		return E.num(v)
	elseif not E.is_raw(v) then
		fault(where, "%s: expected a number or an expression", describe(where))
	end
	local d = E.data(v)
	if leaf[d.op] then
		return leaf[d.op](model, d, scope, where)
	end
	return E[d.op](resolve(model, d.a, scope, where), resolve(model, d.b, scope, where))
end

-- A number that is computed: refused if it may wrap.
local function number(model, v, scope, where, assume)
	local e = resolve(model, v, scope, where)
	local lo, why = E.range(e, assume)
	if not lo then
		fault(where, "%s: the expression %s %s", describe(where), E.text(e), why)
	end
	return e
end

local conditions = { eq = true, ne = true, lt = true, gt = true, ge = true, andalso = true, orelse = true,
		     ["not"] = true, policy = true, one_bit = true }

local function condition(model, v, scope, where)
	if v == nil then
		return nil
	end
	local e = resolve(model, v, scope, where)
	if not conditions[e.op] then
		fault(where, "%s: when needs a condition, not a number", describe(where))
	end
	return e
end

-- Fields ------------------------------------------------------------------------------------------

local function static(v, size)
	if math.type(v) == "integer" then
		return v
	elseif E.is_raw(v) and E.data(v).op == "sizeof_payload" then
		return size
	end
end

local function build_field(model, node, offset)
	local size = cname.size[node.kind]
	if offset % size ~= 0 then
		fault(node, "field '%s': offset %d is not a multiple of %d; state the padding", node.name, offset, size)
	end
	local f = { name = node.name, type = node.kind, size = size, offset = offset, doc = text.oneline(node.doc),
		    since = node.since, loc = loc(node), lo = 0.0, hi = E.unsigned(E.type_max(size)), node = node }
	if node.flags then
		f.flags = model.flags[node.flags] or
			  fault(node, "field '%s': there is no flag set '%s'", node.name, tostring(node.flags))
		if f.flags.width == 64 and size < 8 then
			fault(node, "field '%s': flag set '%s' needs a u64", node.name, node.flags)
		end
	end
	if node.enum then
		f.enum = model.enums[node.enum] or
			 fault(node, "field '%s': there is no enum '%s'", node.name, tostring(node.enum))
	end
	return f
end

-- Lower and upper bounds that hold without condition.
local function bound_field(model, f, payload_size)
	local node, under = f.node, f.node.under or {}
	local low = not under.min and static(node.min, payload_size)
	local high = not under.max and static(node.max, payload_size)
	local exact = static(node.equals, payload_size)
	if node.power_of_two and not under.power_of_two then
		f.lo = 1.0
	end
	f.lo = low and E.unsigned(low) or f.lo
	f.hi = high and E.unsigned(high) or f.hi
	if exact then
		f.lo, f.hi = E.unsigned(exact), E.unsigned(exact)
	end
	local max = E.is_raw(node.max) and E.data(node.max)
	if max and not under.max and max.op == "limit" and model.limits[max.name] then
		f.hi = math.min(f.hi, E.unsigned(model.limits[max.name].max))
	end
end

local function layout(model, node, items)
	local fields, offset = {}, 0
	for _, item in ipairs(items) do
		if scalar[item.kind] then
			local f = build_field(model, item, offset)
			fields[#fields + 1] = f
			fields[f.name] = f
			offset = offset + f.size
		end
	end
	for _, f in ipairs(fields) do
		bound_field(model, f, offset)
	end
	return fields, offset
end

-- i386 aligns u64 to 4: only a size that is a multiple of 8 is the same everywhere.
local function check_padding(node, fields, size)
	for _, f in ipairs(fields) do
		if f.size == 8 and size % 8 ~= 0 then
			fault(node, "%s: %d bytes with a u64 are no multiple of 8; state the padding",
			      describe(node), size)
		end
	end
end

-- Rules -------------------------------------------------------------------------------------------

local function member_mask(names, f, where)
	if not f.flags then
		fault(where, "%s: field '%s' has no flags", describe(where), f.name)
	end
	if type(names) ~= "table" or #names == 0 then
		fault(where, "%s: expected a list of members of '%s'", describe(where), f.flags.name)
	end
	local mask, parts = 0, {}
	for _, name in ipairs(names) do
		local m = f.flags.members[name]
		if not m then
			fault(where, "%s: '%s' is no member of flags '%s'", describe(where), tostring(name),
			      f.flags.name)
		end
		mask = mask | m.mask
		parts[#parts + 1] = m.cname
	end
	local c = #parts == 1 and parts[1] or ("0x%x"):format(mask)
	return mask, E.num(mask, c)
end

local function field_expr(f)
	return { op = "field", of = "in", field = f }
end

local function add_rule(model, out, def, x, where, when, under)
	local why = def.fault and def.fault(x)
	if why then
		local rule = where.kind == "rule" and "" or (" rule '%s':"):format(def.name)
		fault(where, "%s:%s %s", describe(where), rule, why)
	end
	out[#out + 1] = {
		name = def.name, phase = def.phase, field = x.field, other = x.other, broken = def.broken(x),
		text = def.text(x), bounds = def.bounds(x), when = when, under = under, loc = loc(where),
		order = #out, mask = x.mask, names = x.names, arg = x.arg,
	}
end

local function build_argument(model, def, x, arg, scope, where)
	if def.takes == "true" then
		if arg ~= true then
			fault(where, "%s: rule '%s' takes only true", describe(where), def.name)
		end
	elseif def.takes == "expr" then
		x.arg = number(model, arg, scope, where)
	elseif def.takes == "members" then
		x.names = arg
		x.mask, x.mask_expr = member_mask(arg, x.field, where)
	end
	if x.field and x.field.flags then
		x.unknown_mask = ~x.field.flags.mask & E.type_max(x.field.size)
	end
end

local function under_policy(model, v, where)
	if v == nil then
		return nil
	end
	local d = E.is_raw(v) and E.data(v)
	local policy = d and d.op == "member" and resolve_policy(model, d, where)
	return policy or fault(where, "%s: under needs policy.NAME.CHOICE", describe(where))
end

local function field_rules(model, out, f, scope)
	local node = f.node
	local under = node.under or {}
	if type(under) ~= "table" or E.is_raw(under) then
		fault(node, "field '%s': under = { RULE = policy.NAME.CHOICE }", node.name)
	end
	for name in sorted_pairs(under) do
		if node[name] == nil or not rules[name] then
			fault(node, "field '%s': under names '%s', which is no rule of this field", node.name,
			      tostring(name))
		end
	end
	for _, def in ipairs(rules.list) do
		local arg = def.where == "field" and node[def.name]
		if arg ~= nil and arg ~= false then
			-- members come as a list, or as a list of lists for several rules
			local list = { arg }
			if def.takes == "members" and type(arg) == "table" and type(arg[1]) == "table" then
				list = arg
			end
			for _, one in ipairs(list) do
				local x = { field = f, value = field_expr(f) }
				build_argument(model, def, x, one, scope, node)
				add_rule(model, out, def, x, node, nil, under_policy(model, under[def.name], node))
			end
		end
	end
end

local function check_rule(model, out, rule, scope)
	local def, args = rules[rule.name], rule.args
	local x = {}
	if def.takes ~= "nothing" then
		x.field = find_field(scope.fields, args[1], rule, " here")
		x.value = field_expr(x.field)
	end
	if def.takes == "fields" then
		x.other = find_field(scope.fields, args[2], rule, " here")
		x.other_value = field_expr(x.other)
		if def.extra then
			x.arg = number(model, args[3], scope, rule)
		end
	elseif def.takes == "true" then
		build_argument(model, def, x, true, scope, rule)
	else
		build_argument(model, def, x, args[2], scope, rule)
	end
	add_rule(model, out, def, x, rule, condition(model, rule.when, scope, rule),
		 under_policy(model, rule.under, rule))
	out[#out].phase = 3
end

local function build_rules(model, node, fields, checks, scope)
	local out = {}
	for _, f in ipairs(fields) do
		field_rules(model, out, f, scope)
	end
	for _, rule in ipairs(checks or {}) do
		if load.kind_of(rule) ~= "rule" then
			fault(node, "%s: check holds rules only", describe(node))
		end
		check_rule(model, out, rule, scope)
	end
	table.sort(out, function(a, b)
		if a.phase ~= b.phase then
			return a.phase < b.phase
		end
		return a.order < b.order
	end)
	return out
end

-- Variable parts ----------------------------------------------------------------------------------

-- How long a variable part can get: bytes of its own, or the limit on data.
local function room(model, item, part)
	local max = item.max
	if math.type(max) == "integer" then
		part.room = math.max(part.room, max)
	elseif E.is_raw(max) and E.data(max).op == "limit" and E.data(max).name == "max_data_xfer_size" then
		part.bulk = true
	else
		fault(item, "%s: max must be a number of bytes or limit.max_data_xfer_size", describe(item))
	end
end

local function struct_named(model, name, where, inside)
	local struct = model.structs[name]
	if not struct then
		fault(where, "%s: there is no struct '%s' before this", describe(where), tostring(name))
	end
	if struct.inside and struct.inside ~= inside then
		fault(where, "%s: struct '%s' belongs inside %s", describe(where), name, struct.inside)
	end
	return struct
end

local tail = {}

function tail.bytes(model, item, scope)
	return { size = number(model, item.size, scope, item), when = condition(model, item.when, scope, item) }
end

function tail.json(model, item)
	return { optional = item.optional or false, schema = item.schema }
end

local function array_element(model, item, t, inside)
	if scalar[item.of] then
		t.element, t.element_size = { scalar = item.of }, cname.size[item.of]
	else
		t.element = struct_named(model, item.of, item, inside)
		t.element_size = t.element.size
		if t.element.tail then
			fault(item, "%s: entries of struct '%s' have no fixed size", describe(item), item.of)
		end
	end
end

local function array_variants(model, item, t, inside)
	t.variants = {}
	for _, v in ipairs(item.items) do
		local struct = struct_named(model, v.of, v, inside)
		local by = find_field(struct.fields, item.by, v, " in struct '" .. v.of .. "'")
		if t.by and (t.by.offset ~= by.offset or t.by.type ~= by.type) then
			fault(v, "%s: '%s' lies elsewhere than in the other variants", describe(v), item.by)
		end
		t.by = by
		if struct.size > (v.min_stride or item.min_stride) then
			fault(v, "%s: struct '%s' is longer than its min_stride", describe(v), v.of)
		end
		t.variants[#t.variants + 1] = { name = v.name, value = v.number, struct = struct, doc = v.doc,
						min_stride = v.min_stride or item.min_stride, loc = loc(v) }
	end
end

function tail.array(model, item, scope, inside)
	local t = { more = item.more or false }
	t.count = number(model, item.count, scope, item)
	if item.stride then
		if math.type(item.min_stride) ~= "integer" or #item.items == 0 then
			fault(item, "%s: stride needs min_stride and variants", describe(item))
		end
		-- the stride is computed only where there are entries
		local assume = t.count.op == "field" and { [t.count.field.name] = 1.0 } or nil
		t.stride, t.min_stride = number(model, item.stride, scope, item, assume), item.min_stride
		if t.stride.op ~= "div" then
			fault(item, "%s: stride must be a division of the bytes by the count", describe(item))
		end
		array_variants(model, item, t, inside)
	else
		array_element(model, item, t, inside)
	end
	t.whole = item.whole and number(model, item.whole, scope, item)
	if item.disjoint then
		t.disjoint = { find_field(t.element.fields, item.disjoint[1], item, " in the entries"),
			       find_field(t.element.fields, item.disjoint[2], item, " in the entries") }
	end
	return t
end

function tail.chain(model, item, scope, inside)
	local head = struct_named(model, item.head, item)
	local t = { at = number(model, item.at, scope, item), when = condition(model, item.when, scope, item),
		    whole = item.whole and number(model, item.whole, scope, item), head = head, links = {} }
	for _, key in ipairs { "key", "version", "next" } do
		t[key] = find_field(head.fields, item[key], item, " in struct '" .. head.name .. "'")
	end
	local enum = t.key.enum
	for _, l in ipairs(item.items) do
		local struct = struct_named(model, l.of, l, inside)
		if struct.tail and not struct.tail.more then
			fault(l, "%s: the array of struct '%s' must say more = true inside a chain", describe(l), l.of)
		end
		local value = enum and enum.values[l.name]
		if enum and (not value or value.value ~= l.number) then
			fault(l, "%s: is not value %d of enum '%s'", describe(l), l.number, enum.name)
		end
		t.links[#t.links + 1] = { name = l.name, value = l.number, cname = value and value.cname,
					  struct = struct, version = l.version, excludes = l.excludes or {}, doc = l.doc, loc = loc(l) }
	end
	by_name(t.links)
	for _, l in ipairs(t.links) do
		for _, other in ipairs(l.excludes) do
			if not t.links[other] then
				fault(item, "%s: link '%s' excludes '%s', which is no link", describe(item), l.name,
				      tostring(other))
			end
		end
	end
	return t
end

function tail.union(model, item, scope, inside)
	local t = { by = number(model, item.by, scope, item), cases = {} }
	local d = E.is_raw(item.by) and E.data(item.by)
	local enum
	if t.by.op == "field" then
		enum = t.by.field.enum
	elseif d and d.op == "member" then
		local base = resolve(model, d.base, scope, item)
		enum = base.field.flags.members[d.name].enum
	end
	if not enum then
		fault(item, "%s: by must name a field or bits with an enum", describe(item))
	end
	t.enum = enum
	for _, c in ipairs(item.items) do
		local value = enum.values[c.name]
		if not value then
			fault(c, "%s: is no value of enum '%s'", describe(c), enum.name)
		end
		t.cases[#t.cases + 1] = { name = c.name, value = value.value, cname = value.cname,
			when = condition(model, c.when, scope, c), optional = c.optional or false, doc = c.doc,
			struct = struct_named(model, c.of, c, inside), loc = loc(c) }
	end
	return t
end

-- Parts -------------------------------------------------------------------------------------------

local function build_alt(model, node, scope)
	local fields, size = layout(model, node, node.items)
	if size ~= node.size then
		fault(node, "%s: its fields take %d bytes, size says %s", describe(node), size, tostring(node.size))
	end
	local inner = { fields = fields, request = scope.request, outer = scope.outer, size = size }
	return { name = node.name, doc = text.oneline(node.doc), size = size, fields = fields, loc = loc(node),
		 when = condition(model, node.when, scope, node), under = under_policy(model, node.under, node),
		 rules = build_rules(model, node, fields, nil, inner) }
end

-- node: a part or a struct; scope.request and scope.outer are given by the caller
local function build_part(model, node, scope, inside, checks)
	local part = { loc = loc(node), alts = {}, room = 0, bulk = false, name = node.name }
	part.fields, part.size = layout(model, node, node.items)
	scope.fields, scope.size = part.fields, part.size
	local last
	for _, item in ipairs(node.items) do
		if scalar[item.kind] then
			if last then
				fault(item, "field '%s': stands after '%s', which has no fixed size", item.name,
				      last.name)
			end
		elseif item.kind ~= "alt" then
			if last then
				fault(item, "%s: '%s' already takes the rest", describe(item), last.name)
			end
			last = item
		end
	end
	if last then
		local t = tail[last.kind](model, last, scope, inside)
		t.kind, t.name, t.doc, t.loc = last.kind, last.name, text.oneline(last.doc), loc(last)
		part.tail = t
		if node.kind == "part" then
			room(model, last, part)
			t.max = math.type(last.max) == "integer" and last.max or nil
		end
	end
	if math.type(node.longer) == "integer" then
		part.longer, part.room = node.longer, math.max(part.room, node.longer - part.size)
	elseif node.longer then
		part.longer = number(model, node.longer, scope, node)
		room(model, { kind = "part", name = node.name, max = node.longer, file = node.file, line = node.line },
		     part)
	end
	part.rules = build_rules(model, node, part.fields, checks or node.check, scope)
	local sizes = { [part.size] = true }
	for _, item in ipairs(node.items) do
		if item.kind == "alt" then
			if sizes[item.size] then
				fault(item, "%s: another layout has %d bytes too", describe(item), item.size)
			end
			sizes[item.size] = true
			part.room = math.max(part.room, item.size - part.size)
			part.alts[#part.alts + 1] = build_alt(model, item, scope)
		end
	end
	check_padding(node, part.fields, part.size)
	return part
end

local function parts_of(spec)
	local out = {}
	for _, m in ipairs(spec.message) do
		out[m.name .. ".request"], out[m.name .. ".reply"] = m.request, m.reply
	end
	return out
end

local function build_structs(spec, model)
	local parts = parts_of(spec)
	for _, node in ipairs(spec.struct) do
		local scope = {}
		if node.inside then
			local around = parts[node.inside]
			if not around or around.kind ~= "part" then
				fault(node, "%s: inside: there is no '%s'", describe(node), tostring(node.inside))
			end
			scope.outer = layout(model, around, around.items)
		end
		local struct = build_part(model, node, scope, node.inside)
		struct.name, struct.doc, struct.since = node.name, text.oneline(node.doc), node.since
		struct.status, struct.inside, struct.cname = node.status or "stable", node.inside,
							     cname.struct(node.name)
		model.structs[#model.structs + 1] = struct
		model.structs[node.name] = struct
	end
end

-- Messages ----------------------------------------------------------------------------------------

local fd_keys = { min = true, max = true, count = true, or_none = true, when = true, extra = true, doc = true }

local function build_fds(model, node, which, scope)
	local raw = node.fds and node.fds[which]
	if not raw then
		return nil
	end
	for key in sorted_pairs(raw) do
		if not fd_keys[key] then
			fault(node, "%s, fds.%s: unknown key '%s'", describe(node), which, tostring(key))
		end
	end
	if not raw.doc then
		fault(node, "%s, fds.%s: lacks 'doc'", describe(node), which)
	end
	if raw.extra and raw.extra ~= "close" then
		fault(node, "%s, fds.%s: extra can only be close", describe(node), which)
	end
	if not raw.max and not raw.count and raw.extra ~= "close" then
		fault(node, "%s, fds.%s: needs max, count or extra = \"close\"", describe(node), which)
	end
	local fds = { doc = raw.doc, or_none = raw.or_none or false, extra = raw.extra,
		      when = condition(model, raw.when, scope, node), loc = loc(node) }
	for _, key in ipairs { "min", "max", "count" } do
		fds[key] = raw[key] and number(model, raw[key], scope, node)
	end
	fds.none = fds.max and fds.max.op == "num" and fds.max.v == 0 or false
	return fds
end

local function build_effect(model, node, request)
	local raw = node.effect
	if not raw then
		return nil
	end
	local f = find_field(request.fields, raw.field, node, " in the request")
	local set = member_mask(raw.set, f, node)
	local clear = raw.clear and member_mask(raw.clear, f, node) or 0
	return { field = f, mask = set | clear, value = set }
end

local function empty_part(name)
	return { name = name, fields = {}, size = 0, rules = {}, alts = {}, room = 0, bulk = false, empty = true }
end

local function build_states(model, node)
	local out, enum = {}, model.enums.device_state
	for _, name in ipairs(node.states or {}) do
		if not (enum and enum.values[name]) then
			fault(node, "%s: states: '%s' is no value of enum 'device_state'", describe(node),
			      tostring(name))
		end
		out[#out + 1] = enum.values[name]
	end
	return out
end

local function name_part(message, key)
	local part = message[key]
	part.owner = message.name .. "_" .. key
	part.cname = part.size > 0 and cname.struct(part.owner) or nil
	part.message, part.key = message, key
	part.loc = part.loc or message.loc
end

local function build_message(model, node)
	local m = { name = node.name, id = node.id, doc = text.oneline(node.doc), since = node.since,
		    status = node.status or "stable", from = node.from, class = node.class,
		    fence = node.fence or false, quiesce = node.quiesce or false, post = node.post or false,
		    errors = {}, loc = loc(node), cname = cname.command(node.name) }
	local scope = {}
	m.request = empty_part("request")
	if node.request.kind == "part" then
		m.request = build_part(model, node.request, scope, node.name .. ".request", node.check)
	end
	m.request.fds = build_fds(model, node, "request", scope)
	local reply_scope = { request = m.request.fields }
	m.reply = empty_part("reply")
	if node.reply.kind == "part" then
		m.reply = build_part(model, node.reply, reply_scope, node.name .. ".reply")
	end
	m.reply.fds = build_fds(model, node, "reply", reply_scope)
	for name, doc in sorted_pairs(node.errors) do
		m.errors[#m.errors + 1] = { name = name, doc = doc }
	end
	for key in sorted_pairs(node.fds or {}) do
		if key ~= "request" and key ~= "reply" then
			fault(node, "%s: fds: unknown key '%s'", describe(node), tostring(key))
		end
	end
	m.effect = build_effect(model, node, m.request)
	m.states = build_states(model, node)
	name_part(m, "request")
	name_part(m, "reply")
	return m
end

local function build_header(spec, model)
	local node = spec.protocol[1].items[1]
	node.name = "header"
	local part = build_part(model, node, {}, nil)
	part.cname, part.doc = cname.struct("header"), text.oneline(node.doc or "")
	model.header = part
end

local function command_enum(spec, model)
	local enum = { name = "command", doc = "numbers of the messages", values = {}, since = "0.0",
		       loc = spec.files[1] .. ":1" }
	for _, m in ipairs(spec.message) do
		enum.values[#enum.values + 1] = { name = m.name, value = m.id, doc = text.oneline(m.doc),
			since = m.since, status = m.status or "stable", cname = cname.command(m.name), loc = loc(m) }
	end
	table.sort(enum.values, function(a, b) return a.value < b.value end)
	by_name(enum.values)
	model.enums[#model.enums + 1] = enum
	model.enums.command = enum
end

function M.build(spec)
	local protocol = spec.protocol[1]
	local model = { doc = text.oneline(protocol.doc), revisions = {}, files = spec.files, flags = {}, enums = {},
			limits = {}, errata = {}, policies = {}, caps = {}, cap_objects = {}, structs = {},
			messages = {} }
	for name, doc in sorted_pairs(protocol.revisions) do
		model.revisions[#model.revisions + 1] = { name = name, doc = doc }
	end
	build_enums(spec, model)
	command_enum(spec, model)
	build_flags(spec, model)
	build_limits(spec, model)
	build_errata(spec, model)
	build_caps(spec, model)
	build_header(spec, model)
	build_structs(spec, model)
	for _, node in ipairs(spec.message) do
		local ok = build_message(model, node)
		model.messages[#model.messages + 1] = ok
	end
	table.sort(model.messages, function(a, b) return a.id < b.id end)
	by_name(model.messages)
	return model
end

return M
