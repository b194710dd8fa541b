/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * register.c - registers of regions: masks between an access of the client and the memory behind it.
 *
 *	 region's handlers      |  status  | set | clear |     table      |     each with a copy of its struct vfu_register
 *	                           |  w1c     | w1s   | w1c    |  |  |
 *	 region's memory        |  value <----+-------+  |...|..|..|..|..|
 *
 * A register is a handler of its region (device/region.c), so a region without any is served as before,
 * and what an access touches is found, split and put together there. All that masks do is done to bits,
 * so an access to some bytes of a register is one to all of it with masks that are zero elsewhere. A view
 * is a register whose value lies where another's does. An array without gaps and functions is one
 * handler; else each of its registers is one, and functions see accesses of one register alone.
 *
 * The device's threads, and a client that maps the memory, may write it at the same time: what depends on
 * the old value is a compare-and-exchange of the whole register. Memory is little-endian on any host.
 */
#include "device/register.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/os.h"
#include "base/sigbus.h"
#include "base/util.h"
#include "device/masks.h"

/* What a handler of ours owns. */
struct element {
	struct vfui_region *region;
	struct vfu_register reg; /* the first of those it is for; target is set */
};

static uint64_t ones(unsigned bytes)
{
	return bytes >= 8 ? UINT64_MAX : (UINT64_C(1) << bytes * 8) - 1;
}

/* ---- one register's memory ---------------------------------------------------------------------- */

static uint64_t get_le(const uint8_t *at, unsigned len)
{
	uint64_t value = 0;

	while (len--)
		value = value << 8 | at[len];
	return value;
}

static void put_le(uint8_t *at, uint64_t value, unsigned len)
{
	for (; len--; value >>= 8)
		*at++ = (uint8_t)value;
}

union word {
	uint8_t bytes[8], byte;
	uint16_t half;
	uint32_t word;
	uint64_t quad;
};

static union word load(const void *at, unsigned width)
{
	union word now = {.quad = 0};

	if (width == 1)
		now.byte = __atomic_load_n((const uint8_t *)at, __ATOMIC_ACQUIRE);
	else if (width == 2)
		now.half = __atomic_load_n((const uint16_t *)at, __ATOMIC_ACQUIRE);
	else if (width == 4)
		now.word = __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
	else if (sizeof(void *) == 8)
		now.quad = __atomic_load_n((const uint64_t *)at, __ATOMIC_ACQUIRE);
	else
		memcpy(&now, at, sizeof(now));
	return now;
}

