-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/link_no_value.lua:12: link 'x': is not value 1 of enum 'e'
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
enum "e" { since = "1", doc = "d", value "x" { 0, doc = "d" }, value "y" { 2, doc = "d" } }
struct "h" { since = "1", doc = "d", u16 "id" { enum = "e", doc = "d" }, u16 "version" { doc = "d" }, u32 "next" { doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "at" { doc = "d" },
		chain "l" { at = field.at, head = "h", key = "id", version = "version", next = "next", max = 99, doc = "d",
			link "x" { 1, of = "h", doc = "d" },
		},
	},
	reply = none,
}
