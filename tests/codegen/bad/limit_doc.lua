-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/limit_doc.lua:5: limit 'most': lacks 'doc'
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
limits { doc = "d", u32 "most" { min = 1, max = 9, default = 4 } }
