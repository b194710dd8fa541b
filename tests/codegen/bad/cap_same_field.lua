-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/cap_same_field.lua:8: capability 'o_c': the field o_c is taken by line 6 of bad/cap_same_field.lua
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
object "o" { since = "1", doc = "d",
	capability "c" { since = "1", doc = "d", combine = "and", in_request = true, in_reply = true, drop = 0, type = "bool", default = false },
}
capability "o_c" { since = "1", doc = "d", combine = "and", in_request = true, in_reply = true, drop = 0, type = "bool", default = false }
