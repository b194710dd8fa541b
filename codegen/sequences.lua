-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- What happens when: orders of messages, each picked out of recorded traffic (tests/data/), so that what is drawn was.
--
-- A step is the next message of that kind in the recording, `where` its fields have these values; between two steps
-- others may be left out, which the picture counts, and says `gap` of; all up to the message `from` are. `show` names the fields that are written at the
-- arrow, instead of those of M.show; `fd` says what descriptors are, where the recording does not. "memory" and "eventfd"
-- are what goes by no socket: the recording has a note of each. `note` is said below the step.

local M = {}

-- Fields at the arrow, by message.
M.show = {
	["version.request"] = { "data" }, ["version.reply"] = { "data" },
	["dma_map.request"] = { "address", "size", "flags" }, ["dma_unmap.request"] = { "address", "size" },
	["get_info.reply"] = { "flags", "num_regions", "num_irqs" },
	["get_region_info.request"] = { "index" }, ["get_region_info.reply"] = { "size", "flags" },
	["get_irq_info.request"] = { "index" }, ["get_irq_info.reply"] = { "count", "flags" },
	["set_irqs.request"] = { "index", "start", "count", "flags" },
	["region_read.request"] = { "region", "offset", "count" }, ["region_read.reply"] = { "data" },
	["region_write.request"] = { "region", "offset", "data" },
	["dma_read.request"] = { "address", "count" }, ["dma_read.reply"] = { "data" },
	["dma_write.request"] = { "address", "data" },
}

M[#M + 1] = {
	name = "connect", recording = "captures/gpio-share-on.jsonl", of = "QEMU 11.1",
	title = "A client connects", steps = {
		{ "version.request" }, { "version.reply" },
		{ "dma_map.request", note = "The client does not wait for the reply before it says the next." },
		{ "dma_map.request" }, { "dma_map.reply" }, { "dma_map.reply" },
		{ "get_info.request" }, { "get_info.reply" },
		{ "get_region_info.request", where = { index = 2 }, gap = "the BARs before" }, { "get_region_info.reply" },
		{ "get_irq_info.request", gap = "the BARs behind, and configuration space" }, { "get_irq_info.reply" },
		{ "region_read.request" }, { "region_read.reply" },
		{ "set_irqs.request", gap = "the BARs are sized" }, { "set_irqs.reply" },
		{ "reset.request", gap = "more of interrupts and configuration space" }, { "reset.reply" },
	},
}

M[#M + 1] = {
	name = "write", recording = "captures/testdev-dma-share-off.jsonl", of = "QEMU 11.1",
	title = "Writes, answered and posted", steps = {
		{ "region_write.request", where = { region = 7, offset = 4, count = 2, data = 0x107 } }, { "region_write.reply" },
		{ "region_write.request", where = { region = 0, offset = 4 }, gap = "other work" },
		{ "region_write.request", where = { region = 0, offset = 4 }, note = "Nobody answers: the next message follows at once." },
		{ "region_read.request", gap = "of the same kind" },
		{ "region_read.reply", note = "Requests start in order: the read sees what the writes before it wrote." },
	},
}

M[#M + 1] = {
	name = "message-dma", recording = "captures/testdev-dma-share-off.jsonl", of = "QEMU 11.1",
	title = "A device reads memory by messages", steps = {
		{ "region_write.request", where = { region = 0, offset = 16 }, gap = "connecting, and other work" },
		{ "region_write.request", where = { region = 0, offset = 24 } },
		{ "region_write.request", where = { region = 0, offset = 28 }, note = "This is the one that starts the device." },
		{ "region_read.request" },
		{ "dma_read.request", note = "Both sides owe a reply now. QEMU gives its own when it has the other." },
		{ "region_read.reply" }, { "dma_read.reply" },
		{ "region_read.request" }, { "region_read.reply" },
	},
}

M[#M + 1] = {
	name = "reset", recording = "captures/testdev-system-reset.jsonl", of = "QEMU 11.1",
	title = "The machine is reset", from = { "region_write.request", where = { region = 0, data = 0x77 } }, steps = {
		{ "set_irqs.request", gap = "the guest boots, and works" },
		{ "set_irqs.reply" },
		{ "region_read.request" }, { "region_read.reply" },
		{ "region_write.request", where = { region = 7, offset = 4 } }, { "region_write.reply" },
		{ "reset.request", gap = "power management is looked at" }, { "reset.reply" },
		{ "set_irqs.request", gap = "the interrupt pin is read" }, { "set_irqs.reply" },
		{ "region_write.request", where = { offset = 16 } }, { "region_write.reply" },
	},
}

M[#M + 1] = {
	name = "interrupt", recording = "sequences/interrupt.jsonl", of = "libvfu",
	title = "A device writes memory and interrupts", steps = {
		{ "dma_map.request", fd = "memory", gap = "connecting" }, { "dma_map.reply" },
		{ "set_irqs.request", fd = "eventfd" }, { "set_irqs.reply" },
		{ "region_write.request", where = { region = 0 }, gap = "the BAR's size" }, { "region_write.reply" },
		{ "memory", say = "5 bytes, in the mapped file: no message" },
		{ "eventfd", say = "signalled: no message" },
	},
}

M[#M + 1] = {
	name = "twin", recording = "sequences/twin.jsonl", of = "libvfu",
	title = "The twin socket", steps = {
		{ "version.request" }, { "version.reply", fd = "the twin" },
		{ "dma_map.request", gap = "connecting" }, { "dma_map.reply" },
		{ "region_write.request", where = { region = 0 }, gap = "the BAR's size" }, { "region_write.reply" },
		{ "region_read.request" },
		{ "dma_read.request", note = "The register is made of what lies in memory: its read waits." },
		{ "dma_read.reply" }, { "region_read.reply" },
	},
}

M[#M + 1] = {
	name = "unmap", recording = "sequences/unmap.jsonl", of = "libvfu",
	title = "Memory is taken away", steps = {
		{ "dma_map.request", gap = "VERSION" }, { "dma_map.reply" },
		{ "region_write.request", where = { region = 0 }, gap = "the device may master the bus" }, { "region_write.reply" },
		{ "dma_read.request" },
		{ "dma_unmap.request", note = "The device still reads: that ends with ECANCELED." },
		{ "dma_unmap.reply", note = "Nothing of the server uses the range any more." },
		{ "dma_read.reply", note = "Nobody waits for it: it is dropped." },
	},
}

return M
