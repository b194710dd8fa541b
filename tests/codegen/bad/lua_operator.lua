-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/lua_operator.lua:8: 'and' is Lua's, not the spec's: say all { a, b }
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	request = {
		u32 "a" { doc = "d" }, check = { max { "a", 5, when = is(field.a, 1) and has_fd } },
	},
	reply = none,
}
