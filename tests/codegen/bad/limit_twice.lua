-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/limit_twice.lua:6: limit 'most': the name most is taken by line 5 of bad/limit_twice.lua
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
limits { doc = "d", u32 "most" { min = 1, max = 9, default = 4, doc = "d" },
	u64 "most" { min = 1, max = 9, default = 4, doc = "d" } }
