-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/one_of_twice.lua:8: u32 'a': rule 'one_of': 1 stands in it twice
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { one_of = { 1, 2, 1 }, doc = "d" },
	},
	reply = none,
}
