-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/inner_name_taken.lua:14: u8 'a': the name a is taken by line 13 of bad/inner_name_taken.lua
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u16 "x" { doc = "d" },
	},
	reply = {
		u32 "r" { doc = "d" },
		alt "n" { size = 2, doc = "d",
			u8 "a" { doc = "d" },
			u8 "a" { doc = "d" },
		},
	},
}
