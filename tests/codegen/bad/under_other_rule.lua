-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/under_other_rule.lua:10: u32 'a': under names 'min', which is no rule of this field
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict", "libvfio-user" }, header { doc = "h", u16 "id" { doc = "d" } } }
erratum { 1, title = "t", text = "t", peers = "p", decision = "d", policy = "p", choices = { "x", "y" },
	profiles = { strict = "x", ["libvfio-user"] = "y" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d", max = 3, under = { min = policy.p.x } },
	},
	reply = none,
}
