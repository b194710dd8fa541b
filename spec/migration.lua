-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- State of a migrating device.

enum "device_state" {
	since = "0.9", doc = "states of migration",
	value "error" { 0, doc = "the device failed; only a reset helps" },
	value "stop" { 1, doc = "stopped" },
	value "running" { 2, doc = "at work" },
	value "stop_copy" { 3, doc = "stopped, and its state can be read" },
	value "resuming" { 4, doc = "stopped, and its state can be written" },
	value "running_p2p" { 5, doc = "as running, but quiet towards other devices; unused" },
	value "pre_copy" { 6, doc = "at work, and its state can be read ahead" },
	value "pre_copy_p2p" { 7, doc = "as pre_copy, but quiet towards other devices; unused" },
}

message "mig_data_read" {
	id = 17, from = "client", since = "0.9", fence = true, states = { "pre_copy", "stop_copy" },
	doc = [[Reads the next piece of the device's state.  Fewer bytes than asked for is the end; in pre_copy no
	bytes means nothing new yet.]],
	request = {
		argsz { doc = "largest reply payload the client takes" },
		u32 "size" { max = limit.max_data_xfer_size, doc = "how many bytes are wanted" },
	},
	reply = {
		longer = limit.max_data_xfer_size,
		u32 "argsz" { doc = "size of this payload" },
		u32 "size" { max = request.size, doc = "how many bytes follow; what comes after them is ignored" },
		bytes "data" { size = field.size, max = limit.max_data_xfer_size, doc = "state of the device" },
	},
	errors = { EINVAL = "a rule above is broken, or the wrong state of migration" },
}

message "mig_data_write" {
	id = 18, from = "client", since = "0.9", fence = true, states = { "resuming" },
	doc = [[Hands the next piece of state to the device.]],
	request = {
		u32 "argsz" { doc = "size of this payload; peers disagree, so any is taken" },
		u32 "size" { max = limit.max_data_xfer_size, doc = "how many bytes follow" },
		bytes "data" { size = field.size, max = limit.max_data_xfer_size, doc = "state of the device" },
	},
	reply = {
		alt "echo" { size = 8, doc = "as one proposed revision answers",
			u32 "argsz" { doc = "size of this payload" },
			u32 "size" { max = request.size, doc = "how many bytes were taken" },
		},
	},
	errors = { EINVAL = "a rule above is broken, the wrong state of migration, or state the device cannot use" },
}

message "get_precopy_info" {
	id = 19, from = "client", since = "draft", status = "experimental", states = { "pre_copy" },
	doc = [[Asks how much state is left to read in pre_copy.]],
	request = {
		argsz { },
		reserved "flags" { 4, show = "hex" },
		reserved "initial_bytes" { 8 },
		reserved "dirty_bytes" { 8 },
	},
	reply = {
		argsz { },
		reserved "flags" { 4, show = "hex" },
		u64 "initial_bytes" { doc = "bytes left of the first pass" },
		u64 "dirty_bytes" { doc = "bytes changed since they were read" },
	},
	errors = { EINVAL = "a rule above is broken, or the wrong state of migration" },
}
