-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/flags_too_wide.lua:9: u32 'a': flag set 'f' needs a u64
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
flags "f" { since = "1", doc = "d", width = 64, bit "a" { 40, doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { flags = "f", doc = "d" },
	},
	reply = none,
}
