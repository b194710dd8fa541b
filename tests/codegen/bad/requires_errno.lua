-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/requires_errno.lua:6: message 'm': errors lacks ENOSYS, which its requires gives
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
limits { doc = "d", u32 "most" { min = 1, max = 9, default = 4, doc = "d" }, bool "can" { default = false, doc = "d" } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = {},
	requires = cap.can, request = none, reply = none,
}
capability "can" { since = "1", type = "bool", default = false, combine = "and", limit = "can", in_request = true, in_reply = true,
	drop = 0, doc = "d" }
