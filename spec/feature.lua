-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Device features: state of migration, log of dirty pages.

flags "feature" {
	since = "0.9", doc = "which feature, and what to do with it",
	bits "index" { 0, 15, enum = "feature_index", mask = "mask", doc = "the feature" },
	bit "get" { 16, doc = "read it" },
	bit "set" { 17, doc = "change it" },
	bit "probe" { 18, doc = "only ask whether the methods named work" },
}

flags "migration_caps" {
	since = "0.9", width = 64, doc = "which ways of migrating a device knows",
	bit "stop_copy" { 0, doc = "its state can be read while stopped; mandatory" },
	bit "p2p" { 1, doc = "it can stop talking to other devices first" },
	bit "pre_copy" { 2, doc = "state can be read while it runs" },
}

enum "feature_index" {
	since = "0.9", doc = "features of DEVICE_FEATURE, numbered as VFIO numbers them",
	value "migration" { 1, doc = "ways of migrating the device knows" },
	value "mig_device_state" { 2, doc = "state of migration" },
	value "logging_start" { 6, doc = "begin to log pages dirtied by DMA" },
	value "logging_stop" { 7, doc = "end the log" },
	value "logging_report" { 8, doc = "read the log of a range and clear it" },
}

struct "feature_migration" {
	since = "0.9", doc = "how the device can migrate",
	u64 "flags" { flags = "migration_caps", has_all = { { "stop_copy" } }, doc = "ways of migrating" },
}

struct "feature_device_state" {
	since = "0.9", doc = "a state of migration",
	u32 "device_state" { enum = "device_state", known_value = true, doc = "present state, or the one to go to" },
	u32 "data_fd" { doc = "unused; migration data travels in messages" },
}

struct "feature_logging_range" {
	since = "0.9", doc = "a range of addresses as the device sees them",
	u64 "iova" { show = "hex", doc = "first address" },
	u64 "length" { min = 1, doc = "length in bytes" },
	check = { no_wrap { "iova", "length" } },
}

struct "feature_logging_start" {
	since = "0.9", doc = "which pages to log",
	u64 "page_size" { power_of_two = true, doc = "bytes for which one bit stands; the reply may differ" },
	u32 "num_ranges" { doc = "number of ranges; 0 is all memory" },
	reserved "reserved" { 4 },
	array "ranges" { of = "feature_logging_range", count = field.num_ranges, doc = "the ranges" },
}

struct "feature_logging_report" {
	since = "0.9", doc = "which part of the log to read",
	u64 "iova" { show = "hex", doc = "first address" },
	u64 "length" { min = 1, doc = "length in bytes" },
	u64 "page_size" { power_of_two = true, doc = "bytes for which one bit stands" },
	check = { no_wrap { "iova", "length" } },
}

struct "feature_logging_bitmap" {
	since = "0.9", doc = "a part of the log",
	u64 "iova" { show = "hex", doc = "first address" },
	u64 "length" { min = 1, doc = "length in bytes" },
	u64 "page_size" { power_of_two = true, doc = "bytes for which one bit stands" },
	array "bitmap" { of = "u64", count = div_up(div_up(field.length, field.page_size), 64),
		doc = "a bit for each page, the first one lowest in the first word; set: dirty" },
	check = { no_wrap { "iova", "length" } },
}

local request_gets = all { field.flags.get, no(field.flags.probe) }
local request_sets = all { field.flags.set, no(field.flags.probe) }
local reply_gets = all { request.flags.get, no(request.flags.probe) }
local reply_sets = all { request.flags.set, no(request.flags.probe) }

message "device_feature" {
	id = 16, from = "client", since = "0.9", fence = true, gate = "feature_set",
	effect = { field = "flags", set = { "set" }, clear = { "probe" } },
	doc = [[Reads, changes or looks for an optional feature.  PROBE asks whether the feature has all the methods
	named with it, and changes nothing.]],
	request = {
		argsz { doc = "largest reply payload the client takes" },
		u32 "flags" { flags = "feature", known_flags = true, at_least_one = { { "get", "set", "probe" } },
			doc = "the feature and what to do" },
		union "data" {
			by = field.flags.index, max = limit.max_data_xfer_size,
			doc = "depends on feature and method; what no layout is known for is left to the device",
			case "mig_device_state" { when = request_sets, of = "feature_device_state",
				doc = "the state to go to" },
			case "logging_start" { when = request_sets, of = "feature_logging_start", doc = "what to log" },
			case "logging_stop" { when = request_sets, of = "feature_logging_start", optional = true,
				doc = "nothing, or the layout of logging_start, which is ignored" },
			case "logging_report" { when = request_gets, of = "feature_logging_report",
				doc = "the part to read" },
		},
	},
	check = { at_most_one { "flags", { "get", "set" }, when = no(field.flags.probe) } },
	reply = {
		u32 "argsz" { doc = "size of the full reply payload" },
		u32 "flags" { flags = "feature", equals = request.flags, doc = "as in the request" },
		union "data" {
			by = request.flags.index, max = limit.max_data_xfer_size,
			doc = "GET: the answer; SET and PROBE: as in the request",
			case "migration" { when = reply_gets, of = "feature_migration", doc = "ways of migrating" },
			case "mig_device_state" { when = reply_gets, of = "feature_device_state",
				doc = "the present state" },
			case "mig_device_state" { when = reply_sets, of = "feature_device_state", optional = true,
				doc = "the new state" },
			case "logging_start" { when = reply_sets, of = "feature_logging_start", optional = true,
				doc = "what is logged" },
			case "logging_report" { when = reply_gets, of = "feature_logging_bitmap",
				doc = "the part read" },
		},
	},
	errors = {
		EINVAL = "a rule above is broken, argsz has no room for the answer, or a change of state that does not exist",
		ENOTTY = "no such feature, or not this method",
	},
}
