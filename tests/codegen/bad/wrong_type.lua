-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/wrong_type.lua:7: message 'm': fence must be true or false
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	fence = 1,
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
