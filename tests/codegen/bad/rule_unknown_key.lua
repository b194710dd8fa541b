-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/rule_unknown_key.lua:7: rule 'min': unknown key 'where', did you mean 'when'?
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	check = { min { "a", 1, where = 3 } },
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
