-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/member_without_flags.lua:7: rule 'min': 'c' is no member of anything with flags
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	check = { min { "a", 1, when = field.a.c } },
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
