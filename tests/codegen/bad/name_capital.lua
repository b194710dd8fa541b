-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/name_capital.lua:5: struct: its name must be a word in quotes, in small letters
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
struct "Range" { since = "1", doc = "d", u32 "a" { doc = "d" } }
