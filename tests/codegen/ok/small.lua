-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- A protocol with one of most things; the files beside this one hold what is generated from it.

protocol {
	doc = "A small protocol.", revisions = { { name = "1", doc = "the only one" } }, profiles = { "strict", "libvfio-user" },
	header { doc = "Begins every message.",
		u16 "id" { doc = "number of the request" }, u16 "command" { enum = "command", doc = "which message" },
		u32 "size" { min = 16, doc = "length of all" }, u32 "flags" { doc = "unused" }, u32 "error" { doc = "errno" } },
}

limits {
	doc = "agreed",
	u32 "max_msg_fds" { min = 0, max = 8, default = 1, test = 5, counts = "descriptors", doc = "descriptors" },
	u64 "max_data_xfer_size" { min = 1, max = 65536, default = 4096, test = 1000, counts = "bytes", doc = "bytes" },
	u64 "pgsize" { min = 1, max = 65536, default = 4096, test = 8192, power_of_two = true, doc = "page" },
}

erratum { 3, general = true, title = "Odd flags", text = "silent", peers = "send some", decision = "as the policy says",
	policy = "odd_flags", choices = { "ignore", "reject" },
	profiles = { strict = "reject", ["libvfio-user"] = "ignore" } }

capability "max_msg_fds" {
	since = "1", doc = "descriptors", type = "u32", default = 1, min = 0, max = 8, combine = "own",
	in_request = true, in_reply = true, drop = 0,
}

enum "mode" { since = "1", doc = "how", value "fast" { 0, doc = "quickly" }, value "slow" { 2, doc = "with care" } }

flags "share" {
	since = "1", doc = "who may",
	bit "read" { 0, doc = "read" }, bit "write" { 1, doc = "write" }, bits "mode" { 4, 7, enum = "mode", doc = "how" },
}

struct "extent" {
	since = "1", doc = "a range",
	u64 "start" { doc = "where" }, u64 "length" { min = 1, doc = "how long" },
	check = { no_wrap { "start", "length" } },
}

message "put" {
	id = 1, from = "client", since = "1", fence = true,
	doc = "Stores bytes.",
	fds = { request = { max = 1, doc = "where to" } },
	request = {
		u64 "address" { show = "hex", multiple_of = limit.pgsize, doc = "where to" },
		u32 "flags" { flags = "share", known_flags = true, under = { known_flags = policy.odd_flags.reject },
			exactly_one = { "read", "write" }, doc = "who may" },
		u32 "count" { min = 1, max = limit.max_data_xfer_size, doc = "how many" },
		bytes "data" { size = field.count, max = limit.max_data_xfer_size, doc = "the bytes" },
	},
	reply = {
		u32 "count" { max = request.count, doc = "how many were stored" },
		u32 "pad" { zero = true, doc = "unused" },
		alt "bare" { size = 0, doc = "nothing: all were stored" },
	},
	errors = { EINVAL = "a rule above is broken" },
}

message "list" {
	id = 3, from = "server", since = "1",
	doc = "Asks for the ranges in use.",
	request = none,
	reply = {
		u32 "n" { doc = "how many" },
		u32 "mode" { enum = "mode", known_value = true, doc = "how they are kept" },
		array "extents" { of = "extent", count = field.n, max = 4096, doc = "the ranges" },
	},
	errors = {},
}
