-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/at_most_one_single.lua:10: u32 'a': rule 'at_most_one': names fewer than two members
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
enum "e" { since = "1", doc = "d", value "x" { 0, doc = "d" }, value "y" { 2, doc = "d" } }
flags "f" { since = "1", doc = "d", bit "a" { 0, doc = "d" }, bit "b" { 1, doc = "d" }, bits "kind" { 4, 7, enum = "e", doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { flags = "f", at_most_one = { "a" }, doc = "d" },
	},
	reply = none,
}
