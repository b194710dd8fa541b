-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/struct_unused.lua:5: struct 's': nothing uses it
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
struct "s" { since = "1", doc = "d", u32 "a" { doc = "d" } }
