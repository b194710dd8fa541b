-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/number_missing.lua:5: value 'x': the first entry must be its number
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
enum "e" { since = "1", doc = "d", value "x" { doc = "d" } }
