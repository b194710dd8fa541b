-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/cap_combine_unknown.lua:5: capability 'c': combine must be one of own, min, and, echo, did you mean 'min'?
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "d", u16 "id" { doc = "d" } } }
capability "c" { since = "1", doc = "d", drop = 0, in_request = true, in_reply = true, type = "u32", min = 0, max = 9, default = 4, combine = "mix" }
