-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/id_range.lua:6: message 'm': id must be an integer from 1 to 65535
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 65536, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
