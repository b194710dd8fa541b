-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- Where the protocol's text is wrong, silent or not followed: what it says, what implementations do,
-- and what we do.  subject: where a reader looks for it; messages: those whose sections name it; general: it is of all.  An entry with
-- a policy makes a field of struct vfui_policy; its first choice is our default.

erratum { 1,
	subject = "dma",
	messages = { "dma_write" },
	title = "Length of the DMA_WRITE reply",
	text = "The count has 4 bytes up to revision 0.9 and 8 since.",
	peers = [[libvfio-user wants 16 bytes of payload. QEMU 10.1 and 10.2 send none, or shift the data of
		DMA_READ by 4 bytes.]],
	decision = "Send 16. A server takes 16, and under the lenient policy 12 or none as well.",
	policy = "dma_write_reply", choices = { "lenient", "exact" },
	profiles = { strict = "exact", ["libvfio-user"] = "lenient", ["one-at-a-time"] = "lenient" },
}

erratum { 2,
	subject = "dma",
	messages = { "dma_read", "dma_write" },
	title = "DMA transfers that come up short",
	text = "Nothing, later: an error or a smaller count are both lawful.",
	peers = [[libvfio-user refuses another count than it asked for; recent QEMU answers with an error.]],
	decision = "Our client answers with an error and never with less; our server takes both.",
}

