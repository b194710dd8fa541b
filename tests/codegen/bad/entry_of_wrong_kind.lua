-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/entry_of_wrong_kind.lua:5: enum 'e': entry 1 is of kind bit, which does not belong here
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
enum "e" { since = "1", doc = "d", bit "x" { 0, doc = "d" } }
