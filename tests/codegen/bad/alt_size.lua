-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/alt_size.lua:12: alt 'n': its fields take 1 bytes, size says 3
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" },
	},
	reply = {
		u32 "r" { doc = "d" },
		alt "n" { size = 3, doc = "d",
			u8 "a" { doc = "d" } },
	},
}
