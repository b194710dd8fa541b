-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/known_flags_without_flags.lua:8: u32 'a': rule 'known_flags': only a field with flags = ... has unknown bits
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { known_flags = true, doc = "d" },
	},
	reply = none,
}
