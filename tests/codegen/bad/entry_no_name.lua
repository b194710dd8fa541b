-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/entry_no_name.lua:5: enum 'e': entry 1 lacks its name or its { ... }
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
enum "e" { since = "1", doc = "d", 3 }
