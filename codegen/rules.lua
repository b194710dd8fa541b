-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The closed vocabulary of constraints.
--
-- One entry here is everything the project knows about one kind of constraint:
--   doc      what the table of spec/README.md says of it
--   where    "field": also a key of a field; "check": only inside check = { ... }; "model": made by
--            the model of other words (length, descriptors, exclusion), not by name
--   takes    what its argument is: "expression", "true", "members" (names of a flag set), "numbers", "fields"
--   phase    0 before the fields are read, 1 reserved bits, 2 ranges, 3 across fields, 4 behind them:
--            the order of the generated checks
--   broken   (x) -> expression that is true when the rule is broken; C and Python come from it
--   text     (x) -> the manual's sentence, without the field's name
--   bounds   (x) -> list of { set = { field = value }, ok = bool }: values next to the edge;
--            ok says whether *this* rule holds.  A value is a resolved expression.
--   mend     (x, d, value) makes it hold in a draft (see draft.lua); value(e) computes an expression
--   reserved (x) -> the bits each of which breaks it
--   fault    (x) -> nil, or why the rule makes no sense as written
-- x: field (model field), value (its expression), arg (resolved argument), and for members: mask, names;
-- for pairs: other (second field), other_value.  It becomes the rule of the model.

local E = require "expr"

local M = { list = {} }

local zero, one, hex = E.zero, E.one, E.hex

