-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/limit_unknown.lua:8: u32 'a': there is no limit 'most': `limits` stand in protocol.lua
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d", max = limit.most },
	},
	reply = none,
}
