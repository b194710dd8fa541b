-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/falls_below_inside.lua:9: u32 'b': the expression 5 + (a - 1) may fall below 0
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" },
		u32 "b" { doc = "d", max = 5 + (field.a - 1) },
	},
	reply = none,
}
