-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/revision_version.lua:4: protocol, revisions: version must be "MAJOR.MINOR"
protocol { doc = "d", header { doc = "h", u16 "id" { doc = "d" } },
	revisions = { { name = "1", version = "3", doc = "r" } } }
