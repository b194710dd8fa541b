-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/entries_no_size.lua:12: array 'l': entries of struct 't' have no fixed size
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
struct "s" { since = "1", doc = "d", u32 "a" { doc = "d" }, u32 "b" { doc = "d" } }
struct "t" { since = "1", doc = "d", u32 "n" { doc = "d" }, u32 "p" { doc = "d" },
	array "l" { of = "s", count = field.n, doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" },
		array "l" { of = "t", count = field.a, max = 9, doc = "d" },
	},
	reply = none,
}
