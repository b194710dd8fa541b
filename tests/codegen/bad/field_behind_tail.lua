-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/field_behind_tail.lua:10: u32 'a': stands after 'data', which has no fixed size
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "n" { doc = "d" },
		bytes "data" { size = field.n, max = 9, doc = "d" },
		u32 "a" { doc = "d" },
	},
	reply = none,
}
