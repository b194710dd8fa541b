-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/name_taken.lua:6: struct 's': the name s is taken by line 5 of bad/name_taken.lua
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
struct "s" { since = "1", doc = "d", u32 "a" { doc = "d" }, u32 "b" { doc = "d" } }
struct "s" { since = "1", doc = "d", u32 "a" { doc = "d" }, u32 "b" { doc = "d" } }
