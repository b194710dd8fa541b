-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/alt_same_size.lua:12: alt 'n': another layout has 4 bytes too
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" },
	},
	reply = {
		u32 "r" { doc = "d" },
		alt "n" { size = 4, doc = "d",
			u32 "a" { doc = "d" } },
	},
}
