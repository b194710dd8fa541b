-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/array_max_no_multiple.lua:9: array 'l': max is 100 bytes, no multiple of the 8 of an entry
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "n" { doc = "d" },
		array "l" { of = "u64", count = field.n, max = 100, doc = "d" },
	},
	reply = none,
}
