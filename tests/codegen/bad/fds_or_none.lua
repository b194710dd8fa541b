-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/fds_or_none.lua:7: message 'm', fds.request: or_none means nothing without count
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	fds = { request = { max = 1, or_none = true, doc = "d" } },
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
