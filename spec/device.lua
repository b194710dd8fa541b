-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- What the device is.

flags "device_info" {
	since = "0.0", doc = "what kind of device this is",
	bit "reset" { 0, doc = "the device can be reset" },
	bit "pci" { 1, doc = "it is a PCI device" },
}

message "get_info" {
	id = 4, from = "client", since = "0.0", basic = true,
	doc = [[Asks for the device's kind and for its numbers of regions and interrupts.]],
	request = {
		longer = 4096,
		argsz { doc = "largest reply payload the client takes" },
		reserved "flags" { 4, flags = "device_info" },
		reserved "num_regions" { 4 },
		reserved "num_irqs" { 4 },
	},
	reply = {
		longer = 4096,
		argsz { doc = "size of the full reply payload" },
		u32 "flags" { flags = "device_info", known_flags = true,
			under = { known_flags = policy.unknown_flags.reject }, doc = "kind of device" },
		u32 "num_regions" { max = 256, doc = "regions, from index 0" },
		u32 "num_irqs" { max = 64, doc = "interrupt indices, from 0" },
	},
	errors = { EINVAL = "a rule above is broken" },
}
