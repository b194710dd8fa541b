-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/empty_condition.lua:7: all: expected a list of conditions in braces
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	check = { min { "a", 1, when = all {} } },
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
