-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/no_header.lua:4: protocol: needs exactly one header
protocol { doc = "d", revisions = { { name = "1", doc = "r" } } }
