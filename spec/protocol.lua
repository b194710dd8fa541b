-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The root of the spec: what every message has in common, and the list of the other files.

protocol {
	doc = [[vfio-user: one process gives a PCI device to another over a UNIX socket.  The messages mirror
	the VFIO calls of the Linux kernel.  All numbers are in the byte order of the host.]],
	files = { "errata", "caps", "session", "dma", "device", "region", "irq", "feature", "migration" },
	profiles = { "strict", "libvfio-user", "one-at-a-time" },
	states = "device_state",
	reserved = policy.unknown_flags.reject,
	-- All of them are spoken under 0.0: no text says what a higher minor version adds (E21).
	revisions = {
		{ name = "old", doc = "only in texts before 0.0; kept to read old peers" },
		{ name = "0.0", version = "0.0", doc = "the text merged for QEMU 10.1 (June 2025)" },
		{ name = "0.9", doc = "the text of QEMU 10.2 and of libvfio-user's specification 0.9.2 (December 2025)" },
		{ name = "1.0", doc = "the development trees of 2026" },
		{ name = "draft", doc = "proposed, under discussion; may change or vanish" },
	},

	header {
		doc = [[Precedes every payload.  A command and its reply carry the same id and command number.]],
		u16 "id" { doc = "chosen by the sender of the command, echoed in the reply; may repeat" },
		u16 "command" { enum = "command", doc = "which message this is" },
		u32 "size" { min = 16, doc = "length of the whole message, these 16 bytes included" },
		u32 "flags" { flags = "header", doc = "command or reply, and two modifiers",
			known_flags = true, known_bits = { "type" }, under = { known_flags = policy.unknown_flags.reject } },
		u32 "error" { doc = "errno of an error reply; zero in a command" },
	},
}

limits {
	doc = [[What both ends have agreed on, or what this end is configured to take.]],
	u32 "minor" { min = 0, max = 2, default = 0, test = 1, counts = "minor", doc = "minor version" },
	u32 "max_msg_fds" { min = 0, max = 1024, default = 1, test = 5, counts = "descriptors",
		doc = "most file descriptors in one message" },
	u64 "max_data_xfer_size" { min = 1, max = 0xffffffff, default = 1048576, test = 1000, counts = "bytes",
		doc = "most data bytes one message carries" },
	u32 "max_dma_maps" { min = 1, max = 0xffffffff, default = 65535, test = 9,
		doc = "most live DMA ranges" },
	u64 "pgsize" { min = 1, max = 0x4000000000000000, default = 4096, test = 8192, power_of_two = true,
		doc = "smallest page size DMA ranges are aligned to" },
	bool "write_multiple" { default = false, doc = "REGION_WRITE_MULTI may be sent" },
	bool "twin_socket" { default = false, doc = "the server's commands use a socket of their own" },
	bool "sparse_mmap_fds" { default = false, doc = "regions may carry one file per mappable area" },
}

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
