-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The closed vocabulary of constraints.
--
-- One entry here is everything the project knows about one kind of constraint:
--   where    "field": also a key of a field; "check": only inside check = { ... }
--   takes    what its argument is: "expr", "true", "members" (names of a flag set), "fields"
--   phase    1 reserved bits, 2 ranges, 3 across fields: the order of the generated checks
--   broken   (x) -> expression that is true when the rule is broken; C and Python come from it
--   text     (x) -> the manual's sentence, without the field's name
--   bounds   (x) -> list of { set = { field = value }, ok = bool }: values next to the edge;
--            ok says whether *this* rule holds.  A value is a resolved expression.
--   fault    (x) -> nil, or why the rule makes no sense as written
-- x: field (model field), value (its expression), arg (resolved argument), and for members:
-- mask, names; for pairs: other (second field), other_value.

local E = require "expr"

local M = { list = {} }

local zero, one = E.num(0), E.num(1)

local function rule(r)
	M.list[#M.list + 1] = r
	M[r.name] = r
end

local function at(x, ...)
	local out = {}
	for _, pair in ipairs { ... } do
		out[#out + 1] = { set = { [x.field.name] = pair[1] }, ok = pair[2] }
	end
	return out
end

local function hex(v)
	return { op = "num", v = v, hex = true }
end

local function masked(x)
	return E.band(x.value, x.mask_expr)
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

rule {
	name = "known_flags", where = "field", takes = "true", phase = 1,
	broken = function(x)
		return E.ne(E.band(x.value, hex(x.unknown_mask)), zero)
	end,
	text = function(x) return "has no bits outside " .. x.field.flags.name end,
	bounds = function(x)
		return at(x, { E.num(x.unknown_mask & -x.unknown_mask), false })
	end,
	fault = function(x)
		if not x.field.flags then
			return "only a field with flags = ... has unknown bits"
		elseif x.unknown_mask == 0 then
			return "the flag set leaves no bit unknown"
		end
	end,
}

rule {
	name = "zero", where = "field", takes = "true", phase = 1,
	broken = function(x) return E.ne(x.value, zero) end,
	text = function() return "is zero" end,
	bounds = function(x) return at(x, { zero, true }, { one, false }) end,
}

rule {
	name = "only", where = "field", takes = "members", phase = 1,
	broken = function(x)
		return E.ne(E.band(x.value, hex(~x.mask & E.type_max(x.field.size))), zero)
	end,
	text = function(x) return "has no bit set but " .. words(x.names, "and") end,
	bounds = function(x)
		local other = ~x.mask & E.type_max(x.field.size)
		return at(x, { E.num(other & -other), false })
	end,
}

rule {
	name = "exactly_one", where = "field", takes = "members", phase = 2,
	broken = function(x)
		return E.negate(E.one_bit(masked(x)))
	end,
	text = function(x) return "has exactly one of " .. words(x.names, "and") end,
	bounds = function(x)
		local low = x.mask & -x.mask
		local two = low | ((x.mask ~ low) & -(x.mask ~ low))
		return { { set = {}, clear = { [x.field.name] = x.mask }, ok = false },
			 { set = {}, clear = { [x.field.name] = x.mask }, raise = { [x.field.name] = low }, ok = true },
			 { set = {}, clear = { [x.field.name] = x.mask }, raise = { [x.field.name] = two }, ok = false } }
	end,
	fault = function(x) return #x.names < 2 and "names fewer than two members" or nil end,
}

rule {
	name = "at_most_one", where = "field", takes = "members", phase = 2,
	broken = function(x)
		return E.andalso(E.ne(masked(x), zero), E.negate(E.one_bit(masked(x))))
	end,
	text = function(x) return "has at most one of " .. words(x.names, "and") end,
	bounds = function(x)
		local low = x.mask & -x.mask
		local two = low | ((x.mask ~ low) & -(x.mask ~ low))
		return { { set = {}, clear = { [x.field.name] = x.mask }, raise = { [x.field.name] = low }, ok = true },
			 { set = {}, clear = { [x.field.name] = x.mask }, raise = { [x.field.name] = two }, ok = false } }
	end,
	fault = function(x) return #x.names < 2 and "names fewer than two members" or nil end,
}

rule {
	name = "at_least_one", where = "field", takes = "members", phase = 2,
	broken = function(x) return E.eq(masked(x), zero) end,
	text = function(x) return "has at least one of " .. words(x.names, "and") end,
	bounds = function(x)
		return { { set = {}, clear = { [x.field.name] = x.mask }, ok = false } }
	end,
}

rule {
	name = "has_all", where = "field", takes = "members", phase = 2,
	broken = function(x) return E.ne(masked(x), x.mask_expr) end,
	text = function(x) return "has " .. words(x.names, "and") .. " set" end,
	bounds = function(x)
		return { { set = {}, clear = { [x.field.name] = x.mask & -x.mask }, ok = false } }
	end,
}

rule {
	name = "known_value", where = "field", takes = "true", phase = 2,
	broken = function(x)
		local values, contiguous = x.field.enum.values, true
		for i, v in ipairs(values) do
			contiguous = contiguous and v.value == i - 1
		end
		if contiguous then
			return E.gt(x.value, E.num(#values - 1))
		end
		local e
		for _, v in ipairs(values) do
			local differs = E.ne(x.value, E.num(v.value))
			e = e and E.andalso(e, differs) or differs
		end
		return e
	end,
	text = function(x) return "is one of the values of " .. x.field.enum.name end,
	bounds = function(x)
		local values = x.field.enum.values
		local last = values[#values].value
		return at(x, { E.num(last), true }, { E.num(last + 1), false })
	end,
	fault = function(x)
		return not x.field.enum and "only a field with enum = ... has known values" or nil
	end,
}

rule {
	name = "known_bits", where = "field", takes = "members", phase = 2,
	broken = function(x)
		local m = x.field.flags.members[x.names[1]]
		local v = masked(x)
		v = m.shift == 0 and v or E.shr(v, E.num(m.shift))
		return E.gt(v, E.num(m.enum.values[#m.enum.values].value))
	end,
	text = function(x) return "has a known value in its bits " .. x.names[1] end,
	bounds = function(x)
		local m = x.field.flags.members[x.names[1]]
		local next_value = m.enum.values[#m.enum.values].value + 1
		return { { set = {}, clear = { [x.field.name] = x.mask },
			   raise = { [x.field.name] = next_value << m.shift }, ok = false } }
	end,
	fault = function(x)
		local m = x.field.flags.members[x.names[1]]
		if #x.names ~= 1 or not m.enum then
			return "names one group of bits with an enum"
		end
	end,
}

rule {
	name = "equals", where = "field", takes = "expr", phase = 2,
	broken = function(x) return E.ne(x.value, x.arg) end,
	text = function(x) return "equals " .. E.text(x.arg) end,
	bounds = function(x) return at(x, { x.arg, true }, { E.add(x.arg, one), false }) end,
	fault = function(x) return outside(x, 0, 0) end,
}

rule {
	name = "min", where = "field", takes = "expr", phase = 2,
	broken = function(x)
		if x.arg.op == "num" and x.arg.v == 1 then
			return E.eq(x.value, zero)
		end
		return E.lt(x.value, x.arg)
	end,
	text = function(x) return "is at least " .. E.text(x.arg) end,
	bounds = function(x) return at(x, { E.sub(x.arg, one), false }, { x.arg, true }) end,
	fault = function(x) return outside(x, 1, 0) end,
}

rule {
	name = "max", where = "field", takes = "expr", phase = 2,
	broken = function(x) return E.gt(x.value, x.arg) end,
	text = function(x) return "is at most " .. E.text(x.arg) end,
	bounds = function(x) return at(x, { x.arg, true }, { E.add(x.arg, one), false }) end,
	fault = function(x) return outside(x, 0, 1) end,
}

rule {
	-- The divisor is a power of two, so that a mask does: no division by a hostile or unset limit.
	name = "multiple_of", where = "field", takes = "expr", phase = 2,
	broken = function(x)
		local low = x.arg.op == "num" and hex(x.arg.v - 1) or E.sub(x.arg, one)
		return E.ne(E.band(x.value, low), zero)
	end,
	text = function(x) return "is a multiple of " .. E.text(x.arg) end,
	bounds = function(x) return at(x, { x.arg, true }, { E.add(x.arg, one), false }) end,
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
	name = "power_of_two", where = "field", takes = "true", phase = 2,
	broken = function(x)
		return E.negate(E.one_bit(x.value))
	end,
	text = function() return "is a power of two" end,
	bounds = function(x)
		return at(x, { zero, false }, { one, true }, { E.num(3), false }, { E.num(4096), true })
	end,
}

rule {
	name = "fd_index", where = "field", takes = "true", phase = 2,
	broken = function(x) return E.ge(x.value, { op = "nfds" }) end,
	text = function() return "numbers one of the file descriptors sent along" end,
	bounds = function(x) return at(x, { { op = "nfds" }, false }) end,
}

rule {
	-- A range may end with the last byte of the address space; an empty one cannot wrap.
	name = "no_wrap", where = "check", takes = "fields", phase = 3,
	broken = function(x)
		local top = E.num(E.type_max(x.field.size))
		return E.andalso(E.ne(x.other_value, zero),
				 E.gt(E.sub(x.other_value, one), E.sub(top, x.value)))
	end,
	text = function(x)
		return ("with %s, does not pass the end of %d bits"):format(x.other.name,
										     x.field.size * 8)
	end,
	bounds = function(x)
		local top = E.num(E.type_max(x.field.size))
		local longest = E.num(E.type_max(x.other.size))
		local start = E.sub(top, longest)
		return { { set = { [x.field.name] = top, [x.other.name] = one }, ok = true },
			 { set = { [x.field.name] = top, [x.other.name] = E.num(2) }, ok = false },
			 { set = { [x.field.name] = E.add(start, one), [x.other.name] = longest }, ok = true },
			 { set = { [x.field.name] = E.add(start, E.num(2)), [x.other.name] = longest }, ok = false } }
	end,
	fault = function(x)
		return x.field.size < x.other.size and
		       "the second field must not be wider than the first" or nil
	end,
}

rule {
	name = "within", where = "check", takes = "fields", extra = "expr", phase = 3,
	broken = function(x)
		return E.orelse(E.gt(x.other_value, x.arg), E.gt(x.value, E.sub(x.arg, x.other_value)))
	end,
	text = function(x)
		return ("with %s, lies within %s"):format(x.other.name, E.text(x.arg))
	end,
	bounds = function(x)
		return { { set = { [x.field.name] = zero, [x.other.name] = x.arg }, ok = true },
			 { set = { [x.field.name] = one, [x.other.name] = x.arg }, ok = false },
			 { set = { [x.field.name] = E.num(E.type_max(x.field.size)), [x.other.name] = one },
			   ok = false } }
	end,
}

rule {
	name = "needs_fd", where = "check", takes = "nothing", phase = 3,
	broken = function() return E.eq({ op = "nfds" }, zero) end,
	text = function() return "a file descriptor is sent along" end,
	bounds = function() return { { set = {}, nfds = 0, ok = false } } end,
}

return M
