-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/gate_unknown.lua:7: message 'm': gate must be one of dma_map, dma_unmap, reset, feature_set, command, did you mean 'reset'?
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	gate = "restet",
	request = none,
	reply = none,
}
