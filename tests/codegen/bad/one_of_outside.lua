-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/one_of_outside.lua:8: u8 'a': rule 'one_of': 256 is no useful limit for a u8
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u8 "a" { one_of = { 1, 256 }, doc = "d" },
	},
	reply = none,
}
