-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/no_wrap_wider.lua:7: rule 'no_wrap': the second field must not be wider than the first
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	check = { no_wrap { "b", "a" } },
	request = {
		u64 "a" { doc = "d" },
		u32 "b" { doc = "d" },
		u32 "c" { doc = "d" },
	},
	reply = none,
}
