-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 the libvfu authors
--
-- parts.h: what follows the fields of payloads, read and built piece by piece.  It is installed, so all of it
-- is inline.  As in wire.h what one file of the spec says stands in a header of its own, parts-FILE.h, which is
-- made of what parts-base.h has.

local cname = require "cname"
local cparts = require "cparts"
local tails = require "tail"
local text = require "text"

local whole = cname.banner:format("parts_h") .. [[
#ifndef VFU_PARTS_H
#define VFU_PARTS_H

/*
 * What follows the fields of a payload, piece by piece.
 *
 *	| fields | piece | piece | ...             parse: where they begin; next: one after the other
 *	  |  |       |
 *	  |  +-at    +-- its own pieces            parse again, with data and rest of the piece
 *	  +- count
 *
 * Reading: any bytes will do, of any alignment.  Of a payload whose check passed next gives all that is there:
 * no call fails.  Of one that is cut short, as replies are where argsz had no room, or wrong, it gives what
 * lies in it whole.  Nothing is kept or allocated, and nothing behind len is read.
 *
 *	struct vfu_wire_items items = vfu_wire_get_region_info_reply_caps_parse(payload, len);
 *	struct vfu_wire_get_region_info_reply_caps cap;
 *
 *	while (vfu_wire_get_region_info_reply_caps_next(&items, &cap))
 *		if (cap.kind == VFU_WIRE_GET_REGION_INFO_REPLY_CAPS_TYPE)
 *			use(cap.as.type.type);
 *
 * Building: build begins with the fields, add appends a piece; a piece's own pieces are added before the
 * next one.  Counts, offsets, the flag that says there are some, and the payload's own length are set as
 * they come.  What does not fit in the room is counted and not written: in the end b.len is how long all
 * would be, and if that is at most b.room all is there.
 *
 *	vfu_wire_get_region_info_reply_build(&b, buf, room, &info);
 *	vfu_wire_get_region_info_reply_caps_add_sparse_mmap(&b, &cap);
 *	vfu_wire_sparse_mmap_areas_add(&b, &area);
 *	if (b.len > b.room)
 *		...	// the fields alone; argsz, which is among them, says how much it takes
 */

${includes}

#endif /* VFU_PARTS_H */
]]

