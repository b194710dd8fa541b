-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/erratum_of_nothing.lua:6: erratum 1: says either the messages that it is about or general = true
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "dma_map" { id = 1, from = "client", since = "1", doc = "d", errors = {}, request = { u32 "a" { doc = "d" } }, reply = none }
erratum { 1, title = "t", text = "t", peers = "p", decision = "d" }
