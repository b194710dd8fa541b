-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- What the device is.

message "get_info" {
	id = 4, from = "client", since = "0.0", class = "wait",
	doc = [[Asks for the device's kind and for its numbers of regions and interrupts.]],
	request = {
		longer = 4096,
		u32 "argsz" { min = sizeof_payload, doc = "largest reply payload the client takes" },
		u32 "flags" { flags = "device_info", zero = true,
			under = { zero = policy.unknown_flags.reject }, doc = "unused" },
		u32 "num_regions" { zero = true, under = { zero = policy.unknown_flags.reject }, doc = "unused" },
		u32 "num_irqs" { zero = true, under = { zero = policy.unknown_flags.reject }, doc = "unused" },
	},
	reply = {
		longer = 4096,
		u32 "argsz" { min = sizeof_payload, doc = "size of the full reply payload" },
		u32 "flags" { flags = "device_info", known_flags = true,
			under = { known_flags = policy.unknown_flags.reject }, doc = "kind of device" },
		u32 "num_regions" { max = 256, doc = "regions, from index 0" },
		u32 "num_irqs" { max = 64, doc = "interrupt indices, from 0" },
	},
	errors = { EINVAL = "a rule above is broken" },
}
