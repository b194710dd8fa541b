-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/struct_belongs_elsewhere.lua:20: array 'l': struct 's' belongs inside m.request
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
struct "s" { inside = "m.request", since = "1", doc = "d", u32 "a" { doc = "d" }, u32 "b" { doc = "d" } }
message "n" {
	id = 2, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" },
	},
	reply = {
		u32 "r" { doc = "d" },
		array "l" { of = "s", count = field.r, max = 9, doc = "d" },
	},
}
