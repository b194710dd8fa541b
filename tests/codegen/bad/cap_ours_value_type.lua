-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/cap_ours_value_type.lua:5: capability 'c': ours: value is no bool
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "d", u16 "id" { doc = "d" } } }
capability "c" { since = "1", doc = "d", drop = 0, in_request = true, in_reply = true, type = "bool", default = false, combine = "and", ours = { value = 1 } }
