-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/case_no_value.lua:12: case 'z': is no value of enum 'e'
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
enum "e" { since = "1", doc = "d", value "x" { 0, doc = "d" }, value "y" { 2, doc = "d" } }
struct "s" { since = "1", doc = "d", u32 "a" { doc = "d" }, u32 "b" { doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { enum = "e", doc = "d" },
		union "l" { by = field.a, max = 9, doc = "d",
			case "z" { of = "s", doc = "d" } },
	},
	reply = none,
}
