-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/rule_errno_no_error.lua:9: message 'm': errors lacks ERANGE, which a rule of 'a' gives
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d",
			min = 1, errno = { min = "ERANGE" } },
	},
	reply = none,
}
