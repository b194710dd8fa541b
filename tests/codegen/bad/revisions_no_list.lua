-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/revisions_no_list.lua:4: protocol: revisions must be a list of { ... }
protocol { doc = "d", revisions = { ["1"] = "r" }, header { doc = "h", u16 "id" { doc = "d" } } }
