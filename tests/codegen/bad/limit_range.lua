-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/limit_range.lua:5: limit 'most': needs min and max
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
limits { doc = "d", u32 "most" { max = 9, default = 4, doc = "d" } }
