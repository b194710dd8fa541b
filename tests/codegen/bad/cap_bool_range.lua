-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/cap_bool_range.lua:5: capability 'c': a bool has no range
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
capability "c" { since = "1", doc = "d", combine = "and", in_request = true, in_reply = true, drop = 0, type = "bool", default = false, max = 3 }
