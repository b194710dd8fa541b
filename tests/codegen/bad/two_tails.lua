-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/two_tails.lua:10: bytes 'more': 'data' already takes the rest
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "n" { doc = "d" },
		bytes "data" { size = field.n, max = 9, doc = "d" },
		bytes "more" { size = field.n, max = 9, doc = "d" },
	},
	reply = none,
}
