-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/policy_choice_unknown.lua:10: u32 'a': policy 'p' has no choice 'z'
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict", "libvfio-user" }, header { doc = "h", u16 "id" { doc = "d" } } }
erratum { 1, title = "t", text = "t", peers = "p", decision = "d", policy = "p", choices = { "x", "y" },
	profiles = { strict = "x", ["libvfio-user"] = "y" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d", max = 3, under = { max = policy.p.z } },
	},
	reply = none,
}
