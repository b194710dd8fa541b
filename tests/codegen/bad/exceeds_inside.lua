-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/exceeds_inside.lua:9: u64 'b': the expression (a + 1) × 2 may exceed 64 bits
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u64 "a" { doc = "d" },
		u64 "b" { doc = "d", max = (field.a + 1) * 2 },
	},
	reply = none,
}
