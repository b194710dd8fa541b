-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/check_errno_unknown.lua:7: rule 'min': errno is 'EWRONG', which is no errno known here
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	check = { min { "a", 1, errno = "EWRONG" } },
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
