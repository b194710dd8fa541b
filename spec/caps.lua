-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The capability table of VERSION.  Order is the order of the keys in what we send.  All that negotiation
-- does with a key stands here; no code names one to negotiate it.
--
--	combine   what holds of the values of two sides:
--	            own    for each receiver what it said itself: its sender keeps to it
--	            min    the smaller, for both; what is not said is the default
--	            and    true if both say so
--	            echo   the client's, which the server repeats
--	limit     the limit that it sets, and so what checks compare with; `as`, if that is not the value itself
--	ours      what this library says unless its user says something else (value), from min to max.  More than
--	          that max no limit becomes, whatever the peer says.  Without a value it says nothing: the key is off
--	          until the user of each side says it
--	kept      not for the user to say, but for the library, once it can do what is meant
--	feature   may be answered only if the other side proposed it
--	signed    its default -1 means absent
--	drop      when a reply would grow too long (E17): what states a default goes in any case, then 1 first,
--	          equal ones together; 0 never.  A new feature: the highest so far and one, so that older ones go first

capability "max_msg_fds" {
	since = "0.0", type = "u32", default = 1, min = 0, max = 1024, combine = "own", limit = "max_msg_fds",
	ours = { value = 16, min = 1, max = 64 }, in_request = true, in_reply = true, drop = 0,
	doc = "most file descriptors its sender can receive in one message",
}

capability "max_data_xfer_size" {
	since = "0.0", type = "u64", default = 1048576, min = 1, max = 0xffffffff, combine = "own",
	limit = "max_data_xfer_size", ours = { value = 1048576, min = 4096, max = 16777216 },
	in_request = true, in_reply = true, drop = 0,
	doc = "most data bytes in one region access, DMA access or piece of migration data",
}

capability "max_dma_maps" {
	since = "0.0", type = "u32", default = 65535, min = 1, max = 0xffffffff, combine = "min",
	limit = "max_dma_maps", ours = { value = 65535, max = 65535 }, in_request = true, in_reply = true, drop = 2,
	doc = "most DMA ranges that may be live at once",
}

capability "pgsizes" {
	since = "0.0", type = "u64", default = 4096, min = 4096, max = 0x7ffffffffffffffe, multiple_of = 4096,
	combine = "own", limit = "pgsize", as = "lowest_bit", ours = { value = 4096 },
	in_request = true, in_reply = true, drop = 1,
	doc = "page sizes DMA ranges may be aligned to, one bit each",
}

capability "write_multiple" {
	since = "0.9", type = "bool", default = false, combine = "and", limit = "write_multiple",
	ours = { value = true }, feature = true, in_request = true, in_reply = true, drop = 4,
	doc = "REGION_WRITE_MULTI may be used",
}

object "twin_socket" {
	since = "0.9",
	doc = "a second socket for the commands of the server and their replies",
	capability "supported" {
		since = "0.9", type = "bool", default = false, combine = "and", limit = "twin_socket",
		feature = true, in_request = true, in_reply = true, drop = 0,
		doc = "the client asks for it, or the server grants it",
	},
	capability "fd_index" {
		since = "0.9", type = "u64", default = -1, signed = true, min = 0, max = 1023, combine = "own",
		kept = true, feature = true, in_request = false, in_reply = true, drop = 0,
		doc = "which descriptor of the reply is the client's end",
	},
}

object "migration" {
	since = "0.0",
	doc = "parameters of migration; gone from the text since 0.9, still sent by most peers",
	capability "pgsize" {
		since = "0.0", type = "u64", default = 4096, min = 4096, max = 0x7ffffffffffffffe,
		multiple_of = 4096, combine = "echo", feature = true, in_request = true, in_reply = true, drop = 3,
		doc = "page size of dirty bitmaps",
	},
	capability "max_bitmap_size" {
		since = "0.0", type = "u64", default = 268435456, min = 1, max = 0x7ffffffffffffffe,
		combine = "echo", feature = true, in_request = true, in_reply = true, drop = 3,
		doc = "longest dirty bitmap in bytes",
	},
}

capability "sparse_mmap_fds" {
	since = "draft", status = "experimental", type = "bool", default = false, combine = "and",
	limit = "sparse_mmap_fds", feature = true, in_request = true, in_reply = true, drop = 5,
	doc = "the client understands the region capability sparse_mmap_fds",
}
