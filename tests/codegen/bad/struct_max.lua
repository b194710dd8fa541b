-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/struct_max.lua:5: array 'b': max means nothing in a struct
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
struct "t" { since = "1", doc = "d", u32 "a" { doc = "d" }, array "b" { of = "u32", count = field.a, max = 9, doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "n" { doc = "d" },
		array "l" { of = "t", count = 1, max = 9, doc = "d" },
	},
	reply = none,
}
