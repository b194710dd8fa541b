-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The capability table of VERSION.  Order is the order of the keys in what we send.
--   role      what the number means: "receiver" limits what its sender can take; "both" is shared
--   feature   may be answered only if the other side proposed it
--   signed    stored as int64_t; its default -1 means absent
--   drop      when a reply would grow too long (E17): what states a default goes in any case, then 1 first;
--             0 never

capability "max_msg_fds" {
	since = "0.0", type = "u32", default = 1, min = 0, max = 1024, role = "receiver",
	in_request = true, in_reply = true, drop = 0,
	doc = "most file descriptors its sender can receive in one message",
}

capability "max_data_xfer_size" {
	since = "0.0", type = "u64", default = 1048576, min = 1, max = 0xffffffff, role = "receiver",
	in_request = true, in_reply = true, drop = 0,
	doc = "most data bytes in one region access, DMA access or piece of migration data",
}

capability "max_dma_maps" {
	since = "0.0", type = "u32", default = 65535, min = 1, max = 0xffffffff, role = "both",
	in_request = true, in_reply = true, drop = 2,
	doc = "most DMA ranges that may be live at once",
}

capability "pgsizes" {
	since = "0.0", type = "u64", default = 4096, min = 4096, max = 0x7fffffffffffffff, multiple_of = 4096,
	role = "both", in_request = true, in_reply = true, drop = 1,
	doc = "page sizes DMA ranges may be aligned to, one bit each",
}

capability "write_multiple" {
	since = "0.9", type = "bool", default = false, role = "both", feature = true,
	in_request = true, in_reply = true, drop = 4,
	doc = "REGION_WRITE_MULTI may be used",
}

object "twin_socket" {
	since = "0.9", feature = true, in_request = true, in_reply = true, drop = 0,
	doc = "a second socket for the commands of the server and their replies",
	capability "supported" {
		since = "0.9", type = "bool", default = false, role = "both", feature = true,
		in_request = true, in_reply = true, drop = 0,
		doc = "the client asks for it, or the server grants it",
	},
	capability "fd_index" {
		since = "0.9", type = "u64", default = -1, signed = true, min = 0, max = 1023, role = "both",
		feature = true, in_request = false, in_reply = true, drop = 0,
		doc = "which descriptor of the reply is the client's end",
	},
}

object "migration" {
	since = "0.0", feature = true, in_request = true, in_reply = true, drop = 3,
	doc = "parameters of migration; gone from the text since 0.9, still sent by most peers",
	capability "pgsize" {
		since = "0.0", type = "u64", default = 4096, min = 4096, max = 0x7fffffffffffffff,
		multiple_of = 4096, role = "both", feature = true, in_request = true, in_reply = true, drop = 3,
		doc = "page size of dirty bitmaps",
	},
	capability "max_bitmap_size" {
		since = "0.0", type = "u64", default = 268435456, min = 1, max = 0x7fffffffffffffff,
		role = "both", feature = true, in_request = true, in_reply = true, drop = 3,
		doc = "longest dirty bitmap in bytes",
	},
}

capability "sparse_mmap_fds" {
	since = "draft", status = "experimental", type = "bool", default = false, role = "both", feature = true,
	in_request = true, in_reply = true, drop = 5,
	doc = "the client understands the region capability sparse_mmap_fds",
}
