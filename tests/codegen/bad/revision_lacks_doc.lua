-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/revision_lacks_doc.lua:5: protocol, revisions: lacks 'doc'
protocol { doc = "d", header { doc = "h", u16 "id" { doc = "d" } },
	revisions = { { name = "1" } } }
