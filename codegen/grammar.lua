-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- The grammar of a spec: every word that makes something, and each key it takes.  load.lua makes the
-- constructors of it, check.lua holds each key against it, and it prints the tables of spec/README.md.
--
--	word  "message"      named unless `unnamed`; `numbers` stand first in its braces
--	items "u32 bytes"    what may stand in its braces without a key
--	top                  it may stand alone in a file
--	unique "id name"     no two of one list have the same
--	      { "id!", "integer 1 65535", "its number" }    a key; "!": mandatory; the types are check.lua's

local rules = require "rules"

local M = { kinds = {}, order = {} }

local function keyed(list)
	local out = {}
	for _, k in ipairs(list) do
		local name, must = k[1]:match("^(.-)(!?)$")
		local key = { name = name, shown = k[2], doc = k[3], required = must == "!", args = {} }
		for word in k[2]:gmatch("%S+") do
			table.insert(key.args, word)
		end
		key.type = table.remove(key.args, 1)
		out[#out + 1], out[name] = key, key
	end
	return out
end

local function kind(name)
	return function(k)
		k.keys = keyed(k)
		k.items_set = {}
		for item in (k.items or ""):gmatch("%S+") do
			k.items_set[item] = true
		end
		M.kinds[name] = k
		M.order[#M.order + 1] = name
	end
end

-- Keys that many words share.
local doc = { "doc!", "text", "what it is, in English" }
local since = { "since!", "revision", "the first revision that has it" }
local since_own = { "since", "revision", "as above; that of what is around it, if not given" }
local requires = { "requires", "capability", "`cap.NAME`, a `bool` of VERSION that sets a limit: it needs that, see above" }
local status = { "status", "one stable experimental retired", "`\"stable\"` if not given" }
local max = { "max", "room", "most bytes, or a limit that counts bytes; mandatory in a payload" }
local whole = { "whole", "expression", "how long the full payload would be: a shorter one is not looked into" }
local when = { "when", "condition", "where it holds" }
local of = { "of!", "word", "a struct" }

local scalars = "u8 u16 u32 u64 reserved argsz"
local field = {
	doc, since_own, requires,
	{ "flags", "word", "the flag set its bits belong to" },
	{ "enum", "word", "the numbers it may be" },
	{ "show", "one hex", "how traces show it, if not as a decimal number" },
	{ "under", "policies", "rules of it that hold only under a choice: `{ min = policy.zero_count.reject }`" },
	{ "errno", "errnos", "rules of it that give another errno than `EINVAL`: `{ min = \"ERANGE\" }`" },
}
for _, rule in ipairs(rules.list) do
	if rule.where == "field" then
		field[#field + 1] = { rule.name, rule.takes, "a rule, see below" }
	end
end

kind "protocol" {
	top = true, unnamed = true, items = "header", about = "the whole, once, in `protocol.lua`",
	doc,
	{ "files", "words", "the other files, in order" },
	{ "revisions!", "records revision", "what `since` may say, in order" },
	{ "reserved", "policy", "the choice under which `reserved` fields must be zero; always, if not given" },
	{ "profiles", "words", "sets of choices for all policies" },
	{ "states", "word", "the enum of device states, for the key `states` of messages" },
}
kind "revision" {
	inner = true, about = "one of `revisions`",
	{ "name!", "string", "its name in `since`" },
	{ "doc!", "text", "what it is" },
	{ "version", "version", "`\"MAJOR.MINOR\"`, if peers agree on it in VERSION: then what is of it needs that, see above" },
}
kind "header" { unnamed = true, items = "u16 u32", about = "what precedes every payload", doc }
kind "limits" {
	top = true, unnamed = true, items = "u32 u64 bool", items_as = "limit",
	about = "what checks can compare with, as `limit.max_msg_fds`; once", doc,
}
kind "limit" {
	about = "`u32`, `u64` or `bool` in `limits`", inner = true, unique = "name",
	doc,
	{ "default!", "value", "what holds before anything is agreed" },
	{ "min", "integer", "the least it can be; mandatory but for a `bool`" },
	{ "max", "integer", "the most" },
	{ "power_of_two", "bool", "allows it in `multiple_of`" },
	{ "counts", "one descriptors bytes minor",
	  "what it is the most of: descriptors in a message, bytes of data; or it is the minor version agreed" },
	{ "test", "integer", "its value in generated tests; better not the default" },
}
kind "flags" {
	top = true, items = "bit bits", unique = "name", about = "a flag set. Names in C: `VFU_WIRE_DMA_MAP_READABLE`",
	doc, since,
	{ "width", "one 32 64", "32 if not given" },
}
kind "bit" { numbers = 1, unique = "name", about = "one bit: `bit \"readable\" { 0, doc = … }`",
	     doc, since_own, requires, status }
kind "bits" {
	numbers = 2, unique = "name", about = "several bits, which hold a number: first and last",
	doc, since_own, requires, status,
	{ "enum", "word", "what the number may be" },
	{ "mask", "word", "the end of its mask's name in C; its name and `_mask`, if not given" },
}
kind "enum" { top = true, items = "value", unique = "name", about = "named numbers", doc, since }
kind "value" { numbers = 1, unique = "name number", about = "one of them: `value \"stop\" { 1, doc = … }`",
	       doc, since_own, requires, status }
kind "struct" {
	top = true, items = scalars .. " array bytes", unique = "name",
	about = "a nested layout; it must stand before its first use",
	doc, since, status,
	{ "inside", "string", "ties it to one payload, as `\"get_region_info.reply\"`, whose fields are then `outer.NAME`" },
	{ "check", "rules", "rules across its fields" },
}
kind "message" {
	top = true, unique = "id name", about = "a command and its reply",
	doc, since, requires, status,
	{ "id!", "integer 1 65535", "its number" },
	{ "from!", "one client server", "who asks" },
	{ "post", "bool", "may be sent with No_reply; others are answered, and what a server does with such a bit is E68" },
	{ "basic", "bool", "every server knows it; others are not sent to one of which it is said that it knows no more (E71)" },
	{ "fence", "bool", "no later request starts before it is answered" },
	{ "gate", "one dma_map dma_unmap reset feature_set command", "the question the device is asked first, and may refuse" },
	{ "effect", "record effect", "fence and gate hold only with these bits of the request" },
	{ "keeps", "text", "what the library keeps of it, so that it is not left to users; without, they may send and serve it" },
	{ "states", "words", "device states in which it is lawful, else EINVAL; none: all" },
	{ "request!", "part", "`none`, or `{ fields … }`" },
	{ "reply!", "part", "the same" },
	{ "check", "rules", "rules of the request that are no key of one field" },
	{ "fds", "record sides", "descriptors that come along; a part without an entry takes none: what comes is closed" },
	{ "errors!", "errors", "errno and a sentence for each" },
}
kind "effect" {
	inner = true, about = "of a message",
	{ "field!", "word", "a field of the request" },
	{ "set!", "words", "its bits that are set" },
	{ "clear", "words", "its bits that are clear" },
}
kind "sides" {
	inner = true, about = "the `fds` of a message",
	{ "request", "record fds", "with the request" },
	{ "reply", "record fds", "with the reply" },
}
kind "fds" {
	inner = true, about = "one side of them",
	{ "doc!", "text", "what they are" },
	{ "min", "expression", "at least so many" },
	{ "max", "expression", "at most so many; 0 refuses the message" },
	{ "count", "expression", "exactly so many" },
	{ "or_none", "bool", "or none, with `count`" },
	{ "when", "condition", "where the numbers hold; beyond that they are closed silently" },
	{ "extra", "one close", "what is too much is closed silently" },
}
kind "part" {
	inner = true, items = scalars .. " bytes array chain union json alt", about = "the braces of `request` and `reply`",
	{ "check", "rules", "rules across its fields" },
	{ "longer", "room", "up to so many bytes are accepted, or so many more with a limit; the rest is unread" },
}
for word in ("u8 u16 u32 u64"):gmatch("%S+") do
	kind(word)(table.move(field, 1, #field, 1, {
		unique = "name", fields = true, hidden = word ~= "u8",
		about = "a field; `u16`, `u32` and `u64` likewise. Rules of it are keys, too",
	}))
end
kind "reserved" {
	numbers = 1, unique = "name",
	about = "padding of so many bytes, as `reserved \"pad\" { 4 }`: zero, under the choice that `protocol` names",
	{ "doc", "text", "`\"unused\"` if not given" }, since_own,
	{ "flags", "word", "as in a field, like the rest" },
	{ "show", "one hex", "" },
}
kind "argsz" {
	unnamed = true, about = "a `u32` of that name that is at least the size of the fixed part",
	{ "doc", "text", "`\"size of this payload\"` if not given" }, since_own,
}
kind "bool" { unique = "name", hidden = true }
kind "bytes" {
	unique = "name", about = "bytes without structure",
	doc, since_own, requires, max, when,
	{ "size!", "expression", "how many" },
}
kind "json" {
	unique = "name", about = "a text that ends with its NUL",
	doc, since_own, requires, max,
	{ "depth!", "integer 1", "most levels of objects and arrays in one another" },
	{ "optional", "bool", "it may be left out" },
	{ "schema", "one capabilities", "what it says" },
}
local max_of_array = { "max", "room",
	"most bytes, or a limit that counts bytes; mandatory in a payload, unless `count` is a number, or a field with a `max`" }
kind "array" {
	unique = "name", items = "variant",
	about = "entries of one size. With `stride` they tell it themselves, and their type in the field `by`",
	doc, since_own, requires, max_of_array, whole,
	{ "count!", "expression", "how many" },
	{ "of", "word", "a struct, or `\"u64\"` and the like" },
	{ "more", "bool", "bytes may follow" },
	{ "disjoint", "words", "`{ start, length }`: fields of entries that do not overlap" },
	{ "stride", "expression", "bytes of an entry: a division" },
	{ "min_stride", "integer 1", "the least" },
	{ "by", "word", "the field that tells an entry's type" },
}
kind "variant" {
	numbers = 1, unique = "name", about = "one type of entries; others are skipped",
	doc, since_own, requires, of,
	{ "min_stride", "integer 1", "only for entries so long; the longest that fits is taken" },
}
kind "chain" {
	unique = "name", items = "link", about = "a linked list; links of unknown type are skipped",
	doc, since_own, requires, max, when, whole,
	{ "at!", "expression", "offset of the first" },
	{ "head!", "word", "the struct that begins each" },
	{ "key!", "word", "its field that tells the type" },
	{ "version!", "word", "its field that tells the version" },
	{ "next!", "word", "its field that tells where the next one lies; 0 ends the list" },
}
kind "link" {
	numbers = 1, unique = "name number", about = "one type of links",
	doc, since_own, requires, of,
	{ "version", "integer", "others are skipped" },
	{ "excludes", "words", "links that cannot stand in the same list" },
}
kind "union" {
	unique = "name", items = "case", about = "a layout for each value; what no case takes is left to the receiver",
	doc, since_own, requires, max,
	{ "by!", "expression", "a field or bits with an enum" },
}
kind "case" {
	about = "the layout for one value, which is its name", doc, since_own, requires, when, of,
	{ "optional", "bool", "it may be left out" },
}
kind "alt" {
	unique = "name", items = scalars, about = "another layout, told by its length; stands last",
	doc, since_own, requires, when,
	{ "size!", "integer", "its length" },
	{ "under", "policy", "only under this choice" },
}
kind "capability" {
	top = true, unique = "field", about = "a key of VERSION",
	doc, since, status,
	{ "type!", "one bool u32 u64", "what it is" },
	{ "default!", "value", "what is meant if it is absent" },
	{ "min", "integer", "the least that is lawful; mandatory but for a `bool`" },
	{ "max", "integer", "the most" },
	{ "multiple_of", "integer", "what divides it" },
	{ "signed", "bool", "its default -1 says that it is absent" },
	{ "combine!", "one own min and echo", "what holds of two sides' values: `\"own\"`: for each receiver what it has said itself; "
	  .. "`\"min\"`: the smaller; `\"and\"`: true if both are; `\"echo\"`: the client's, which the server repeats" },
	{ "limit", "word", "the limit that it sets" },
	{ "as", "one lowest_bit", "the limit is not the value but its lowest bit that is set" },
	{ "ours", "record ours", "what this library says of it; without, nothing until its user says it" },
	{ "kept", "bool", "the library sees to it: its user cannot say it" },
	{ "feature", "bool", "answered only if proposed" },
	{ "in_request!", "bool", "the client may send it" },
	{ "in_reply!", "bool", "the server may" },
	{ "drop!", "integer 0", "what leaves a reply that grows too long, once all that states a default has: 1 first, equal ones together, 0 never; a new one: above all others" },
}
kind "ours" {
	inner = true, about = "of a capability",
	{ "value", "value", "what we say if our user does not; nothing, if not given: off until they say it" },
	{ "min", "integer", "the least our user can say" },
	{ "max", "integer", "the most, and the most that its limit becomes whatever the peer says" },
}
kind "object" {
	top = true, items = "capability", unique = "field", about = "a JSON object of them in VERSION, sent with what lies in it",
	doc, since, status,
}
kind "erratum" {
	top = true, unnamed = true, numbers = 1, unique = "number policy",
	about = "where the protocol's text is wrong, silent or not followed",
	{ "subject", "one messages version device regions interrupts dma migration", "what it is about; a page of the site has them by it" },
	{ "messages", "words", "those that it is about" },
	{ "general", "bool", "it is about all of them" },
	{ "title!", "text", "a headline" },
	{ "text!", "text", "what the text says" },
	{ "peers!", "text", "what implementations do" },
	{ "decision!", "text", "what we do" },
	{ "policy", "word", "a field of `struct vfui_policy`, which rules name as `policy.map_repeat.reject`" },
	{ "choices", "words", "its values, the first is our default" },
	{ "profiles", "texts", "its value in each profile" },
}
kind "rule" {
	inner = true, about = "in `check`: `min { \"size\", 1, when = … }`", when,
	{ "under", "policy", "only under this choice" },
	{ "errno", "errno", "`\"EINVAL\"` if not given" },
}

return M
