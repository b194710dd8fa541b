-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/value_negative.lua:5: value 'x': a value cannot be negative
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
enum "e" { since = "1", doc = "d", value "x" { -1, doc = "d" }, value "y" { 2, doc = "d" } }
