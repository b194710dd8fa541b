-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Memory of the client: announcing it to the device, and reaching it by message.

flags "dma_map" {
	since = "0.0", doc = "how a DMA range may be accessed",
	bit "readable" { 0, doc = "the device may read" },
	bit "writeable" { 1, doc = "the device may write" },
	bit "mmap" { 2, since = "1.0", doc = "map the file that came along" },
	bit "file_io" { 3, since = "1.0", doc = "use read and write calls on the file that came along" },
}

flags "dma_unmap" {
	since = "0.0", doc = "modifiers of an unmap",
	bit "dirty_bitmap" { 0, since = "old", status = "retired", doc = "return a bitmap of dirtied pages; gone from the protocol" },
	bit "all" { 1, doc = "drop every range; address and size are zero; the text does not have it (E6)" },
}

message "dma_map" {
	id = 2, from = "client", since = "0.0", basic = true, fence = true, gate = "dma_map",
	keeps = "the ranges of memory that the device may reach",
	doc = [[Announces a range of client memory that the device may reach.  Without a file the server reaches
	it by DMA_READ and DMA_WRITE.  With a file and no mode bit the file is mapped.]],
	fds = { request = { max = 1, doc = "the file behind the range; none: access by message" } },
	request = {
		argsz { },
		u32 "flags" { flags = "dma_map", known_flags = true, at_most_one = { { "mmap", "file_io" } },
			doc = "allowed access, and how the file is used" },
		u64 "offset" { show = "hex", doc = "where the range starts in the file" },
		u64 "address" { show = "hex", multiple_of = limit.pgsize, under = { multiple_of = policy.map_misaligned.reject },
			doc = "first address as the device sees it" },
		u64 "size" { min = 1, multiple_of = limit.pgsize,
			under = { multiple_of = policy.map_misaligned.reject }, doc = "length in bytes" },
	},
	check = {
		no_wrap { "address", "size" },
		within { "offset", "size", 0x7fffffffffffffff, when = has_fd }, -- no file is longer
		needs_fd { when = any { field.flags.mmap, field.flags.file_io } },
	},
	reply = none,
	errors = {
		EINVAL = "a rule above is broken, or the range reaches past the end of the file",
		EACCES = "the file is not open for what the flags allow",
		EEXIST = "overlaps a live range",
		EPERM = "the file is sealed against what the flags allow",
		ENOSPC = "more ranges than max_dma_maps, one too large to handle, or too many files are kept",
	},
}

message "dma_unmap" {
	id = 3, from = "client", since = "0.0", basic = true, fence = true, gate = "dma_unmap",
	keeps = "the ranges of memory that the device may reach",
	doc = [[Takes ranges away from the device.  The reply comes when the device holds no reference to them any
	more.]],
	request = {
		argsz { },
		u32 "flags" { flags = "dma_unmap", only = { "all" }, doc = "which ranges" },
		u64 "address" { show = "hex", doc = "first address of the range" },
		u64 "size" { doc = "length in bytes" },
	},
	check = {
		equals { "address", 0, when = field.flags.all },
		equals { "size", 0, when = field.flags.all },
		min { "size", 1, when = no(field.flags.all) },
		no_wrap { "address", "size" },
	},
	reply = {
		u32 "argsz" { doc = "as in the request" },
		u32 "flags" { flags = "dma_unmap", doc = "as in the request" },
		u64 "address" { show = "hex", equals = request.address, doc = "as in the request" },
		u64 "size" { equals = request.size, doc = "as in the request" },
	},
	errors = {
		EINVAL = "a rule above is broken, or the range cuts through a live one",
		ENOENT = "not exactly one live range, where the policy unmap_range is exact",
	},
}

message "dma_read" {
	id = 11, from = "server", since = "0.0",
	keeps = "the copies under way",
	doc = [[Reads client memory that the server has not mapped.  It uses the twin socket if there is one.]],
	request = {
		u64 "address" { show = "hex", doc = "where to read, as the device sees it" },
		u64 "count" { min = 1, under = { min = policy.zero_count.reject }, max = limit.max_data_xfer_size,
			doc = "how many bytes" },
	},
	check = { no_wrap { "address", "count" } },
	reply = {
		u64 "address" { show = "hex", equals = request.address, doc = "as in the request" },
		u64 "count" { max = request.count, doc = "how many bytes follow; fewer than asked is a short read" },
		bytes "data" { size = field.count, max = limit.max_data_xfer_size, doc = "the bytes read" },
	},
	errors = {
		EINVAL = "a rule above is broken",
		EFAULT = "not all of it is announced, or it has no memory any more",
		EACCES = "part of it may not be read",
		ENODEV = "the device may not master the bus",
	},
}

message "dma_write" {
	id = 12, from = "server", since = "0.0",
	keeps = "the copies under way",
	doc = [[Writes client memory that the server has not mapped.  It uses the twin socket if there is one.]],
	request = {
		u64 "address" { show = "hex", doc = "where to write, as the device sees it" },
		u64 "count" { min = 1, under = { min = policy.zero_count.reject }, max = limit.max_data_xfer_size,
			doc = "how many bytes follow" },
		bytes "data" { size = field.count, max = limit.max_data_xfer_size, doc = "the bytes to write" },
	},
	check = { no_wrap { "address", "count" } },
	reply = {
		u64 "address" { show = "hex", equals = request.address, doc = "as in the request" },
		u64 "count" { max = request.count, doc = "how many bytes were written" },
		alt "narrow" { size = 12, under = policy.dma_write_reply.lenient,
			doc = "count in 32 bits, as the text said through 0.9",
			u64 "address" { show = "hex", equals = request.address, doc = "as in the request" },
			u32 "count" { max = request.count, doc = "how many bytes were written" },
		},
		alt "bare" { size = 0, under = policy.dma_write_reply.lenient,
			doc = "nothing, as QEMU 10.1 and 10.2 answer: the whole write is taken for done" },
	},
	errors = {
		EINVAL = "a rule above is broken",
		EFAULT = "not all of it is announced, or it has no memory any more",
		EACCES = "part of it may not be written",
		ENODEV = "the device may not master the bus",
	},
}

message "dirty_pages" {
	id = 14, from = "client", since = "old", status = "retired",
	doc = [[Once logged dirty pages; DEVICE_FEATURE took its place.  The number is never used again.  The
	layout is kept to decode old peers.]],
	request = {
		u32 "argsz" { doc = "size of this payload" },
		u32 "flags" { show = "hex", doc = "1 start, 2 stop, 4 get the bitmap" },
	},
	reply = none,
	errors = { ENOSYS = "always" },
}
