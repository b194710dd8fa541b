-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- What the small spec lacks: each other word at least once, and names other than those of the protocol.

protocol {
	doc = "A protocol of odd words.", profiles = { "strict" },
	revisions = { { name = "1", version = "0.0", doc = "the first" }, { name = "1a", doc = "nobody says that he knows it" },
		      { name = "2", version = "0.2", doc = "the second" } },
	reserved = policy.padding.reject, states = "power",
	header { doc = "Begins every message.",
		u16 "id" { doc = "number of the request" }, u16 "command" { enum = "command", doc = "which message" },
		u32 "size" { min = 16, doc = "length of all" }, u32 "flags" { doc = "unused" }, u32 "error" { doc = "errno" } },
}

limits {
	doc = "agreed",
	u32 "most_fds" { min = 0, max = 8, default = 1, test = 3, counts = "descriptors", doc = "descriptors" },
	u64 "most_bytes" { min = 1, max = 65536, default = 4096, test = 500, counts = "bytes", doc = "bytes" },
	u64 "grain" { min = 16, max = 4096, default = 16, test = 64, power_of_two = true, doc = "grain" },
	u32 "spoken" { min = 0, max = 65535, default = 0, counts = "minor", doc = "minor version" },
	bool "wide" { default = false, doc = "width" },
	bool "deep" { default = false, doc = "depth" },
}

erratum { 1, subject = "dma", messages = { "set", "look" }, title = "Padding", text = "silent", peers = "send some", decision = "as the policy says",
	policy = "padding", choices = { "ignore", "reject" }, profiles = { strict = "reject" } }

capability "wide" { since = "1", type = "bool", default = false, combine = "and", limit = "wide", in_request = true,
	in_reply = true, drop = 0, doc = "width" }
object "sea" { since = "1", doc = "what seas are",
	capability "deep" { since = "1", type = "bool", default = false, combine = "and", limit = "deep", feature = true,
		in_request = true, in_reply = true, drop = 0, doc = "depth" },
	capability "salt" { since = "1", type = "u64", default = 8, min = 8, max = 4096, multiple_of = 8, combine = "echo",
		feature = true, in_request = true, in_reply = true, drop = 2, doc = "saltiness" } }
capability "grains" { since = "1", type = "u64", default = 16, min = 16, max = 4096, multiple_of = 16, combine = "own",
	limit = "grain", as = "lowest_bit", ours = { value = 48, min = 32 }, in_request = true, in_reply = true, drop = 1,
	doc = "grains, one bit each" }
capability "most_fds" { since = "1", type = "u32", default = 1, min = 0, max = 20, combine = "min", limit = "most_fds",
	ours = { value = 4, max = 8 }, kept = true, in_request = true, in_reply = true, drop = 0, doc = "descriptors" }

enum "power" { since = "1", doc = "states", value "off" { 0, doc = "no" }, value "on" { 1, doc = "yes" } }
enum "kind" { since = "1", doc = "kinds", value "few" { 3, doc = "few bytes" }, value "many" { 5, doc = "many bytes" } }
flags "how" { since = "1", doc = "how", width = 64, bits "kind" { 8, 15, enum = "kind", mask = "which", doc = "which" },
	bit "list" { 0, doc = "a list follows" } }

struct "head" { since = "1", doc = "begins each link",
	u16 "what" { enum = "kind", doc = "which" }, u16 "edition" { doc = "of its layout" }, u32 "follows" { doc = "where" } }
struct "bare" { since = "1", doc = "a link alone",
	u16 "what" { doc = "3" }, u16 "edition" { doc = "1" }, u32 "follows" { doc = "where" } }
struct "entry" { since = "1", inside = "look.reply", doc = "an entry",
	u32 "tag" { doc = "its type" }, u32 "length" { doc = "within what the message says" },
	check = { max { "length", outer.total, errno = "ERANGE" } } }
struct "longer" { since = "1", doc = "an entry with more",
	u32 "tag" { doc = "its type" }, u32 "pair" { doc = "is less than more" }, u64 "more" { min = 1, doc = "more" } }
struct "tail" { since = "1", doc = "as long as it says", u32 "n" { doc = "how many" }, bytes "rest" { size = field.n, doc = "bytes" } }

enum "depth" { since = "1", doc = "depths", value "low" { 0, doc = "low" },
	value "deeper" { 1, since = "1a", doc = "deeper" }, value "deepest" { 2, since = "2", requires = cap.sea_deep, doc = "deepest" } }
flags "needy" { since = "1", doc = "need things", bit "wide" { 0, requires = cap.wide, doc = "wide" },
	bit "later" { 1, since = "2", doc = "new" }, bits "depth" { 4, 7, enum = "depth", doc = "how deep" } }
struct "deep" { since = "2", doc = "a field of one that is new", u32 "n" { requires = cap.sea_deep, doc = "how deep" },
	u32 "flags" { flags = "needy", doc = "what it needs" } }
