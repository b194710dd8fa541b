-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/schema_typo.lua:10: json 'j': schema must be one of capabilities, did you mean 'capabilities'?
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" },
		json "j" { max = 9, depth = 2, doc = "d",
			schema = "capabilites" },
	},
	reply = none,
}
