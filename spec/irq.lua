-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Interrupts.

flags "irq_info" {
	since = "0.0", doc = "what an interrupt index allows",
	bit "eventfd" { 0, doc = "signals through eventfds" },
	bit "maskable" { 1, doc = "can be masked and unmasked" },
	bit "automasked" { 2, doc = "masks itself when it fires" },
	bit "noresize" { 3, doc = "the number of enabled vectors cannot change while some are enabled" },
}

flags "irq_set" {
	since = "0.0", doc = "what comes along, and what to do with it",
	bit "data_none" { 0, doc = "nothing: act on every vector of the range" },
	bit "data_bool" { 1, doc = "one byte for each vector: act where it is not zero" },
	bit "data_eventfd" { 2, doc = "one eventfd for each vector; none takes the present ones away" },
	bit "action_mask" { 3, doc = "mask" },
	bit "action_unmask" { 4, doc = "unmask" },
	bit "action_trigger" { 5, doc = "fire, or set what is signalled on firing" },
}

enum "irq_index" {
	since = "0.0", doc = "the interrupts of a PCI device",
	value "intx" { 0, doc = "the interrupt line" },
	value "msi" { 1, doc = "message signalled interrupts" },
	value "msix" { 2, doc = "MSI-X vectors" },
	value "err" { 3, doc = "tells of an unrecoverable error" },
	value "req" { 4, doc = "asks the client to give the device back" },
}

message "get_irq_info" {
	id = 7, from = "client", since = "0.0", basic = true,
	doc = [[Asks for the number of vectors of an interrupt index and what can be done with them.]],
	request = {
		longer = 4096,
		argsz { doc = "largest reply payload the client takes" },
		reserved "flags" { 4, flags = "irq_info" },
		u32 "index" { enum = "irq_index", doc = "which interrupt" },
		reserved "count" { 4 },
	},
	reply = {
		argsz { },
		u32 "flags" { flags = "irq_info", known_flags = true,
			under = { known_flags = policy.unknown_flags.reject }, doc = "what can be done" },
		u32 "index" { enum = "irq_index", equals = request.index, doc = "as in the request" },
		u32 "count" { max = 2048, doc = "number of vectors" },
	},
	errors = { EINVAL = "a rule above is broken, or there is no such interrupt" },
}

message "set_irqs" {
	id = 8, from = "client", since = "0.0", basic = true,
	keeps = "eventfds and masks of the interrupts",
	doc = [[Masks, unmasks, fires or rewires the vectors from start on.  DATA_EVENTFD without descriptors takes
	the eventfds of the vectors away.  ACTION_TRIGGER with DATA_NONE, start 0 and count 0 disables the index;
	count 0 with anything else does nothing.]],
	fds = { request = { count = field.count, or_none = true, when = field.flags.data_eventfd,
		doc = "with DATA_EVENTFD one eventfd for each vector, or none" } },
	request = {
		argsz { },
		u32 "flags" { flags = "irq_set", known_flags = true,
			exactly_one = { { "data_none", "data_bool", "data_eventfd" },
					{ "action_mask", "action_unmask", "action_trigger" } },
			doc = "what comes along and what to do" },
		u32 "index" { enum = "irq_index", doc = "which interrupt" },
		u32 "start" { doc = "first vector" },
		u32 "count" { doc = "number of vectors" },
		bytes "data" { size = field.count, when = field.flags.data_bool, max = 4096,
			doc = "with DATA_BOOL one byte for each vector" },
	},
	check = { no_wrap { "start", "count" } },
	reply = none,
	errors = {
		EINVAL = "a rule above is broken, no such vectors, or an action the interrupt does not know",
		ENOSPC = "too many eventfds are kept",
	},
}
