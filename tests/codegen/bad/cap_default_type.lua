-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/cap_default_type.lua:6: capability 'c': default is no u32
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
capability "c" { since = "1", doc = "d", combine = "min", in_request = true, in_reply = true, drop = 0, type = "u32", min = 0, max = 3,
	default = true }
