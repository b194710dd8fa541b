-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/union_by_number.lua:10: union 'l': by must name a field or bits with an enum
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
struct "s" { since = "1", doc = "d", u32 "a" { doc = "d" }, u32 "b" { doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" },
		union "l" { by = field.a, max = 9, doc = "d", case "x" { of = "s", doc = "d" } },
	},
	reply = none,
}
