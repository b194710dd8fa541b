-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/cap_max_too_wide.lua:5: capability 'c': max does not fit a u32
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
capability "c" { since = "1", doc = "d", combine = "min", in_request = true, in_reply = true, drop = 0, type = "u32", default = 4, min = 0, max = 1 << 33 }
