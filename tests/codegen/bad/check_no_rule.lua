-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/check_no_rule.lua:7: message 'm': check must be a list of rules
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	check = { "min" },
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
