-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/value_taken.lua:5: value 'y': the number 0 is taken by line 5 of bad/value_taken.lua
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
enum "e" { since = "1", doc = "d", value "x" { 0, doc = "d" }, value "y" { 0, doc = "d" } }
