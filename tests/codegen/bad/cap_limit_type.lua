-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/cap_limit_type.lua:6: capability 'c': limit 'can' is a bool
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "d", u16 "id" { doc = "d" } } }
limits { doc = "d", u32 "most" { min = 1, max = 9, default = 4, doc = "d" }, bool "can" { default = false, doc = "d" } }
capability "c" { since = "1", doc = "d", drop = 0, in_request = true, in_reply = true, type = "u32", min = 0, max = 9, default = 4, combine = "min", limit = "can" }
