-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/limit_power.lua:5: limit 'most': 0 and the like are no power of two
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
limits { doc = "d", u32 "most" { min = 0, max = 9, default = 4, doc = "d", power_of_two = true } }
