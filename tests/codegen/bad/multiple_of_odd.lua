-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/multiple_of_odd.lua:8: u32 'a': rule 'multiple_of': the divisor must be a power of two
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { multiple_of = 3, doc = "d" },
	},
	reply = none,
}
