-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- no_header_dir/sensor.lua:1: has structures, and is not in spec_wire of no_header_dir/local.mk
protocol { doc = "d", files = { "sensor", "plain" }, revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
