-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/revision_above_max.lua:5: protocol: version 0.3 of revision '1' is above the max of limit 'minor'
protocol { doc = "d", header { doc = "h", u16 "id" { doc = "d" } },
	revisions = { { name = "1", version = "0.3", doc = "r" } } }
limits { doc = "d", u32 "minor" { min = 0, max = 2, default = 0, counts = "minor", doc = "d" } }
