-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/member_twice.lua:6: bits 'a': the name a is taken by line 5 of bad/member_twice.lua
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, profiles = { "strict" }, header { doc = "h", u16 "id" { doc = "d" } } }
flags "f" { since = "1", doc = "d", bit "a" { 0, doc = "d" },
	bits "a" { 4, 7, doc = "d" } }
