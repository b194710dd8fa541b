-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/check_twice.lua:7: message 'm': check stands both beside and inside request
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	check = { min { "a", 1 } },
	request = {
		u32 "a" { doc = "d" },
		check = { min { "a", 1 } },
	},
	reply = none,
}
