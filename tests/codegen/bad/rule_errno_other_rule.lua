-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/rule_errno_other_rule.lua:9: u32 'a': errno names 'max', which is no rule of this field
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { min = 1, doc = "d",
			errno = { max = "ERANGE" } },
	},
	reply = none,
}
