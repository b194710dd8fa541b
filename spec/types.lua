-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Flag sets and enumerations.

flags "header" {
	since = "0.0", doc = "bits of the header's flags",
	bits "type" { 0, 3, enum = "header_type", doc = "command or reply" },
	bit "no_reply" { 4, doc = "commands only: do not answer, not even with an error" },
	bit "error" { 5, doc = "replies only: the command failed; no payload follows" },
}

enum "header_type" {
	since = "0.0", doc = "values of the header's type bits",
	value "command" { 0, doc = "a request" },
	value "reply" { 1, doc = "an answer" },
}

flags "dma_map" {
	since = "0.0", doc = "how a DMA range may be accessed",
	bit "readable" { 0, doc = "the device may read" },
	bit "writeable" { 1, doc = "the device may write" },
	bit "mmap" { 2, since = "1.0", doc = "map the file that came along" },
	bit "file_io" { 3, since = "1.0", doc = "use read and write calls on the file that came along" },
}

flags "dma_unmap" {
	since = "0.0", doc = "modifiers of an unmap",
	bit "dirty_bitmap" { 0, since = "old", doc = "return a bitmap of dirtied pages; gone from the protocol" },
	bit "all" { 1, doc = "drop every range; address and size are zero" },
}

flags "device_info" {
	since = "0.0", doc = "what kind of device this is",
	bit "reset" { 0, doc = "the device can be reset" },
	bit "pci" { 1, doc = "it is a PCI device" },
}

flags "region_info" {
	since = "0.0", doc = "what a region allows",
	bit "read" { 0, doc = "can be read" },
	bit "write" { 1, doc = "can be written" },
	bit "mmap" { 2, doc = "can be mapped through the file sent along" },
	bit "caps" { 3, doc = "a list of capabilities follows" },
}

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

flags "io_fd_ioevent" {
	since = "0.0", doc = "flags of an ioeventfd, numbered as KVM numbers them",
	bit "datamatch" { 0, doc = "only a write of the value datamatch signals" },
	bit "pio" { 1, doc = "the address is an I/O port" },
	bit "deassign" { 2, doc = "remove" },
}

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

enum "region_index" {
	since = "0.0", doc = "the regions of a PCI device",
	value "bar0" { 0, doc = "base address register 0" },
	value "bar1" { 1, doc = "base address register 1" },
	value "bar2" { 2, doc = "base address register 2" },
	value "bar3" { 3, doc = "base address register 3" },
	value "bar4" { 4, doc = "base address register 4" },
	value "bar5" { 5, doc = "base address register 5" },
	value "rom" { 6, doc = "expansion ROM" },
	value "config" { 7, doc = "configuration space; its bytes are little-endian" },
	value "vga" { 8, doc = "legacy VGA ranges" },
}

enum "irq_index" {
	since = "0.0", doc = "the interrupts of a PCI device",
	value "intx" { 0, doc = "the interrupt line" },
	value "msi" { 1, doc = "message signalled interrupts" },
	value "msix" { 2, doc = "MSI-X vectors" },
	value "err" { 3, doc = "tells of an unrecoverable error" },
	value "req" { 4, doc = "asks the client to give the device back" },
}

enum "feature_index" {
	since = "0.9", doc = "features of DEVICE_FEATURE, numbered as VFIO numbers them",
	value "migration" { 1, doc = "ways of migrating the device knows" },
	value "mig_device_state" { 2, doc = "state of migration" },
	value "logging_start" { 6, doc = "begin to log pages dirtied by DMA" },
	value "logging_stop" { 7, doc = "end the log" },
	value "logging_report" { 8, doc = "read the log of a range and clear it" },
}

enum "region_cap" {
	since = "0.0", doc = "capabilities of a region",
	value "sparse_mmap" { 1, doc = "only some areas can be mapped" },
	value "type" { 2, doc = "what the region is for, when its index does not say" },
	value "sparse_mmap_fds" { 16, since = "draft", status = "experimental",
		doc = "some areas can be mapped, each from a file of its own choice" },
}

enum "io_fd_type" {
	since = "0.0", doc = "kinds of file descriptors that take region accesses",
	value "ioeventfd" { 0, doc = "a write signals an eventfd" },
	value "ioregionfd" { 1, doc = "accesses become messages on a file" },
	value "shadow" { 2, since = "1.0", status = "experimental",
		doc = "as ioeventfd, and the value written is stored in shared memory first" },
}