local base = cname.banner:format("parts_h") .. [[
#ifndef VFU_PARTS_BASE_H
#define VFU_PARTS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Pieces that have not been read yet. */
struct vfu_wire_items {
	const uint8_t *from; /* the payload or structure */
	size_t len;
	size_t at;     /* of the next piece */
	uint64_t left; /* at most so many more */
	uint64_t size; /* of each, where they have one */
};

static inline struct vfu_wire_items vfu_wire_items_none(const void *payload, size_t len)
{
	struct vfu_wire_items items;

	items.from = (const uint8_t *)payload;
	items.len = len;
	items.at = 0;
	items.left = items.size = 0;
	return items;
}

static inline void vfu_wire_items_start(struct vfu_wire_items *items, uint64_t at, uint64_t left,
					uint64_t size)
{
	if (at > items->len)
		return;
	items->at = (size_t)at;
	items->left = left;
	items->size = size;
}

/* So many bytes at the next piece, which stays that. */
static inline bool vfu_wire_items_read(const struct vfu_wire_items *items, void *out, size_t size)
{
	if (items->left == 0 || items->at > items->len || items->len - items->at < size)
		return false;
	memcpy(out, items->from + items->at, size);
	return true;
}

/* The next of pieces of one size, which has at least so many bytes; NULL: there is none. */
static inline const uint8_t *vfu_wire_items_take(struct vfu_wire_items *items, size_t least)
{
	const uint8_t *data = items->from + items->at;

	if (items->left == 0 || items->size < least || items->len - items->at < items->size) {
		items->left = 0;
		return NULL;
	}
	items->at += (size_t)items->size;
	items->left--;
	return data;
}

/* Leaves out the next n pieces of one size. */
static inline void vfu_wire_items_skip(struct vfu_wire_items *items, uint64_t n)
{
	if (n > items->left || (items->size > 0 && n > (items->len - items->at) / items->size)) {
		items->left = 0;
		return;
	}
	items->at += (size_t)(n * items->size);
	items->left -= n;
}

/* A payload in the making. */
struct vfu_wire_builder {
	uint8_t *buf;
	size_t room;
	size_t len;	/* of all, also of what had no room */
	size_t written; /* of what had */
	size_t measure; /* where the payload says how long it is, in a u32; SIZE_MAX: nowhere */
	size_t part;	/* the structure to which pieces are added */
	size_t last;	/* the last link of a list; 0: none */
};

/* A number in what is there: keeps some of its bits, and adds. */
static inline void vfu_wire_builder_change(struct vfu_wire_builder *b, size_t at, size_t size,
					   uint64_t keep, uint64_t add)
{
	uint8_t *place;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	if (at > b->written || b->written - at < size)
		return;
	place = b->buf + at;
	switch (size) {
	case 1:
		*place = (uint8_t)((*place & keep) + add);
		break;
	case 2:
		memcpy(&u16, place, sizeof(u16));
		u16 = (uint16_t)((u16 & keep) + add);
		memcpy(place, &u16, sizeof(u16));
		break;
	case 4:
		memcpy(&u32, place, sizeof(u32));
		u32 = (uint32_t)((u32 & keep) + add);
		memcpy(place, &u32, sizeof(u32));
		break;
	default:
		memcpy(&u64, place, sizeof(u64));
		u64 = (u64 & keep) + add;
		memcpy(place, &u64, sizeof(u64));
	}
}

static inline void vfu_wire_builder_begin(struct vfu_wire_builder *b, void *buf, size_t room,
					  size_t measure)
{
	b->buf = (uint8_t *)buf;
	b->room = room;
	b->len = b->written = b->part = b->last = 0;
	b->measure = measure;
}

/* So many bytes more; NULL: zeros.  Returns where they begin. */
static inline size_t vfu_wire_builder_append(struct vfu_wire_builder *b, const void *data, size_t size)
{
	size_t at = b->len;
	uint32_t said = 0;

	if (size > 0 && at == b->written && b->room - at >= size) {
		if (data)
			memcpy(b->buf + at, data, size);
		else
			memset(b->buf + at, 0, size);
		b->written = at + size;
	}
	b->len = size > SIZE_MAX - at ? SIZE_MAX : at + size;
	if (b->measure <= b->written && b->written - b->measure >= sizeof(said)) {
		memcpy(&said, b->buf + b->measure, sizeof(said));
		if (said < b->len)
			vfu_wire_builder_change(b, b->measure, sizeof(said), 0, b->len);
	}
	return at;
}

/* Zeros up to a multiple of so many bytes. */
static inline void vfu_wire_builder_align(struct vfu_wire_builder *b, size_t size)
{
	if (b->len % size)
		vfu_wire_builder_append(b, NULL, size - b->len % size);
}

/* Quotients of numbers that nobody has checked. */
static inline uint64_t vfu_wire_divide(uint64_t a, uint64_t b)
{
	return b ? a / b : 0;
}

static inline uint64_t vfu_wire_divide_up(uint64_t a, uint64_t b)
{
	return b ? a / b + (a % b != 0) : 0;
}

#endif /* VFU_PARTS_BASE_H */
]]

local one = cname.banner:format("parts_h") .. [[
#ifndef ${guard}
#define ${guard}

#include "parts-base.h"
${includes}

${structs}

${payloads}

#endif /* ${guard} */
]]

local function part(out, p, outer)
	local g = cparts.generator(p, outer)
	if p.message and p.tail then
		g:build_payload()
	end
	if p.tail then
		tails[p.tail.kind].c_parse(g, p.tail)
		tails[p.tail.kind].c_build(g, p.tail)
	end
	for _, alt in ipairs(p.alts) do
		tails.alt.c_parse(g, alt)
	end
	table.move(g.out, 1, #g.out, #out + 1, out)
end

local function includes(prefix, files)
	return text.map(files, function(file) return ('#include "%s-%s.h"'):format(prefix, file:match("^(.*)%.lua$")) end)
end

-- What one file says, and the files of the structures in it.
local function parts(model, file)
	local vars, used = { structs = {}, payloads = {} }, {}
	for _, s in ipairs(cname.of(file, model.structs)) do
		part(vars.structs, s, cname.outer(model, s))
	end
	for _, m in ipairs(cname.of(file, model.messages)) do
		for _, p in ipairs { m.request, m.reply } do
			part(vars.payloads, p)
			tails.each_part(p, function(inner) used[inner] = true end)
		end
	end
	vars.includes = includes("wire", text.map(model.files, function(other)
		return (other == file or text.map(cname.of(other, model.structs), function(s) return used[s] end)[1]) and other or nil
	end))
	return vars
end

-- name: of a file of the spec, for its own header; "base"; nil: parts.h
return function(model, name)
	local vars
	if name == "base" then
		vars = {}
	elseif name then
		vars = parts(model, name .. ".lua")
		vars.guard = ("VFU_PARTS_%s_H"):format(name:upper())
	else
		vars = { includes = includes("parts", text.map(model.files, function(file)
			local found = parts(model, file)
			return (found.structs[1] or found.payloads[1]) and file or nil
		end)) }
	end
	return (text.fill(name == "base" and base or name and one or whole, vars):gsub("\n\n\n+", "\n\n"))
end
