-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/stride_lacks.lua:11: array 'l': stride needs min_stride, whole, by and variants
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
struct "s" { since = "1", doc = "d", u32 "a" { doc = "d" }, u32 "b" { doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "size" { min = 8, doc = "d" },
		u32 "n" { doc = "d" },
		array "l" { count = field.n, stride = (field.size - 8) // field.n, by = "a", whole = field.size, max = 99, doc = "d",
			variant "x" { 0, of = "s", doc = "d" },
		},
	},
	reply = none,
}
