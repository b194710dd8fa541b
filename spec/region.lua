-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Regions: asking about them, reading and writing them.

flags "region_info" {
	since = "0.0", doc = "what a region allows",
	bit "read" { 0, doc = "can be read" },
	bit "write" { 1, doc = "can be written" },
	bit "mmap" { 2, doc = "can be mapped through the file sent along" },
	bit "caps" { 3, doc = "a list of capabilities follows" },
}

flags "io_fd_ioevent" {
	since = "0.0", doc = "flags of an ioeventfd, numbered as KVM numbers them",
	bit "datamatch" { 0, doc = "only a write of the value datamatch signals" },
	bit "pio" { 1, doc = "the address is an I/O port" },
	bit "deassign" { 2, doc = "remove" },
}

flags "io_fd_ioregion" {
	since = "0.0", doc = "flags of an ioregionfd, numbered as its patches for KVM number them",
	bit "pio" { 0, doc = "the address is an I/O port" },
	bit "posted_writes" { 1, doc = "writes are not waited for" },
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

struct "region_cap_header" {
	since = "0.0", doc = "begins each capability of a region",
	u16 "id" { enum = "region_cap", doc = "which capability" },
	u16 "version" { doc = "version of its layout" },
	u32 "next" { doc = "offset of the next one from the start of the payload; 0 ends the list" },
}

struct "sparse_mmap_area" {
	since = "0.0", inside = "get_region_info.reply", doc = "one mappable part of a region",
	u64 "offset" { show = "hex", doc = "where it starts in the region" },
	u64 "size" { doc = "length in bytes" },
	check = { within { "offset", "size", outer.size } },
}

struct "sparse_mmap" {
	since = "0.0", inside = "get_region_info.reply", doc = "the parts of a region that can be mapped",
	u16 "id" { doc = "1" },
	u16 "version" { doc = "1; other versions are skipped" },
	u32 "next" { doc = "offset of the next capability" },
	u32 "nr_areas" { doc = "number of areas" },
	u32 "reserved" { doc = "unused" },
	array "areas" { of = "sparse_mmap_area", count = field.nr_areas, more = true, doc = "the areas" },
}

struct "cap_type" {
	since = "0.0", doc = "what a region is for",
	u16 "id" { doc = "2" },
	u16 "version" { doc = "1; other versions are skipped" },
	u32 "next" { doc = "offset of the next capability" },
	u32 "type" { doc = "kind of region, global or of one vendor" },
	u32 "subtype" { doc = "kind within the type" },
}

struct "sparse_fd_area" {
	since = "draft", status = "experimental", inside = "get_region_info.reply",
	doc = "one mappable part of a region and the file behind it",
	u64 "offset" { show = "hex", doc = "where it starts in the region" },
	u64 "fd_offset" { show = "hex", doc = "where it starts in the file" },
	u64 "size" { min = 1, doc = "length in bytes" },
	u32 "fd_index" { fd_index = true, doc = "which descriptor of the message" },
	u32 "pad" { doc = "unused" },
	check = {
		within { "offset", "size", outer.size },
		no_wrap { "fd_offset", "size" },
	},
}

struct "sparse_mmap_fds" {
	since = "draft", status = "experimental", inside = "get_region_info.reply",
	doc = "the parts of a region that can be mapped, each with its file",
	u16 "id" { doc = "16" },
	u16 "version" { doc = "1; other versions are skipped" },
	u32 "next" { doc = "offset of the next capability" },
	u32 "nr_areas" { min = 1, doc = "number of areas" },
	u32 "reserved" { doc = "unused" },
	array "areas" { of = "sparse_fd_area", count = field.nr_areas, more = true, disjoint = { "offset", "size" },
		doc = "the areas, none overlapping another" },
}

message "get_region_info" {
	id = 5, from = "client", since = "0.0", basic = true,
	doc = [[Asks for size and properties of a region.  A reply too long for the client's argsz comes without
	its capabilities; its own argsz says how much to ask for.]],
	fds = { reply = { extra = "close",
		doc = "the file to map, if the region can be mapped; it comes with a short reply or with the full one (E12)" } },
	request = {
		longer = 4096,
		argsz { doc = "largest reply payload the client takes" },
		reserved "flags" { 4, flags = "region_info" },
		u32 "index" { enum = "region_index", doc = "which region" },
		reserved "cap_offset" { 4, show = "hex" },
		reserved "size" { 8 },
		reserved "offset" { 8, show = "hex" },
	},
	reply = {
		argsz { doc = "size of the full reply payload" },
		u32 "flags" { flags = "region_info", known_flags = true,
			under = { known_flags = policy.unknown_flags.reject }, doc = "what the region allows" },
		u32 "index" { enum = "region_index", equals = request.index, doc = "as in the request" },
		u32 "cap_offset" { show = "hex", doc = "offset of the first capability from the start of the payload" },
		u64 "size" { doc = "length of the region in bytes" },
		u64 "offset" { show = "hex", doc = "where the region starts in its file" },
		chain "caps" {
			at = field.cap_offset, when = field.flags.caps, whole = field.argsz, max = 65536,
			head = "region_cap_header", key = "id", version = "version", next = "next",
			doc = "capabilities, each at a higher offset than the one before; unknown ones are skipped",
			link "sparse_mmap" { 1, version = 1, of = "sparse_mmap", excludes = { "sparse_mmap" }, doc = "areas to map" },
			link "type" { 2, version = 1, of = "cap_type", doc = "what the region is for" },
			link "sparse_mmap_fds" { 16, version = 1, requires = cap.sparse_mmap_fds, of = "sparse_mmap_fds",
				excludes = { "sparse_mmap", "sparse_mmap_fds" }, doc = "areas to map, with files" },
		},
	},
	errors = { EINVAL = "a rule above is broken, or there is no such region" },
}

struct "io_fd" {
	since = "0.0", doc = "a file descriptor that takes accesses to part of a region",
	u64 "offset" { show = "hex", doc = "where the part starts in the region" },
	u64 "size" { doc = "length in bytes; 0 is any access at the offset" },
	u32 "fd_index" { fd_index = true, doc = "which descriptor of the message" },
	u32 "type" { enum = "io_fd_type", doc = "kind of descriptor" },
	u32 "flags" { show = "hex", doc = "flags, numbered as KVM numbers them" },
	u32 "padding" { doc = "unused" },
	u64 "datamatch" { show = "hex", doc = "the value that signals, or the user data of an ioregionfd" },
	check = { no_wrap { "offset", "size" } },
}

struct "io_fd_shadow" {
	since = "1.0", doc = "the longer layout libvfio-user sends, for plain and shadow ioeventfds",
	u64 "gpa_offset" { show = "hex", doc = "where the part starts in the region" },
	u64 "size" { doc = "length in bytes; 0 is any access at the offset" },
	u32 "fd_index" { fd_index = true, doc = "which descriptor of the message" },
	u32 "type" { enum = "io_fd_type", doc = "kind of descriptor" },
	u32 "flags" { show = "hex", doc = "flags, numbered as KVM numbers them" },
	u32 "shadow_mem_fd_index" { doc = "shadow only: which descriptor is the shared memory" },
	u64 "shadow_offset" { show = "hex", doc = "shadow only: where the value is stored in it" },
	u64 "datamatch" { show = "hex", doc = "the value that signals" },
	check = {
		no_wrap { "gpa_offset", "size" },
		fd_index { "shadow_mem_fd_index", when = is(field.type, 2) },
	},
}

message "get_region_io_fds" {
	id = 6, from = "client", since = "0.0",
	doc = [[Asks for file descriptors through which parts of a region can be accessed without a message.]],
	fds = { reply = { min = 1, when = all { no(is(field.count, 0)), is_whole(field.argsz) }, max = limit.max_msg_fds,
		doc = "those the entries name; none if there are no entries" } },
	request = {
		argsz { doc = "largest reply payload the client takes" },
		reserved "flags" { 4, show = "hex" },
		u32 "index" { enum = "region_index", doc = "which region" },
		reserved "count" { 4 },
	},
	reply = {
		argsz { doc = "size of the full reply payload" },
		u32 "flags" { show = "hex", doc = "unused" },
		u32 "index" { enum = "region_index", equals = request.index, doc = "as in the request" },
		u32 "count" { doc = "number of entries" },
		array "sub_regions" {
			count = field.count, stride = (field.argsz - 16) // field.count, min_stride = 40,
			whole = field.argsz, max = 65536, by = "type",
			doc = "the entries, (argsz - 16) / count bytes each; unknown types are skipped",
			variant "ioeventfd" { 0, of = "io_fd", doc = "signals an eventfd" },
			variant "ioregionfd" { 1, of = "io_fd", doc = "accesses become messages" },
			variant "ioeventfd_long" { 0, of = "io_fd_shadow", min_stride = 48, doc = "signals an eventfd" },
			variant "shadow" { 2, of = "io_fd_shadow", min_stride = 48, doc = "stores, then signals" },
		},
	},
	errors = { EINVAL = "a rule above is broken, or there is no such region" },
}

message "region_read" {
	id = 9, from = "client", since = "0.0", basic = true,
	keeps = "the regions, and the order of accesses",
	doc = [[Reads from a region.]],
	request = {
		u64 "offset" { show = "hex", doc = "where to read in the region" },
		u32 "region" { enum = "region_index", doc = "which region" },
		u32 "count" { min = 1, under = { min = policy.zero_count.reject }, max = limit.max_data_xfer_size,
			doc = "how many bytes" },
	},
	check = { no_wrap { "offset", "count" } },
	reply = {
		u64 "offset" { show = "hex", equals = request.offset, doc = "as in the request" },
		u32 "region" { enum = "region_index", equals = request.region, doc = "as in the request" },
		u32 "count" { equals = request.count, doc = "how many bytes follow" },
		bytes "data" { size = field.count, max = limit.max_data_xfer_size, doc = "the bytes read" },
		alt "bare" { size = 0, when = is(request.count, 0),
			doc = "nothing, as libvfio-user answers a read of no bytes" },
	},
	errors = { EINVAL = "a rule above is broken, no such region, past its end, or not readable" },
}

message "region_write" {
	id = 10, from = "client", since = "0.0", basic = true, post = true,
	keeps = "the regions, and the order of accesses",
	doc = [[Writes to a region.]],
	request = {
		u64 "offset" { show = "hex", doc = "where to write in the region" },
		u32 "region" { enum = "region_index", doc = "which region" },
		u32 "count" { min = 1, under = { min = policy.zero_count.reject }, max = limit.max_data_xfer_size,
			doc = "how many bytes follow" },
		bytes "data" { size = field.count, max = limit.max_data_xfer_size, doc = "the bytes to write" },
	},
	check = { no_wrap { "offset", "count" } },
	reply = {
		u64 "offset" { show = "hex", equals = request.offset, doc = "as in the request" },
		u32 "region" { enum = "region_index", equals = request.region, doc = "as in the request" },
		u32 "count" { equals = request.count, doc = "how many bytes were written" },
		alt "bare" { size = 0, when = is(request.count, 0),
			doc = "nothing, as libvfio-user answers a write of no bytes" },
	},
	errors = { EINVAL = "a rule above is broken, no such region, past its end, or not writable" },
}

struct "write_multi_entry" {
	since = "0.9", doc = "one small write",
	u64 "offset" { show = "hex", doc = "where to write in the region" },
	u32 "region" { enum = "region_index", doc = "which region" },
	u32 "count" { min = 1, under = { min = policy.zero_count.reject }, max = 8, doc = "how many bytes of data count" },
	u64 "data" { show = "hex", doc = "the bytes to write, the first one lowest in memory" },
	check = { no_wrap { "offset", "count" } },
}

message "region_write_multi" {
	id = 15, from = "client", since = "0.9", requires = cap.write_multiple, post = true,
	keeps = "the regions, and the order of accesses",
	doc = [[Many small region writes in one message, done in order.  Without a reply each stands for itself,
	as if it had come alone; with one, none follows the first that fails.]],
	request = {
		u64 "wr_cnt" { doc = "number of writes" },
		array "writes" { of = "write_multi_entry", count = field.wr_cnt, max = limit.max_data_xfer_size,
			doc = "the writes" },
	},
	reply = {
		u64 "wr_cnt" { max = request.wr_cnt, doc = "writes completed before the first failure" },
	},
	errors = {
		EINVAL = "a rule above is broken, or the first write failed",
		ENOSYS = "write_multiple was not agreed",
	},
}
