-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/since_errno.lua:7: message 'm': errors lacks ENOSYS, which the version of its since gives
protocol { doc = "d", revisions = { { name = "1", version = "0.1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
limits { doc = "d", u32 "minor" { min = 0, max = 9, default = 0, counts = "minor", doc = "d" } }

message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "n" { max = 9, doc = "d" },
		array "l" { of = "u64", count = field.n, doc = "d" },
	},
	reply = none,
}
