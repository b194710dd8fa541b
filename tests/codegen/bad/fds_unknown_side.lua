-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/fds_unknown_side.lua:7: message 'm', fds: unknown key 'answer'
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	fds = { answer = { max = 1, doc = "d" } },
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
