-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/effect_lacks.lua:8: message 'm', effect: lacks 'field'
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
flags "f" { since = "1", doc = "d", bit "a" { 0, doc = "d" }, bit "b" { 1, doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	fence = true, effect = { set = { "a" } },
	request = {
		u32 "a" { flags = "f", doc = "d" },
	},
	reply = none,
}
