-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/less_than.lua:7: '<' is Lua's, not the spec's: say below(a, b)
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	check = { min { "a", 1, when = field.a < 3 } },
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
