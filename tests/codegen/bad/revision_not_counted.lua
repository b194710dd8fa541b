-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/revision_not_counted.lua:5: protocol: revision '1' has a version, but no limit counts the minor one
protocol { doc = "d", header { doc = "h", u16 "id" { doc = "d" } },
	revisions = { { name = "1", version = "0.1", doc = "r" } } }
limits { doc = "d", u32 "minor" { min = 1, max = 9, default = 4, doc = "d" } }
