-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/c_name_twice.lua:8: 'request' is called vfu_wire_m_request in C, like what stands in bad/c_name_twice.lua:5
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
struct "m_request" { since = "1", doc = "d", u32 "a" { doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" },
		array "l" { of = "m_request", count = 1, doc = "d" },
	},
	reply = none,
}
