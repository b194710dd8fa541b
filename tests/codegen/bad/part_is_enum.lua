-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/part_is_enum.lua:6: message 'm': request must be none or { fields }
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" { id = 1, from = "client", since = "1", doc = "d", errors = {}, reply = none,
	request = value "x" { 0, doc = "d" } }