/* Puts new where old is. False: something else is there, which old is then. */
static bool exchange(void *at, unsigned width, union word *old, const union word *new)
{
	if (width == 1)
		return __atomic_compare_exchange_n((uint8_t *)at, &old->byte, new->byte, false,
						   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	if (width == 2)
		return __atomic_compare_exchange_n((uint16_t *)at, &old->half, new->half, false,
						   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	if (width == 4)
		return __atomic_compare_exchange_n((uint32_t *)at, &old->word, new->word, false,
						   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	if (sizeof(void *) == 8)
		return __atomic_compare_exchange_n((uint64_t *)at, &old->quad, new->quad, false,
						   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	memcpy(at, new, sizeof(*new));
	return true;
}

/* What a write of data does to a register by masks; what it held before. */
static uint64_t update(uint8_t *at, unsigned width, struct vfui_masks masks, uint64_t data)
{
	union word old = load(at, width), new = {.quad = 0};
	uint64_t value;

	do {
		value = get_le(old.bytes, width);
		put_le(new.bytes, vfui_masks_apply(masks, value, data), width);
	} while (!exchange(at, width, &old, &new));
	return value;
}

int vfui_register_update(struct vfui_regions *regions, unsigned index, uint64_t offset,
			 unsigned width, uint64_t mask, uint64_t value)
{
	uint8_t *memory = vfui_region_memory(regions, index);
	const struct vfui_region *region = memory ? vfui_region_at(regions, index) : NULL;

	if (!region || region->is_readonly ||
	    (width != 1 && width != 2 && width != 4 && width != 8) || offset % width ||
	    !vfui_is_inside(offset, width, region->def.size))
		return -EINVAL;
	update(memory + offset, width, (struct vfui_masks){.write = mask}, value);
	return vfui_watch_is_lost(region->watch) ? -EFAULT : 0;
}

/* ---- an access ---------------------------------------------------------------------------------- */

/* Some bytes of one register: len of them, skip from its start. at is its memory, data the client's. */
static void read_part(const struct vfu_register *reg, uint8_t *at, unsigned skip, unsigned len,
		      uint8_t *data)
{
	struct vfui_masks clear = {.w1c = reg->rc & ones(len) << skip * 8};
	union word now = load(at, reg->width);
	uint64_t value = get_le(now.bytes, reg->width);

	if (clear.w1c)
		value = update(at, reg->width, clear, clear.w1c);
	put_le(data, (value & ~reg->hidden) >> skip * 8, len);
}

static void write_part(const struct vfu_register *reg, uint8_t *at, unsigned skip, unsigned len,
		       uint8_t *data)
{
	uint64_t lane = ones(len) << skip * 8;
	struct vfui_masks masks = {reg->write & lane, reg->w1c & lane, reg->w1s & lane};

	update(at, reg->width, masks, get_le(data, len) << skip * 8);
}

/* An access to registers without gaps, one after the other. */
static void each_part(const struct vfu_register *reg, uint8_t *memory,
		      const struct vfu_access *access)
{
	uint64_t from = access->offset - reg->offset;

	for (uint32_t done = 0, len; done < access->count; done += len) {
		unsigned skip = (unsigned)((from + done) % reg->width);
		uint8_t *at = memory + reg->target + (from + done - skip);
		uint8_t *data = (uint8_t *)access->data + done;

		len = (uint32_t)vfui_min(reg->width - skip, access->count - done);
		(access->is_write ? write_part : read_part)(reg, at, skip, len, data);
	}
}

/* Several registers whose masks do not matter are memory, of any length. */
static void access_memory(const struct vfu_register *reg, uint8_t *memory,
			  const struct vfu_access *access)
{
	uint8_t *at = memory + reg->target + (access->offset - reg->offset);
	uint64_t all = ones(reg->width);
	bool several = access->count > reg->width;

	if (access->is_write && !(reg->write | reg->w1c | reg->w1s))
		return;
	if (several && access->is_write && reg->write == all)
		vfui_memory_write(at, access->data, access->count);
	else if (several && !access->is_write && !reg->rc && !reg->hidden)
		vfui_memory_read(access->data, at, access->count);
	else if (!access->is_write && !reg->rc && reg->hidden == all)
		memset(access->data, 0, access->count);
	else
		each_part(reg, memory, access);
}

/* Callback of handlers. The function that it calls last may take the register away. */
static int on_access(void *user, struct vfu_request *req, const struct vfu_access *access)
{
	struct element *element = user;
	const struct vfu_register *reg = &element->reg;
	struct vfui_region *region = element->region;
	vfu_access_fn *instead = access->is_write ? reg->on_write : reg->on_read;

	if (instead)
		return instead(reg->user, req, access);
	if (!region->memory)
		return -ENOMEM;
	access_memory(reg, region->memory, access);
	if (vfui_watch_is_lost(region->watch))
		return -EFAULT;
	if (access->is_write && reg->on_written)
		return reg->on_written(reg->user, req, access);
	return 0;
}

/* ---- adding ------------------------------------------------------------------------------------- */

static int check_masks(const struct vfu_register *reg, struct vfu_err *err)
{
	uint64_t all = ones(reg->width);
	const struct {
		const char *field;
		uint64_t bits, others;
	} masks[] = {
		{"register.write", reg->write, reg->w1c | reg->w1s},
		{"register.w1c", reg->w1c, reg->w1s},
		{"register.w1s", reg->w1s, 0},
		{"register.hidden", reg->hidden, 0},
		{"register.rc", reg->rc, 0},
	};

	for (size_t i = 0; i < VFUI_ARRAY_SIZE(masks); i++) {
		if (masks[i].bits & ~all)
			return vfui_err_set(err, -EINVAL, masks[i].field, 0,
					    "bits beyond the %u bytes of the register", reg->width);
		if (masks[i].bits & masks[i].others)
			return vfui_err_set(err, -EINVAL, masks[i].field, 0,
					    "a bit is either written, or cleared or set by a one");
	}
	return 0;
}

/* Whether count registers of a stride lie in the region, the first at offset. */
static bool is_inside(const struct vfu_register *reg, uint64_t offset, uint64_t region)
{
	uint64_t last = reg->count - UINT64_C(1);

	return !(offset % reg->width) && vfui_is_inside(offset, reg->width, region) &&
	       last <= (region - offset - reg->width) / reg->stride;
}

static int check_place(const struct vfui_region *region, const struct vfu_register *reg,
		       struct vfu_err *err)
{
	uint64_t size = region->def.size;

	if (reg->width != 1 && reg->width != 2 && reg->width != 4 && reg->width != 8)
		return vfui_err_set(err, -EINVAL, "register.width", 0, "1, 2, 4 or 8 bytes, not %u",
				    reg->width);
	if (reg->flags & ~(uint32_t)VFU_REGISTER_VIEW)
		return vfui_err_set(err, -EINVAL, "register.flags", 0, "unknown flags 0x%x",
				    reg->flags);
	if (!reg->stride || reg->stride % reg->width)
		return vfui_err_set(err, -EINVAL, "register.stride", 0, "not a multiple of %u",
				    reg->width);
	if (!is_inside(reg, reg->offset, size))
		return vfui_err_set(err, -EINVAL, "register.offset", 0,
				    "not a multiple of its width inside the region");
	if (!is_inside(reg, reg->target, size))
		return vfui_err_set(err, -EINVAL, "register.target", 0,
				    "not a multiple of its width inside the region");
	if (region->is_readonly && reg->rc)
		return vfui_err_set(err, -EINVAL, "register.rc", 0,
				    "the region's file can not be written");
	return check_masks(reg, err);
}

/* A handler for count registers without gaps, counted from number first. */
static int make_handler(struct vfui_region *region, const struct vfu_register *reg, uint64_t first,
			uint64_t count, struct vfui_handler *out)
{
	struct element *element = vfui_os_malloc(sizeof(*element));

	if (!element)
		return -ENOMEM;
	element->region = region;
	element->reg = *reg;
	element->reg.offset += first * reg->stride;
	element->reg.target += first * reg->stride;
	*out = (struct vfui_handler){.first = element->reg.offset,
				     .last = element->reg.offset + count * reg->width - 1,
				     .fn = on_access,
				     .user = element,
				     .is_owned = true};
	return 0;
}

static int add_all(struct vfui_region *region, const struct vfu_register *reg)
{
	bool as_one =
		reg->stride == reg->width && !reg->on_read && !reg->on_write && !reg->on_written;
	uint32_t n = as_one ? 1 : reg->count, made = 0;
	struct vfui_handler *handlers = vfui_os_calloc(n, sizeof(*handlers));
	int rc = handlers ? 0 : -ENOMEM;

	for (; made < n && !rc; made += !rc)
		rc = make_handler(region, reg, made, reg->count / n, &handlers[made]);
	if (!rc)
		rc = vfui_region_add_handlers(region, handlers, n);
	while (rc && made)
		vfui_os_free(handlers[--made].user);
	vfui_os_free(handlers);
	return rc;
}

int vfui_register_add(struct vfui_regions *regions, unsigned index, const struct vfu_register *reg,
		      struct vfu_err *err)
{
	struct vfui_region *region = vfui_region_at(regions, index);
	struct vfu_register all = {0};
	int rc;

	if (reg->size < offsetof(struct vfu_register, write) || reg->size > sizeof(all))
		return vfui_err_set(err, -EINVAL, "register.size", 0,
				    "size %zu is not that of struct vfu_register", reg->size);
	memcpy(&all, reg, reg->size);
	all.count = all.count ? all.count : 1;
	all.stride = all.stride ? all.stride : all.width;
	if (!(all.flags & VFU_REGISTER_VIEW))
		all.target = all.offset;
	if (!region || !region->def.size || (region->def.access && !region->memory))
		return vfui_err_set(err, -EINVAL, "register.offset", 0,
				    "region %u is not a region of memory", index);
	rc = check_place(region, &all, err);
	if (rc)
		return rc;
	rc = add_all(region, &all);
	if (rc == -EEXIST)
		vfui_err_set(err, rc, "register.offset", 0,
			     "overlaps another register or a handler's range");
	return rc == -ENOMEM ? vfui_err_set(err, rc, NULL, 0, "no memory for a register") : rc;
}
