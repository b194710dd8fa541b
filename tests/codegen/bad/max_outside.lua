-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/max_outside.lua:8: u16 'a': rule 'max': 65535 is no useful limit for a u16
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u16 "a" { max = 65535, doc = "d" },
	},
	reply = none,
}
