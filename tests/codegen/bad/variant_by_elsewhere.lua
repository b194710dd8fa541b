-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/variant_by_elsewhere.lua:13: variant 'y': 'a' lies elsewhere than in the other variants
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
struct "s" { since = "1", doc = "d", u32 "a" { doc = "d" }, u32 "b" { doc = "d" } }
struct "t" { since = "1", doc = "d", u32 "c" { doc = "d" }, u32 "a" { doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "size" { min = 8, doc = "d" },
		u32 "n" { doc = "d" },
		array "l" { count = field.n, stride = (field.size - 8) // field.n, min_stride = 8, by = "a", whole = field.size, max = 99, doc = "d",
			variant "x" { 0, of = "s", doc = "d" }, variant "y" { 1, of = "t", doc = "d" },
		},
	},
	reply = none,
}
