-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/known_flags_all_known.lua:9: u32 'a': rule 'known_flags': the flag set leaves no bit unknown
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
flags "f" { since = "1", doc = "d", bits "all" { 0, 31, doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { flags = "f", known_flags = true, doc = "d" },
	},
	reply = none,
}
