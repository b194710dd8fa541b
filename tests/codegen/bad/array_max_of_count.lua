-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/array_max_of_count.lua:9: array 'l': max is 512 bytes, but 100 entries of 8 bytes are 800: leave it out
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "n" { max = 100, doc = "d" },
		array "l" { of = "u64", count = field.n, max = 512, doc = "d" },
	},
	reply = none,
}
