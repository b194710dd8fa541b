-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
-- bad/errno_no_sentence.lua:6: message 'm': errors must be { ERRNO = sentence }
protocol { doc = "d", revisions = { { name = "1", doc = "r" } }, header { doc = "h", u16 "id" { doc = "d" } } }
message "m" {
	id = 1, from = "client", since = "1", doc = "d", errors = { EINVAL = true },
	request = {
		u32 "a" { doc = "d" },
	},
	reply = none,
}
