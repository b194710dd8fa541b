-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/states_unknown.lua:7: message 'm': states: 'asleep' is no device state
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	states = { "asleep" },
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