local function rule(r)
	M.list[#M.list + 1] = r.where ~= "model" and r or nil
	M[r.name] = r
end

local function at(x, ...)
	local out = {}
	for _, pair in ipairs { ... } do
		out[#out + 1] = { set = { [x.field.name] = pair[1] }, ok = pair[2] }
	end
	return out
end

-- The bits of a mask rule cleared, then some set.
local function bits(x, raise, ok)
	return { set = {}, clear = { [x.field.name] = x.mask }, raise = raise and { [x.field.name] = raise }, ok = ok }
end

-- Both fields of a rule across two.
local function pair(x, a, b, ok)
	return { set = { [x.field.name] = a, [x.other.name] = b }, ok = ok }
end

local function masked(x)
	return E.band(x.value, x.mask_expr)
end

local function low_bit(v)
	return v & -v
end

local function words(names, last)
	if #names == 1 then
		return names[1]
	end
	return table.concat(names, ", ", 1, #names - 1) .. " " .. last .. " " .. names[#names]
end

-- A constant limit outside the type's range can never bite; C compilers say so too.
local function outside(x, low, high)
	if x.arg.op == "num" then
		local v, top = E.unsigned(x.arg.v), E.unsigned(E.type_max(x.field.size))
		if v < low or v > top - high then
			return ("%s is no useful limit for a u%d"):format(E.text(x.arg), x.field.size * 8)
		end
	end
end

-- Reserved bits -----------------------------------------------------------------------------------

rule {
	name = "known_flags", doc = "has no bit outside its `flags`",
	where = "field", takes = "true", phase = 1,
	broken = function(x) return E.ne(E.band(x.value, hex(x.unknown_mask)), zero) end,
	text = function(x) return "has no bits outside " .. x.field.flags.name end,
	bounds = function(x) return at(x, { E.num(low_bit(x.unknown_mask)), false }) end,
	mend = function(x, d) d:set(x.field, d:get(x.field) & x.field.flags.mask) end,
	reserved = function(x) return ~x.field.flags.mask end,
	fault = function(x)
		if not x.field.flags then
			return "only a field with flags = ... has unknown bits"
		elseif x.unknown_mask == 0 then
			return "the flag set leaves no bit unknown"
		end
	end,
}

rule {
	name = "zero", doc = "is zero: reserved", where = "field", takes = "true", phase = 1,
	broken = function(x) return E.ne(x.value, zero) end,
	text = function() return "is zero" end,
	bounds = function(x) return at(x, { zero, true }, { one, false }) end,
	mend = function(x, d) d:set(x.field, 0) end,
	reserved = function() return -1 end,
}

rule {
	name = "only", doc = "has no other bit set", where = "field", takes = "members", phase = 1,
	broken = function(x) return E.ne(E.band(x.value, hex(~x.mask & E.type_max(x.field.size))), zero) end,
	text = function(x) return "has no bit set but " .. words(x.names, "and") end,
	bounds = function(x) return at(x, { E.num(low_bit(~x.mask & E.type_max(x.field.size))), false }) end,
	mend = function(x, d) d:set(x.field, d:get(x.field) & x.mask) end,
	reserved = function(x) return ~x.mask end,
}

-- Ranges ------------------------------------------------------------------------------------------

-- Rules that count the bits of a mask: one, none or one.
local function counted(name, how_many, broken)
	rule {
		name = name, doc = how_many .. "them", where = "field", takes = "members", phase = 2, broken = broken,
		text = function(x) return how_many .. words(x.names, "and") end,
		bounds = function(x)
			local low = low_bit(x.mask)
			local out = { bits(x, low, true), bits(x, low | low_bit(x.mask ~ low), false) }
			if name == "exactly_one" then
				table.insert(out, 1, bits(x, nil, false))
			end
			return out
		end,
		mend = function(x, d)
			local chosen = d:get(x.field) & d:pinned(x.field) & x.mask
			d:set(x.field, d:get(x.field) & ~x.mask | low_bit(chosen ~= 0 and chosen or x.mask))
		end,
		fault = function(x) return #x.names < 2 and "names fewer than two members" or nil end,
	}
end

counted("exactly_one", "has exactly one of ", function(x) return E.negate(E.one_bit(masked(x))) end)
counted("at_most_one", "has at most one of ", function(x)
	return E.andalso(E.ne(masked(x), zero), E.negate(E.one_bit(masked(x))))
end)

rule {
	name = "at_least_one", doc = "has one of them, or more",
	where = "field", takes = "members", phase = 2,
	broken = function(x) return E.eq(masked(x), zero) end,
	text = function(x) return "has at least one of " .. words(x.names, "and") end,
	bounds = function(x) return { bits(x, nil, false) } end,
	mend = function(x, d)
		local free = x.mask & ~d:pinned(x.field) -- one that is not pinned to be clear
		d:set(x.field, d:get(x.field) | low_bit(free ~= 0 and free or x.mask))
	end,
}

rule {
	name = "has_all", doc = "has all of them", where = "field", takes = "members", phase = 2,
	broken = function(x) return E.ne(masked(x), x.mask_expr) end,
	text = function(x) return "has " .. words(x.names, "and") .. " set" end,
	bounds = function(x) return { { set = {}, clear = { [x.field.name] = low_bit(x.mask) }, ok = false } } end,
	mend = function(x, d) d:set(x.field, d:get(x.field) | x.mask) end,
}

-- True where e is none of these numbers, in ascending order.
local function none_of(e, numbers)
	if numbers[1] == 0 and numbers[#numbers] == #numbers - 1 then
		return E.gt(e, E.num(#numbers - 1))
	end
	local parts = {}
	for i, v in ipairs(numbers) do
		parts[i] = E.ne(e, E.num(v))
	end
	return E.all(table.unpack(parts))
end

local function values_of(enum)
	local out = {}
	for i, v in ipairs(enum.values) do
		out[i] = v.value
	end
	return out
end

rule {
	name = "known_value", doc = "is a value of its `enum`",
	where = "field", takes = "true", phase = 2,
	broken = function(x) return none_of(x.value, values_of(x.field.enum)) end,
	text = function(x) return "is one of the values of " .. x.field.enum.name end,
	bounds = function(x)
		local last = x.field.enum.values[#x.field.enum.values].value
		return at(x, { E.num(last), true }, { E.num(last + 1), false })
	end,
	mend = function(x, d) d:set(x.field, x.field.enum.values[1].value) end,
	fault = function(x) return not x.field.enum and "only a field with enum = ... has known values" or nil end,
}

local function last_of_bits(x)
	local m = x.field.flags.members[x.names[1]]
	return m, m.enum and m.enum.values[#m.enum.values].value
end

rule {
	name = "known_bits", doc = "has a known value in these bits",
	where = "field", takes = "members", phase = 2,
	broken = function(x)
		local m, last = last_of_bits(x)
		return E.gt(m.shift == 0 and masked(x) or E.shr(masked(x), E.num(m.shift)), E.num(last))
	end,
	text = function(x) return "has a known value in its bits " .. x.names[1] end,
	bounds = function(x)
		local m, last = last_of_bits(x)
		return { bits(x, (last + 1) << m.shift, false) }
	end,
	mend = function(x, d) d:set(x.field, d:get(x.field) & ~x.mask) end,
	fault = function(x)
		if #x.names ~= 1 or not select(2, last_of_bits(x)) then
			return "names one group of bits with an enum"
		end
	end,
}

-- Rules that compare with an argument.  low, high: how far it must lie from the ends of the type.
local function compared(r)
	rule {
		name = r.name, doc = "is " .. r.says .. r.doc, where = "field", takes = "expression", phase = 2, broken = r.broken,
		text = function(x) return (r.name == "equals" and "equals " or "is " .. r.says) .. E.text(x.arg) end,
		bounds = function(x)
			return r.name == "min" and at(x, { E.sub(x.arg, one), false }, { x.arg, true }) or
			       at(x, { x.arg, true }, { E.add(x.arg, one), false })
		end,
		mend = function(x, d, value) d:set(x.field, value(x.arg)) end,
		fault = r.fault or function(x) return outside(x, r.low, r.high) end,
	}
end

compared { name = "equals", says = "", doc = "that", low = 0, high = 0, broken = function(x) return E.ne(x.value, x.arg) end }
rule {
	name = "one_of", doc = "is one of these", where = "field", takes = "numbers", phase = 2,
	broken = function(x) return none_of(x.value, x.numbers) end,
	text = function(x) return "is " .. words(x.numbers, "or") end,
	bounds = function(x)
		local out = at(x, { E.num(x.numbers[#x.numbers]), true }, { E.num(x.numbers[#x.numbers] + 1), false })
		for i = 2, #x.numbers do
			local between = x.numbers[i] - 1
			table.insert(out, between > x.numbers[i - 1] and at(x, { E.num(between), false })[1] or nil)
		end
		return out
	end,
	mend = function(x, d) d:set(x.field, x.numbers[1]) end,
	fault = function(x)
		for i, n in ipairs(x.numbers) do
			if i > 1 and n == x.numbers[i - 1] then
				return n .. " stands in it twice"
			end
		end
		x.arg = E.num(x.numbers[#x.numbers])
		return outside(x, 0, 0)
	end,
}

compared { name = "min", says = "at least ", doc = "that", low = 1, high = 0, broken = function(x)
	return x.arg.op == "num" and x.arg.v == 1 and E.eq(x.value, zero) or E.lt(x.value, x.arg)
end }
compared { name = "max", says = "at most ", doc = "that", low = 0, high = 1, broken = function(x) return E.gt(x.value, x.arg) end }
compared {
	-- The divisor is a power of two, so that a mask does: no division by a hostile or unset limit.
	name = "multiple_of", says = "a multiple of ", doc = "that power of two, or of such a limit",
	broken = function(x)
		local low = x.arg.op == "num" and hex(x.arg.v - 1) or E.sub(x.arg, one)
		return E.ne(E.band(x.value, low), zero)
	end,
	fault = function(x)
		local a = x.arg
		if a.op == "num" and (a.v < 1 or a.v & (a.v - 1) ~= 0) then
			return "the divisor must be a power of two"
		elseif a.op ~= "num" and not (a.op == "limit" and a.limit.power_of_two) then
			return "the divisor must be a constant or a limit declared power_of_two"
		end
	end,
}

rule {
	name = "power_of_two", doc = "is a power of two",
	where = "field", takes = "true", phase = 2,
	broken = function(x) return E.negate(E.one_bit(x.value)) end,
	text = function() return "is a power of two" end,
	bounds = function(x) return at(x, { zero, false }, { one, true }, { E.num(3), false }, { E.num(4096), true }) end,
	mend = function(x, d)
		local v = d:get(x.field)
		while v & (v - 1) ~= 0 do
			v = v & (v - 1)
		end
		d:set(x.field, v == 0 and 1 or v)
	end,
}

rule {
	name = "fd_index", doc = "numbers a descriptor of the message",
	where = "field", takes = "true", phase = 2,
	broken = function(x) return E.ge(x.value, E.nfds) end,
	text = function() return "numbers one of the file descriptors sent along" end,
	bounds = function(x) return at(x, { E.nfds, false }) end,
	mend = function(x, d)
		d:want_fds(math.max(1, d.scene.nfds))
		d:set(x.field, 0)
	end,
}

-- Across fields -----------------------------------------------------------------------------------

rule {
	-- A range may end with the last byte of the address space; an empty one cannot wrap.
	name = "no_wrap", doc = "the range from `a`, `b` long, does not pass the end of the type",
	where = "check", takes = "fields", phase = 3,
	broken = function(x)
		local top = E.num(E.type_max(x.field.size))
		return E.andalso(E.ne(x.other_value, zero), E.gt(E.sub(x.other_value, one), E.sub(top, x.value)))
	end,
	text = function(x) return ("plus %s is at most 2^%d"):format(x.other.name, x.field.size * 8) end,
	bounds = function(x)
		local top, longest = E.num(E.type_max(x.field.size)), E.num(E.type_max(x.other.size))
		local start = E.sub(top, longest)
		return { pair(x, top, one, true), pair(x, top, E.num(2), false), pair(x, E.add(start, one), longest, true),
			 pair(x, E.add(start, E.num(2)), longest, false) }
	end,
	mend = function(x, d)
		local pinned = d:pinned(x.field) ~= 0
		d:set(pinned and x.other or x.field, pinned and 1 or 0)
	end,
	fault = function(x)
		return x.field.size < x.other.size and "the second field must not be wider than the first" or nil
	end,
}

rule {
	name = "within", doc = "the range from `a`, `b` long, lies within that length",
	where = "check", takes = "fields", extra = "expression", phase = 3,
	broken = function(x) return E.orelse(E.gt(x.other_value, x.arg), E.gt(x.value, E.sub(x.arg, x.other_value))) end,
	text = function(x) return ("plus %s is at most %s"):format(x.other.name, E.text(x.arg)) end,
	bounds = function(x)
		return { pair(x, zero, x.arg, true), pair(x, one, x.arg, false),
			 pair(x, E.num(E.type_max(x.field.size)), one, false) }
	end,
	mend = function(x, d, value)
		d:set(x.field, 0)
		if math.ult(value(x.arg), d:get(x.other)) then
			d:set(x.other, value(x.arg))
		end
	end,
}

rule {
	name = "needs_fd", doc = "a descriptor came along",
	where = "check", takes = "nothing", phase = 3,
	broken = function() return E.eq(E.nfds, zero) end,
	text = function() return "a file descriptor is sent along" end,
	bounds = function() return { { set = {}, nfds = 0, ok = false } } end,
	mend = function(_, d) d:want_fds(1) end,
}

-- What was agreed ---------------------------------------------------------------------------------

rule {
	-- x.limit: what was agreed, x.least: what it must be; of a minor version x.version
	name = "agreed", where = "model", phase = 1,
	broken = function(x)
		local is = E.limit(x.limit)
		return x.version and E.lt(is, E.num(x.least)) or E.negate(is)
	end,
	text = function(x)
		return x.version and ("is of %s, later than the minor version agreed"):format(x.version) or
		       ("needs %s, which was not agreed"):format(x.limit.set_by.path)
	end,
	bounds = function(x)
		local name = x.limit.name
		return { { set = {}, limits = { [name] = x.version and x.least - 1 or false }, ok = false },
			 { set = {}, limits = { [name] = x.version and x.least or true }, ok = true } }
	end,
	mend = function(x, d)
		if not d.scene:agree(x.limit.name, x.version and x.least or true) and x.when then
			d.scene:force(d, x.when, false)
		end
	end,
}

-- Of whole payloads -------------------------------------------------------------------------------

rule {
	-- x.size: bytes of the fixed part; x.room: the most behind it (an expression), or nil: any; x.entries: what that is
	name = "length", where = "model", phase = 0,
	broken = function(x)
		if x.exact then
			return E.ne(E.len, E.start)
		end
		return x.room and E.orelse(E.lt(E.len, E.start), E.gt(E.sub(E.len, E.start), x.room)) or E.lt(E.len, E.start)
	end,
	text = function(x)
		if x.exact then
			return x.size == 0 and "is empty" or ("is exactly %d bytes"):format(x.size)
		elseif x.room and x.room.op == "limit" then
			return ("is %d bytes and at most %s more"):format(x.size, x.room.limit.name)
		end
		return ("is at least %d bytes"):format(x.size) ..
		       (x.room and (" and at most %d%s"):format(x.size + x.room.v, x.entries) or "")
	end,
	bounds = function(x)
		local out = {}
		for i, step in ipairs(x.room and { -1, 0, 1 } or {}) do
			out[i] = { len = E.add(E.num(x.size + step), x.room), ok = step < 1 }
		end
		return out
	end,
}

-- Descriptors.  x.arg: how many.  The tests try every number, so that there are no bounds.
local function of_fds(name, broken, text, mend)
	rule { name = name, where = "model", broken = broken, text = text, mend = mend }
end

local function descriptors(x)
	local n = E.text(x.arg)
	return n .. (n == "1" and " file descriptor" or " file descriptors")
end

local function want(x, d, value)
	d:want_fds(value(x.arg))
end

of_fds("max_fds", function(x) return E.is_zero(x.arg) and E.ne(E.nfds, zero) or E.gt(E.nfds, x.arg) end, function(x)
	return E.is_zero(x.arg) and "no file descriptors" or "at most " .. descriptors(x)
end, want)
of_fds("min_fds", function(x)
	return x.arg.op == "num" and x.arg.v == 1 and E.eq(E.nfds, zero) or E.lt(E.nfds, x.arg)
end, function(x) return "at least " .. descriptors(x) end, want)
of_fds("count_fds", function(x)
	return E.all(x.or_none and E.ne(E.nfds, zero), E.ne(E.nfds, x.arg))
end, function(x)
	return ("as many file descriptors as %s says%s"):format(E.text(x.arg), x.or_none and ", or none" or "")
end, function(x, d, value)
	if value(x.arg) > d.scene.most_fds then
		d:set(x.arg.field, 2)
	end
	d:want_fds(value(x.arg))
end)

rule {
	-- x.mask: one bit for each link that cannot stand in the same list; x.names: what they are called
	name = "excludes", where = "model",
	broken = function(x) return E.ne(E.band(E.name "seen", hex(x.mask)), zero) end,
	text = function(x) return "does not stand together with " .. words(x.names, "or") end,
}

rule {
	-- What a tail says of itself: x.wrong, x.words
	name = "tail", where = "model", phase = 4,
	broken = function(x) return x.wrong end,
	text = function(x) return x.words end,
}

-- The rule of the model from what is known of it.  Its place, value and name in a fault are those of
-- its field, if x does not say otherwise.
function M.make(def, x)
	x.name, x.phase = def.name, x.phase or def.phase
	x.broken, x.text, x.bounds = def.broken(x), def.text(x), def.bounds and def.bounds(x) or {}
	-- what a fault says; where a thing that must be agreed is there, its name says
	x.said = x.text .. (x.when and def ~= M.agreed and ", where " .. E.text(x.when) or "")
	x.mend, x.reserved = x.mend or def.mend, def.reserved and def.reserved(x)
	x.who = x.who or x.field and x.field.name or "fds"
	x.label = x.label or x.who
	x.at = x.at or E.num(x.field and x.field.offset or 0)
	x.value, x.errno = x.value or E.nfds, x.errno or "EINVAL"
	return x
end

return M
