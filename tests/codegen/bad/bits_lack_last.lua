-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/bits_lack_last.lua:6: bits 'kind': needs a first and a last bit
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
enum "e" { since = "1", doc = "d", value "x" { 0, doc = "d" }, value "y" { 2, doc = "d" } }
flags "f" { since = "1", doc = "d", bit "a" { 0, doc = "d" }, bit "b" { 1, doc = "d" }, bits "kind" { 4, enum = "e", doc = "d" } }
