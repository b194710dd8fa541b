-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/chain_array_not_more.lua:14: link 'x': the array of struct 't' must say more = true inside a chain
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
enum "e" { since = "1", doc = "d", value "x" { 0, doc = "d" }, value "y" { 2, doc = "d" } }
struct "h" { since = "1", doc = "d", u16 "id" { enum = "e", doc = "d" }, u16 "version" { doc = "d" }, u32 "next" { doc = "d" } }
struct "t" { since = "1", doc = "d", u16 "id" { doc = "d" }, u16 "version" { doc = "d" }, u32 "next" { doc = "d" },
	array "l" { of = "u32", count = field.next, doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "at" { doc = "d" },
		chain "l" { at = field.at, head = "h", key = "id", version = "version", next = "next", max = 99, doc = "d",
			link "x" { 0, of = "t", doc = "d" },
		},
	},
	reply = none,
}
