-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/revision_twice.lua:5: protocol: revision '1' is there twice
protocol { doc = "d", header { doc = "h", u16 "id" { doc = "d" } },
	revisions = { { name = "1", doc = "r" }, { name = "1", doc = "r" } } }
