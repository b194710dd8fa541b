-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/known_value_without_enum.lua:8: u32 'a': rule 'known_value': only a field with enum = ... has known values
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { known_value = true, doc = "d" },
	},
	reply = none,
}
