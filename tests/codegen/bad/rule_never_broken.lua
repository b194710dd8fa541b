-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/rule_never_broken.lua:7: no test breaks the rule: a is at most 5; if others do not forbid it, its bounds in rules.lua are too few
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	check = { max { "a", 5 } },
	request = {
		u32 "a" { max = 3, doc = "d" },
	},
	reply = none,
}
