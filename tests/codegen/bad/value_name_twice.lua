-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/value_name_twice.lua:6: value 'x': the name x is taken by line 5 of bad/value_name_twice.lua
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
enum "e" { since = "1", doc = "d", value "x" { 0, doc = "d" },
	value "x" { 1, doc = "d" } }
