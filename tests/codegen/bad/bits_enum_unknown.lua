-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/bits_enum_unknown.lua:5: bits 'kind': there is no enum 'e'
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
flags "f" { since = "1", doc = "d", bit "a" { 0, doc = "d" }, bit "b" { 1, doc = "d" }, bits "kind" { 4, 7, enum = "e", doc = "d" } }