erratum { 3,
	subject = "regions",
	messages = { "get_region_io_fds" },
	title = "Stride of the entries of GET_REGION_IO_FDS",
	text = "The stride is computed from argsz less 32, which counts the message header.",
	peers = "libvfio-user sends entries of 48 bytes, not 40.",
	decision = [[The stride is (argsz - 16) / count, without remainder and at least 40. At 48 the longer
		layout holds. Our server sends the text's, unless the policy says otherwise.]],
	policy = "io_fd_layout", choices = { "text", "longer" },
	profiles = { strict = "text", ["libvfio-user"] = "longer", ["one-at-a-time"] = "text" },
}

erratum { 4,
	subject = "regions",
	messages = { "get_region_io_fds" },
	title = "Shadow ioeventfds",
	text = "Type 2 does not exist.",
	peers = "libvfio-user alone has it.",
	decision = [[It is understood; our server has such entries in the longer layout alone (E3), else the client
		writes by message. Types nobody knows are skipped by the stride.]],
}

erratum { 5,
	subject = "regions",
	messages = { "get_region_io_fds" },
	title = "No descriptors in GET_REGION_IO_FDS",
	text = "At least one descriptor comes along.",
	peers = [[libvfio-user answers count 0 without descriptors, and a bare header when argsz is too small.]],
	decision = [[No entries and no descriptors is a good answer, and so is the fixed part alone when argsz
		asks for more.]],
}

erratum { 6,
	subject = "dma",
	messages = { "dma_unmap" },
	title = "Flags of DMA_UNMAP",
	text = "They are unused.",
	peers = [[QEMU sends bit 1 for everything; libvfio-user knows bits 0 and 1; the Rust crate names them
		wrongly.]],
	decision = [[Bit 1 alone is accepted. Our client unmaps each range for itself, and sends the bit where the
		policy says so; refused, it unmaps each.]],
	policy = "unmap_all", choices = { "each", "flag" },
	profiles = { strict = "each", ["libvfio-user"] = "flag", ["one-at-a-time"] = "each" },
}

erratum { 7,
	subject = "dma",
	messages = { "dma_unmap" },
	title = "Reply of DMA_UNMAP",
	text = "It repeats the entry.",
	peers = "Clients read a fixed size; libvfio-user answers ENOENT for what it does not know.",
	decision = "Always 24 bytes. Which ranges are accepted: E62.",
}

erratum { 8,
	subject = "dma",
	messages = { "dma_map" },
	title = "A range mapped twice",
	text = "Overlap is EEXIST.",
	peers = "libvfio-user answers EINVAL, and success when the very same range comes again.",
	decision = "EEXIST in both cases; the policy can accept an exact repeat.",
	policy = "map_repeat", choices = { "reject", "accept" },
	profiles = { strict = "reject", ["libvfio-user"] = "accept", ["one-at-a-time"] = "reject" },
}

erratum { 9,
	subject = "dma",
	messages = { "dma_map", "set_irqs", "get_region_io_fds" },
	title = "Too many DMA ranges, or descriptors",
	text = "No errno is given.",
	peers = "libvfio-user answers EINVAL at its limit and ENOSPC for one range too large.",
	decision = [[ENOSPC for both, and for a file or an eventfd beyond 1,024 that a server keeps for its client,
		or half of what its process may have.]],
}

erratum { 10,
	subject = "dma",
	messages = { "dma_map" },
	title = "DMA ranges that make no sense",
	text = "Nothing.",
	peers = [[libvfio-user accepts empty, wrapping and misaligned ranges without a file, and files shorter
		than the range.]],
	decision = [[EINVAL for an empty, wrapping or misaligned range, and for one past the end of its file. The
		last byte of the address space is allowed. The policy can let misaligned ranges pass.]],
	policy = "map_misaligned", choices = { "reject", "accept" },
	profiles = { strict = "reject", ["libvfio-user"] = "accept", ["one-at-a-time"] = "reject" },
}

erratum { 11,
	subject = "messages",
	general = true,
	title = "What argsz means",
	text = "Size of the request, largest reply, or size needed, according to the message.",
	peers = "Clients send 4064 or count the message header; libvfio-user refuses argsz above 1 MiB.",
	decision = [[Never taken for the length of a request. Requests 4, 5 and 7 may be longer. A reply has the
		smaller of argsz and the full size, but at least its fixed part; argsz below that is EINVAL.]],
}

erratum { 12,
	subject = "messages",
	messages = { "get_region_info", "get_region_io_fds", "device_feature" },
	title = "argsz too small for the reply",
	text = "A part of the reply, and the argsz needed.",
	peers = [[libvfio-user leaves CAPS clear and the descriptor out, and its own client has no room for one
		in the short reply; QEMU takes it with either, the Rust client and SPDK with the last, and QEMU
		refuses CAPS with a cap_offset inside the fixed part.]],
	decision = [[32 bytes, full argsz, CAPS clear and cap_offset 0. The descriptor goes with the reply that
		holds the capabilities, or with the only one if there are none. Clients take it with either, and
		ask again because of argsz alone. The policy can announce the offset already. An answer of
		DEVICE_FEATURE is never cut: too small an argsz is EINVAL.]],
	policy = "short_region_info", choices = { "caps_clear", "caps_offset" },
	profiles = { strict = "caps_clear", ["libvfio-user"] = "caps_clear", ["one-at-a-time"] = "caps_clear" },
}

erratum { 13,
	subject = "regions",
	messages = { "get_region_info" },
	title = "Two descriptors for one region",
	text = "Nothing.",
	peers = "Some clients keep the descriptor of the first reply, some that of the last.",
	decision = "Our client takes it with either reply, keeps the newest and closes the others.",
}

erratum { 14,
	subject = "regions",
	messages = { "get_region_info" },
	title = "Descriptors of sparse regions",
	text = "One for the region.",
	peers = [[Old libvfio-user sent one for each area, SPDK expects that; the Rust server sends none for a
		plain mappable region.]],
	decision = "Our server sends one. Our client needs one and closes what comes beyond it.",
}

erratum { 15,
	subject = "version",
	messages = { "version" },
	title = "VERSION without JSON",
	text = "The text is optional.",
	peers = "Some peers crash without it, some insist on the capabilities object.",
	decision = "Our server always sends an object with capabilities; our client needs none.",
}

erratum { 16,
	subject = "version",
	messages = { "version" },
	title = "The NUL behind the JSON text",
	text = "The size includes it.",
	peers = "Servers without it fail, panic or drop the connection.",
	decision = "The last byte is NUL, and no other is.",
}

erratum { 17,
	subject = "version",
	messages = { "version" },
	title = "Size of the VERSION reply",
	text = "Nothing.",
	peers = "QEMU reuses its request buffer of about 214 bytes and refuses more.",
	decision = [[The reply is no longer than the request or 128 bytes, whichever is more: no request of
		QEMU is that short. When it must shrink, keys that state a default are dropped first, features
		that were asked for last.]],
}

erratum { 18,
	subject = "version",
	messages = { "version" },
	title = "Capabilities that were not proposed",
	text = "A reply is a subset of the proposal.",
	peers = [[libvfio-user volunteers its limits. A limit describes its sender, so a subset makes no
		sense.]],
	decision = "Limits may always be sent, features only if proposed.",
}

erratum { 19,
	subject = "version",
	messages = { "version" },
	title = "Numbers in JSON",
	text = "Nothing on range.",
	peers = "libvfio-user takes -1 and truncates; QEMU refuses values beyond its own limits.",
	decision = "Integers in range, else the version is refused. Unknown keys are ignored.",
}

erratum { 20,
	subject = "version",
	messages = { "version" },
	title = "max_msg_fds left out",
	text = "It is 1.",
	peers = "QEMU assumes 8.",
	decision = "Always sent; 1 if missing.",
}

erratum { 21,
	subject = "version",
	messages = { "version" },
	title = "Minor version",
	text = "None is described but 0.",
	peers = "libvfio-user answers at most 2, SPDK and the Rust client propose 1, QEMU only 0.",
	decision = [[Our client proposes 0, so that 0.0 is spoken. Our server answers the smaller of what is
		proposed and what it knows, which is 0 so far; by policy always 0.]],
	policy = "minor", choices = { "min", "zero" },
	profiles = { strict = "min", ["libvfio-user"] = "min", ["one-at-a-time"] = "min" },
}

erratum { 22,
	subject = "version",
	messages = { "version" },
	title = "The capability migration",
	text = "Gone.",
	peers = "Still sent by most peers; some parse it strictly.",
	decision = "What was proposed of it is repeated; it is never needed.",
}

erratum { 23,
	subject = "version",
	messages = { "version" },
	title = "The first message",
	text = "VERSION.",
	peers = "libvfio-user answers anything else with EINVAL and drops the connection.",
	decision = [[The same, whether anybody knows it or not; a reply is not answered. A VERSION that is refused is
		answered, and ends the connection. A second VERSION is EINVAL, and the connection goes on.]],
}

erratum { 24,
	subject = "messages",
	general = true,
	title = "Unknown commands",
	text = "Every command has a reply.",
	peers = "libvfio-user answers EINVAL, QEMU ENOSYS; the Rust server leaves the payload unread.",
	decision = [[The payload is read, descriptors are closed, the answer is ENOSYS, or EINVAL by policy.]],
	policy = "unknown_command", choices = { "enosys", "einval" },
	profiles = { strict = "enosys", ["libvfio-user"] = "einval", ["one-at-a-time"] = "enosys" },
}

erratum { 25,
	subject = "messages",
	general = true,
	title = "Error replies with a payload",
	text = "An error is a header only.",
	peers = "libvfio-user sends the payload, too.",
	decision = "A header only is sent; a payload that comes is read and dropped.",
}

erratum { 26,
	subject = "messages",
	general = true,
	title = "Error replies with errno 0",
	text = "Allowed.",
	peers = "The Rust server does so for most failures.",
	decision = "A real errno is sent; 0 is taken for EIO.",
}

erratum { 27,
	subject = "messages",
	general = true,
	title = "No_reply and failure",
	text = "Nothing is answered.",
	peers = "The Rust server answers anyway.",
	decision = [[Never answered; counted and logged. A reply to nothing (a stray one) is dropped and counted; after 64
		of them the connection ends.]],
}

erratum { 28,
	subject = "messages",
	general = true,
	title = "Odd headers",
	text = "Undefined.",
	peers = [[libvfio-user ignores unknown bits and answers even replies, which two such peers do forever.]],
	decision = [[A reply is never answered. An unknown type, a size below 16 or beyond the limit closes the
		connection. Unknown bits of the header and of a reply's flags, and fields that should be zero, are
		ignored, or refused by policy. Unknown bits in the flags of DMA_MAP, DMA_UNMAP, SET_IRQS and
		DEVICE_FEATURE are EINVAL, whatever the policy.]],
	policy = "unknown_flags", choices = { "ignore", "reject" },
	profiles = { strict = "reject", ["libvfio-user"] = "ignore", ["one-at-a-time"] = "ignore" },
}

erratum { 29,
	subject = "regions",
	messages = { "region_read", "region_write", "region_write_multi", "dma_read", "dma_write" },
	title = "Accesses of no bytes",
	text = "Nothing.",
	peers = "libvfio-user succeeds with a header only.",
	decision = "EINVAL, or by policy a full reply. Our client takes a header only.",
	policy = "zero_count", choices = { "reject", "reply" },
	profiles = { strict = "reject", ["libvfio-user"] = "reply", ["one-at-a-time"] = "reject" },
}

erratum { 30,
	subject = "regions",
	messages = { "region_read", "region_write", "region_write_multi" },
	title = "Region accesses past the end",
	text = "Nothing.",
	peers = "libvfio-user answers EINVAL; QEMU's index check is off by one.",
	decision = "EINVAL, without overflow.",
}

erratum { 31,
	subject = "messages",
	messages = { "region_read", "region_write", "dma_read", "dma_write", "device_feature", "mig_data_read", "mig_data_write" },
	title = "Reach of max_data_xfer_size",
	text = "Commands 9 to 12.",
	peers = "libvfio-user applies it to migration data as well.",
	decision = "Migration data and bitmaps obey it, too.",
}

erratum { 32,
	subject = "interrupts",
	messages = { "set_irqs" },
	title = "Number of eventfds in SET_IRQS",
	text = "Unclear beyond max_msg_fds.",
	peers = "libvfio-user wants count or none; clients split into batches.",
	decision = "Count or none; anything else is EINVAL and the descriptors are closed.",
}

erratum { 33,
	subject = "interrupts",
	messages = { "set_irqs" },
	title = "Taking away eventfds from a start above 0",
	text = "From start on.",
	peers = "libvfio-user counts from 0, so later vectors keep firing.",
	decision = "Vectors start up to start + count.",
}

erratum { 34,
	subject = "interrupts",
	messages = { "set_irqs" },
	title = "Length of DATA_BOOL",
	text = "Implied by count.",
	peers = "QEMU sends zeros, the Rust server refuses it.",
	decision = "Exactly count bytes.",
}

erratum { 35,
	subject = "interrupts",
	messages = { "set_irqs" },
	title = "An interrupt index without vectors",
	text = "Nothing.",
	peers = "libvfio-user refuses to disable it.",
	decision = "Disabling succeeds and does nothing; the policy can refuse.",
	policy = "empty_irq_index", choices = { "noop", "reject" },
	profiles = { strict = "reject", ["libvfio-user"] = "reject", ["one-at-a-time"] = "noop" },
}

erratum { 36,
	subject = "interrupts",
	messages = { "get_irq_info", "set_irqs" },
	title = "Interrupt flags",
	text = "MASKABLE and AUTOMASKED exist.",
	peers = "libvfio-user announces neither, and clients unmask INTx regardless.",
	decision = [[Announced for INTx and implemented. What is not announced is refused, except UNMASK by message.]],
}

erratum { 37,
	subject = "device",
	messages = { "get_info" },
	title = "Capabilities in GET_INFO",
	text = "None; the kernel has some.",
	peers = "None.",
	decision = "16 bytes; longer replies are accepted.",
}

erratum { 38,
	subject = "device",
	messages = { "get_info", "get_irq_info" },
	title = "Numbers of regions and interrupts",
	text = "Nothing.",
	peers = "QEMU wants 8 regions, 3 interrupts and the PCI flag.",
	decision = [[Our server has 9 and 5. More than 256 regions, 64 interrupts, or 2048 vectors of one, are no
		device: our client ends the connection.]],
}

erratum { 39,
	subject = "device",
	messages = { "reset", "device_feature" },
	title = "RESET and migration",
	text = "RESET leaves the error state.",
	peers = "libvfio-user refuses RESET and more while stopped.",
	decision = "RESET is always allowed and leads to running; questions are always allowed.",
}

erratum { 40,
	subject = "migration",
	messages = { "device_feature" },
	title = "The dirty bitmap",
	text = "The formula for a bit's place is wrong.",
	peers = "libvfio-user wants the range to be one DMA range.",
	decision = [[Bit (address - iova) / page_size, 64 to a word, the rest zero. Any range is answered,
		unmapped parts since the start of logging included; the policy can demand one DMA range.]],
	policy = "bitmap_range", choices = { "any", "exact" },
	profiles = { strict = "any", ["libvfio-user"] = "exact", ["one-at-a-time"] = "any" },
}

erratum { 41,
	subject = "migration",
	messages = { "device_feature" },
	title = "Starting to log",
	text = "Nothing on starting twice.",
	peers = "libvfio-user ignores the ranges and checks only page size 0.",
	decision = [[A second start succeeds with an equal page size, else EINVAL. Ranges count, and the page
		size is a power of two. Stopping when off succeeds.]],
}

erratum { 42,
	subject = "migration",
	messages = { "device_feature" },
	title = "Page size of a report",
	text = "Any power of two.",
	peers = "libvfio-user loops forever when it is below the logging page size.",
	decision = "Larger and smaller sizes work.",
}

erratum { 43,
	subject = "migration",
	messages = { "mig_data_read" },
	title = "End of migration data",
	text = "Fewer bytes than asked for.",
	peers = "The kernel ends with none; libvfio-user sends stale bytes behind a short read.",
	decision = "The size field counts, the rest is ignored. Our server is short only at the end.",
}

erratum { 44,
	subject = "migration",
	messages = { "mig_data_write" },
	title = "argsz of MIG_DATA_WRITE",
	text = "Largest reply, though there is none.",
	peers = "libvfio-user wants it to cover the data.",
	decision = "Sent as 8 + size; any value is taken.",
}

erratum { 45,
	subject = "migration",
	messages = { "device_feature" },
	title = "Unsupported features",
	text = "Nothing.",
	peers = [[libvfio-user answers EINVAL for this and for bad arguments alike; the kernel answers ENOTTY.]],
	decision = [[ENOTTY for an unknown feature or method, EINVAL when malformed; the policy can answer EINVAL
		always. Clients treat both alike.]],
	policy = "unsupported_feature", choices = { "enotty", "einval" },
	profiles = { strict = "enotty", ["libvfio-user"] = "einval", ["one-at-a-time"] = "enotty" },
}

erratum { 46,
	subject = "migration",
	messages = { "device_feature" },
	title = "PROBE",
	text = "Succeeds if all methods named work.",
	peers = "libvfio-user fails it while migration is off.",
	decision = "PROBE alone asks whether the feature exists.",
}

erratum { 47,
	subject = "device",
	general = true,
	title = "Disconnect",
	text = "DMA ranges and interrupts go, the device's state stays.",
	peers = "libvfio-user calls its reset hook; QEMU and the Rust server exit.",
	decision = "By the text; the policy can reset.",
	policy = "disconnect", choices = { "keep", "reset" },
	profiles = { strict = "keep", ["libvfio-user"] = "reset", ["one-at-a-time"] = "keep" },
}

erratum { 48,
	subject = "device",
	general = true,
	title = "The server is gone",
	text = "The client should reset the device; no word on coming back.",
	peers = "Clients give up for good.",
	decision = [[The client says so; reconnecting, if asked for, repeats VERSION, ranges and interrupts.]],
}

erratum { 49,
	subject = "messages",
	general = true,
	title = "Who closes descriptors",
	text = "Nothing.",
	peers = "The receiver owns what arrived; failures leak.",
	decision = [[Everything not taken is closed on every path. A truncated control message closes the
		connection.]],
}

erratum { 50,
	subject = "messages",
	general = true,
	title = "Descriptors where none belong",
	text = "Nothing.",
	peers = "SPDK sends one with DMA_UNMAP; QEMU refuses any from a server.",
	decision = "EINVAL with VERSION; elsewhere closed, and the message goes on.",
}

erratum { 51,
	subject = "messages",
	general = true,
	title = "Message ids",
	text = "They need not differ.",
	peers = "QEMU finds replies by id; SPDK always sends 0.",
	decision = "Our client keeps pending ids apart, our server repeats what came.",
}

erratum { 52,
	subject = "messages",
	general = true,
	title = "Order",
	text = "Requests are handled in order.",
	peers = [[Memory accesses and ioeventfds are not ordered with messages. QEMU serves no DMA while it
		waits for a reply.]],
	decision = [[A device sees requests start in order. One that it answers later holds up nothing that
		comes after, whether it wants an answer or is posted: a read behind a posted write would wait
		for DMA that QEMU can not serve until the read is answered (erratum 60). Only a fence holds it
		up; each message says whether it is one. Our client posts nothing any more once it has found
		a region that can be mapped.]],
}

erratum { 53,
	subject = "messages",
	general = true,
	title = "Byte order",
	text = "The host's; configuration space is little-endian.",
	peers = "QEMU's server had it wrong.",
	decision = "Headers are never converted, configuration space always.",
}

erratum { 54,
	subject = "messages",
	general = true,
	title = "Length of a message",
	text = "No limit.",
	peers = "From libvfio-user's 1 MiB and a bit to none.",
	decision = "From this spec for each message; beyond it the connection is closed.",
}

erratum { 55,
	subject = "regions",
	messages = { "get_region_info", "get_region_io_fds", "region_read", "region_write" },
	title = "Regions that do not exist",
	text = "Nothing.",
	peers = "EINVAL.",
	decision = "EINVAL.",
}

erratum { 56,
	subject = "device",
	messages = { "get_info", "reset" },
	title = "Kinds of reset",
	text = "Not told apart.",
	peers = "QEMU sends RESET only if announced, the Rust client only if not.",
	decision = "RESET works either way.",
}

erratum { 57,
	subject = "regions",
	messages = { "get_region_info" },
	title = "Offset of a mappable area",
	text = "Added to the region's offset.",
	peers = "Clients agree.",
	decision = "Offset and size are checked against the file's size.",
}

erratum { 58,
	subject = "version",
	messages = { "version" },
	title = "pgsizes in the reply",
	text = "A mask.",
	peers = "QEMU wants a multiple of 4096.",
	decision = "4096, or the real mask without its low 12 bits.",
}

erratum { 59,
	subject = "version",
	messages = { "version" },
	title = "Twin socket without max_msg_fds",
	text = "Nothing.",
	peers = "libvfio-user grants it only above 0.",
	decision = "The same; the default of 1 suffices.",
}

erratum { 60,
	subject = "dma",
	messages = { "dma_read", "dma_write" },
	title = "DMA by message while the client waits",
	text = "Both sides go on processing.",
	peers = [[QEMU answers DMA only when it waits for nothing: a device that reads memory inside a
		register access stalls the guest until a timeout.]],
	decision = [[DMA by message never holds up a reply: it is started, the access is answered, and the rest
		is done later.]],
}

erratum { 61,
	subject = "dma",
	messages = { "dma_read" },
	title = "Large DMA_READ replies",
	text = "Up to max_data_xfer_size.",
	peers = "QEMU cuts a reply that its socket buffer cannot take and loses the stream.",
	decision = "At most 128 KiB of such data are under way unless configured.",
}

erratum { 62,
	subject = "dma",
	messages = { "dma_unmap" },
	title = "Unmapping what is no single range",
	text = "It must match one range.",
	peers = "QEMU unmaps huge spans that hold nothing, or several ranges.",
	decision = [[A span that covers whole ranges, or none, succeeds; one that cuts a range is EINVAL and
		changes nothing. The policy can demand an exact match, else ENOENT. Size 0 without the flag
		for all is EINVAL.]],
	policy = "unmap_range", choices = { "cover", "exact" },
	profiles = { strict = "exact", ["libvfio-user"] = "exact", ["one-at-a-time"] = "cover" },
}

erratum { 63,
	subject = "dma",
	messages = { "dma_read", "dma_write" },
	title = "Bus mastering",
	text = "Nothing.",
	peers = "QEMU refuses DMA by message while it is off, but cannot stop mapped accesses.",
	decision = [[By policy DMA fails and message interrupts wait while it is off. In C it is not looked at
		unless told so; Python devices look at it, whatever the profile, unless the policy itself is
		given, served by the command or in process, so that what works in one works in the other. Our
		client turns it on when it first uses either, unless told not to.]],
	policy = "bus_master", choices = { "ignore", "enforce" },
	profiles = { strict = "ignore", ["libvfio-user"] = "ignore", ["one-at-a-time"] = "ignore" },
}

erratum { 64,
	subject = "device",
	messages = { "set_irqs" },
	title = "INTx and configuration space",
	text = "Nothing.",
	peers = [[Linux drivers read the interrupt bit of the status register and set the disable bit of the
		command register.]],
	decision = "The library keeps the first in step and obeys the second.",
}

erratum { 65,
	subject = "messages",
	general = true,
	title = "A stream the peer has given up",
	text = "Nothing.",
	peers = "QEMU goes on writing and waits for each timeout.",
	decision = "The connection is closed at once after a violation.",
}

erratum { 67,
	subject = "dma",
	messages = { "dma_map", "get_region_info" },
	title = "What may be behind a descriptor",
	text = "Nothing.",
	peers = [[libvfio-user and QEMU map whatever mmap takes. Touching a page that a device, or a file that
		was cut, does not have kills the process.]],
	decision = [[Memory for DMA and mappable regions are regular files (memfd, tmpfs, hugetlbfs among them).
		By policy only those sealed against shrinking, or any. In file-I/O mode a file of size 0, as
		/proc/PID/mem is, is not measured.]],
	policy = "peer_file", choices = { "regular", "sealed", "any" },
	profiles = { strict = "regular", ["libvfio-user"] = "any", ["one-at-a-time"] = "regular" },
}

erratum { 66,
	subject = "interrupts",
	messages = { "set_irqs" },
	title = "The MSI-X table in a BAR",
	text = "Nothing.",
	peers = [[QEMU and cloud-hypervisor keep the table for their guests and never touch the server's: vectors are
		armed by SET_IRQS alone. Simulators write the server's table as drivers do. By PCI all entries
		are masked after reset.]],
	decision = [[The table is there: entries read as masked after reset, mask bits and the pending bit array are
		honoured, reset clears what was written. But an entry masks its vector only once the client has
		written to it, on this connection and since the last reset: vectors whose entries nobody
		writes fire. By policy entries count always, as on hardware.]],
	policy = "msix_mask", choices = { "written", "always" },
	profiles = { strict = "written", ["libvfio-user"] = "written", ["one-at-a-time"] = "written" },
}

erratum { 68,
	subject = "messages",
	general = true,
	title = "No_reply on what is not a write",
	text = "A command may say that it wants no reply; which ones make sense without is not said.",
	peers = [[QEMU posts region writes alone. libvfio-user does whatever is asked, a reset or a question, and says
		nothing.]],
	decision = [[Region writes may be posted. Our client posts nothing else. What else comes with No_reply is done,
		and the log says that nobody will know how it ended; by policy it is refused, which is counted and
		logged, for there is no reply to say so.]],
	policy = "no_reply", choices = { "accept", "refuse" },
	profiles = { strict = "refuse", ["libvfio-user"] = "accept", ["one-at-a-time"] = "accept" },
}

erratum { 69,
	subject = "version",
	messages = { "region_read", "region_write" },
	title = "Less than was agreed",
	text = "Up to max_data_xfer_size.",
	peers = [[libvfio-user says 1 MiB and ends the connection at a region write of 256 KiB, which comes in pieces;
		200,000 bytes pass.]],
	decision = [[By policy our client moves at most 128 KiB with one message, whatever the server says. Who knows
		another number sets max_data_xfer_size.]],
	policy = "transfer", choices = { "agreed", "small" },
	profiles = { strict = "agreed", ["libvfio-user"] = "small", ["one-at-a-time"] = "agreed" },
}

erratum { 70,
	subject = "messages",
	general = true,
	title = "One command at a time",
	text = "Any number of commands may wait for their replies.",
	peers = "The Rust server, and others that were written in a day, read no command before they have answered the last.",
	decision = [[By policy our client sends a command when all before it are answered, late ones included, and posts
		nothing.]],
	policy = "outstanding", choices = { "many", "one" },
	profiles = { strict = "many", ["libvfio-user"] = "many", ["one-at-a-time"] = "one" },
}

erratum { 71,
	subject = "messages",
	general = true,
	title = "What a server need not know",
	text = "An unknown command is answered as any other.",
	peers = [[The Rust server leaves the payload of a command that it does not know in the stream (E24), which is
		lost with that, and does not know how to read a bool for each vector.]],
	decision = [[By policy our client sends only the commands that every server knows; others are ENOSYS here, and
		nothing is sent. Of SET_IRQS it sends bools as so many requests without data.]],
	policy = "sent_commands", choices = { "all", "basic" },
	profiles = { strict = "all", ["libvfio-user"] = "all", ["one-at-a-time"] = "basic" },
}
