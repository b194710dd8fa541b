-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/misaligned.lua:9: u32 'b': offset 2 is not a multiple of 4; state the padding
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u16 "a" { doc = "d" },
		u32 "b" { doc = "d" },
	},
	reply = none,
}
