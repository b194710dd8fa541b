-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/revision_major.lua:5: protocol: version 1.4 of revision '2' is no later minor version than 0.3
protocol { doc = "d", header { doc = "h", u16 "id" { doc = "d" } },
	revisions = { { name = "1", version = "0.3", doc = "r" }, { name = "2", version = "1.4", doc = "r" } } }
