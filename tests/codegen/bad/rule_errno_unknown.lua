-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/rule_errno_unknown.lua:9: u32 'a': errno is 'ERANGES', which is no errno known here, did you mean 'ERANGE'?
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { min = 1, doc = "d",
			errno = { min = "ERANGES" } },
	},
	reply = none,
}
