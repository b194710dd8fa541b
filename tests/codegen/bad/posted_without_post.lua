-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/posted_without_post.lua:6: message 'm': class posted needs post = true
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", class = "posted", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
