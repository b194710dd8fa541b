-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/multiple_of_field.lua:9: u32 'a': rule 'multiple_of': the divisor must be a constant or a limit declared power_of_two
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
limits { doc = "d", u32 "most" { min = 1, max = 9, default = 4, doc = "d" }, bool "can" { default = false, doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { multiple_of = limit.most, doc = "d" },
	},
	reply = none,
}