struct "stone" { since = "1", doc = "an entry", u32 "tag" { doc = "its type" }, u32 "weight" { doc = "how heavy" } }
struct "chain_link" { since = "1", doc = "a link alone",
	u16 "what" { doc = "5" }, u16 "edition" { doc = "1" }, u32 "follows" { doc = "where" } }

message "set" {
	id = 1, from = "client", since = "1", post = true, basic = true, fence = true, gate = "command", states = { "on" },
	effect = { field = "mode", set = { "list" } },
	doc = "Sets it.",
	request = {
		argsz { },
		u32 "width" { one_of = { 8, 1, 4, 2 }, errno = { one_of = "ENOTSUP" }, doc = "of an access" },
		u64 "mode" { flags = "how", known_flags = true, known_bits = { "kind" }, errno = { known_flags = "ERANGE" },
			doc = "how" },
		u32 "index" { show = "hex", doc = "which" },
		reserved "pad" { 4 },
	},
	check = {
		min { "index", 1, when = below(field.width, 4) },
		max { "index", 9, when = no(below(field.width, 4)), under = policy.padding.reject },
		zero { "index", when = below(4, field.width), errno = "ERANGE" },
	},
	reply = none,
	errors = { ENOTSUP = "a width no access has", ERANGE = "too much" },
}

message "look" {
	id = 2, from = "client", since = "1",
	doc = "Looks at it.",
	request = {
		u64 "mode" { flags = "how", doc = "how" },
		union "data" { by = field.mode.kind, max = limit.most_bytes, doc = "what for",
			case "few" { of = "tail", doc = "some bytes" } },
	},
	fds = { reply = { min = 1, max = limit.most_fds, when = no(is(field.amount, 0)), doc = "those of the entries" } },
	reply = {
		u32 "total" { min = sizeof_payload, doc = "length of all" },
		u32 "amount" { doc = "number of entries" },
		array "list" { count = field.amount, stride = (field.total - 8) // field.amount, min_stride = 8, whole = field.total,
			max = 4096, by = "tag", doc = "entries of one size",
			variant "entry" { 7, of = "entry", doc = "an entry" },
			variant "longer" { 7, of = "longer", min_stride = 16, doc = "with more" } },
	},
	errors = {},
}

message "links" {
	keeps = [[what is "linked"]], id = 3, from = "server", since = "1",
	doc = "Lists them.",
	request = { u32 "first" { doc = "offset of the first" }, u32 "note" { doc = "anything" },
		chain "list" { at = field.first, head = "head", key = "what", version = "edition", next = "follows", max = 4096,
			when = no(is(field.first, 0)), doc = "a list",
			link "few" { 3, version = 1, of = "bare", doc = "alone" } } },
	reply = { argsz { doc = "length" }, json "text" { optional = true, max = 64, depth = 3, doc = "a text" } },
	errors = {},
}

message "need" {
	id = 4, from = "client", since = "2", requires = cap.wide,
	doc = "Needs much.",
	request = {
		u32 "flags" { flags = "needy", doc = "what it needs" },
		u32 "deep" { requires = cap.sea_deep, min = 2, doc = "how deep" },
		u32 "depth" { enum = "depth", doc = "which depth" },
		u32 "sum" { doc = "a number" },
		bytes "rest" { requires = cap.sea_deep, size = field.sum, max = 64, doc = "bytes" },
		alt "brief" { size = 4, requires = cap.sea_deep, doc = "one number", u32 "sum" { doc = "a number" } },
	},
	check = {
		max { "sum", 9, when = limit.deep },
		min { "sum", 1, when = all { no(limit.deep), limit.wide } },
	},
	reply = { u32 "flags" { flags = "needy", doc = "as in the request" },
		union "data" { by = request.depth, max = 64, doc = "by depth",
			case "deepest" { of = "deep", when = limit.wide, doc = "all" },
			case "deeper" { of = "deep", requires = cap.sea_deep, doc = "the same" } } },
	errors = { ENOSYS = "it was not agreed" },
}

message "needs" {
	id = 5, from = "client", since = "1",
	doc = "Parts that need things.",
	request = { u32 "total" { min = sizeof_payload, doc = "length of all" }, u32 "amount" { doc = "number of entries" },
		array "list" { count = field.amount, stride = (field.total - 8) // field.amount, min_stride = 8, whole = field.total,
			max = 4096, by = "tag", doc = "entries",
			variant "stone" { 7, of = "stone", since = "2", requires = cap.sea_deep, doc = "heavy" } } },
	reply = { u32 "first" { doc = "offset of the first" }, u32 "note" { doc = "anything" },
		chain "list" { at = field.first, head = "head", key = "what", version = "edition", next = "follows", max = 4096,
			when = is(field.note, 1), doc = "a list",
			link "many" { 5, version = 1, of = "chain_link", requires = cap.wide, doc = "alone" } } },
	errors = {},
}

message "entries" {
	id = 6, from = "client", since = "1",
	doc = "Entries of a later revision.",
	request = { u32 "n" { max = 40, doc = "how many" }, u32 "note" { since = "2", min = 3, doc = "anything" },
		array "list" { of = "deep", count = field.n, doc = "entries" } },
	reply = none,
	errors = {},
}
