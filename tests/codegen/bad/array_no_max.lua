-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/array_no_max.lua:9: array 'l': max must be a number of bytes, unless count has a max
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "n" { doc = "d" },
		array "l" { of = "u64", count = field.n, doc = "d" },
	},
	reply = none,
}
