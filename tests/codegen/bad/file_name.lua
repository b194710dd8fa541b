-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/file_name.lua:4: protocol: files lists names without path or suffix
protocol { doc = "d", files = { "../x" }, revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
