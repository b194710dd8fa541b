-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/nowhere.lua:1: cannot open bad/nowhere.lua
protocol { doc = "d", files = { "nowhere" }, revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
