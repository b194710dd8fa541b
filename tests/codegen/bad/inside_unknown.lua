-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/inside_unknown.lua:5: struct 's': inside: there is no 'q.request'
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
struct "s" { inside = "q.request", since = "1", doc = "d", u32 "a" { doc = "d" }, u32 "b" { doc = "d" } }
