-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/requires_limit.lua:9: u32 'a': requires must be cap.NAME, of a bool that sets a limit
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
limits { doc = "d", u32 "most" { min = 1, max = 9, default = 4, doc = "d" }, bool "can" { default = false, doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d", requires = limit.can },
	},
	reply = none,
}
