-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/cap_max_of_json.lua:5: capability 'c': readers of JSON take its max for all that is larger: say one less
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "d", u16 "id" { doc = "d" } } }
capability "c" { since = "1", doc = "d", drop = 0, in_request = true, in_reply = true, type = "u64", min = 0, max = 0x7fffffffffffffff, default = 4, combine = "min" }
