-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/chain_no_links.lua:10: chain 'l': has no links
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
struct "h" { since = "1", doc = "d", u16 "id" { doc = "d" }, u16 "version" { doc = "d" }, u32 "next" { doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" },
		chain "l" { at = field.a, head = "h", key = "id", version = "version", next = "next", max = 99, doc = "d" },
	},
	reply = none,
}
