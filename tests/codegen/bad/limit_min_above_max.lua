-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/limit_min_above_max.lua:5: limit 'most': min is above max
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
limits { doc = "d", u32 "most" { min = 9, max = 1, default = 4, doc = "d" } }
