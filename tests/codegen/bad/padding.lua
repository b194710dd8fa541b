-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/padding.lua:7: part 'request': 12 bytes with a u64 are no multiple of 8; state the padding
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u64 "a" { doc = "d" },
		u32 "b" { doc = "d" },
	},
	reply = none,
}
