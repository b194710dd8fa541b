-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/header_agreed.lua:4: header: id needs can, which was not agreed, but it is read before anything is agreed
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d", requires = cap.can } } }
limits { doc = "d", u32 "most" { min = 1, max = 9, default = 4, doc = "d" }, bool "can" { default = false, doc = "d" } }
capability "can" { since = "1", type = "bool", default = false, combine = "and", limit = "can", in_request = true, in_reply = true,
	drop = 0, doc = "d" }
