/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * iova.c - which addresses are free for DMA ranges.
 *
 * Three trees. Reserved and used ranges are what users have said; free ones are all else between the
 * first and the last address, as few and as long as can be, and tell the longest of each subtree, so
 * that the lowest that fits is found on one way down:
 *
 *     first                                                                              last
 *       |   free   | used | used |     free     |  reserved  | used |          free        |
 *
 * Used ranges do not overlap one another. One that was asked for may lie over reserved addresses, and
 * beyond the ends; given back, only that becomes free which is neither.
 */
#include <errno.h>

#include "base/os.h"
#include "device/ranges.h"
#include "vfu.h"

/* Writes of a device to these are interrupts on x86, and reach no memory. */
#define MSI_FIRST 0xfee00000u
#define MSI_SIZE 0x100000u
#define PAGE 4096u

struct vfu_iova {
	pthread_mutex_t lock;
	uint64_t first, last;
	struct vfui_ranges free, used, reserved;
};

static uint64_t higher(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- ranges of a tree; with the lock */

static struct vfui_range *range_new(uint64_t first, uint64_t last)
{
	struct vfui_range *range = vfui_os_calloc(1, sizeof(*range));

	if (range) {
		range->first = first;
		range->last = last;
	}
	return range;
}

/* The lowest of a tree that has an address of these. */
static struct vfui_range *overlap(struct vfui_ranges *tree, uint64_t first, uint64_t last)
{
	struct vfui_range *range = vfui_ranges_from(tree, first);

	return range && range->first <= last ? range : NULL;
}

static void clear(struct vfui_ranges *tree)
{
	while (tree->root) {
		struct vfui_range *range = tree->root;

		vfui_ranges_remove(tree, range);
		vfui_os_free(range);
	}
}

/*
 * These are free no more. One range may become two: spare is for that, and is taken.
 */
static void carve(struct vfu_iova *space, uint64_t first, uint64_t last, struct vfui_range *spare)
{
	struct vfui_range *range;

	while ((range = overlap(&space->free, first, last))) {
		uint64_t end = range->last;

		vfui_ranges_remove(&space->free, range);
		if (end > last) {
			spare->first = last + 1;
			spare->last = end;
			vfui_ranges_insert(&space->free, spare);
			spare = NULL;
		}
		if (range->first < first) {
			range->last = first - 1;
			vfui_ranges_insert(&space->free, range);
		} else {
			vfui_os_free(range);
		}
	}
	vfui_os_free(spare);
}

/* These, none of which is, are free. range: to be used; NULL: without memory they are lost. */
static void add_free(struct vfu_iova *space, uint64_t first, uint64_t last,
		     struct vfui_range *range)
{
	struct vfui_range *low = first ? overlap(&space->free, first - 1, first - 1) : NULL;
	struct vfui_range *high =
		last < UINT64_MAX ? overlap(&space->free, last + 1, last + 1) : NULL;

	if (low) {
		first = low->first;
		vfui_ranges_remove(&space->free, low);
	}
	if (high) {
		last = high->last;
		vfui_ranges_remove(&space->free, high);
	}
	if (!range) {
		range = low ? low : high;
		high = range == high ? NULL : high;
		low = NULL;
	}
	vfui_os_free(low);
	vfui_os_free(high);
	if (!range)
		return;
	range->first = first;
	range->last = last;
	vfui_ranges_insert(&space->free, range);
}

/* Those between the ends that are not reserved are free. Takes range. */
static void put_back(struct vfu_iova *space, struct vfui_range *range)
{
	uint64_t at = higher(range->first, space->first);
	uint64_t last = range->last < space->last ? range->last : space->last;

	while (at <= last) {
		const struct vfui_range *taboo = overlap(&space->reserved, at, last);

		if (!taboo || taboo->first > at) {
			add_free(space, at, taboo ? taboo->first - 1 : last,
				 range ? range : range_new(0, 0));
			range = NULL;
		}
		if (!taboo || taboo->last >= last)
			break;
		at = taboo->last + 1;
	}
	vfui_os_free(range);
}

/* ---- public */

struct vfu_iova *vfu_iova_new(uint64_t first, uint64_t last)
{
	struct vfu_iova *space = first <= last ? vfui_os_calloc(1, sizeof(*space)) : NULL;
	struct vfui_range *all = space ? range_new(first, last) : NULL;

	if (!all || vfui_os_mutex_init(&space->lock)) {
		vfui_os_free(all);
		vfui_os_free(space);
		return NULL;
	}
	space->first = first;
	space->last = last;
	vfui_ranges_insert(&space->free, all);
	if (vfu_iova_reserve(space, MSI_FIRST, MSI_SIZE)) {
		vfu_iova_free(space);
		return NULL;
	}
	return space;
}

void vfu_iova_free(struct vfu_iova *space)
{
	if (!space)
		return;
	clear(&space->free);
	clear(&space->used);
	clear(&space->reserved);
	vfui_os_mutex_fini(&space->lock);
	vfui_os_free(space);
}

/* Two that a change takes; false: neither. */
static bool take_memory(uint64_t first, uint64_t last, struct vfui_range **range,
			struct vfui_range **spare)
{
	*range = range_new(first, last);
	*spare = *range ? range_new(0, 0) : NULL;
	if (!*spare)
		vfui_os_free(*range);
	return *spare;
}

int vfu_iova_reserve(struct vfu_iova *space, uint64_t iova, uint64_t size)
{
	uint64_t last = iova + (size - 1);
	struct vfui_range *range, *spare, *other;

	if (!size || last < iova)
		return -EINVAL;
	if (!take_memory(iova, last, &range, &spare))
		return -ENOMEM;
	vfui_os_lock(&space->lock);
	carve(space, iova, last, spare);
	while ((other = overlap(&space->reserved, iova, last))) {
		range->first = other->first < range->first ? other->first : range->first;
		range->last = higher(other->last, range->last);
		vfui_ranges_remove(&space->reserved, other);
		vfui_os_free(other);
	}
	vfui_ranges_insert(&space->reserved, range);
	vfui_os_unlock(&space->lock);
	return 0;
}

/* range is in use from now on, if nothing of it was. */
static int use(struct vfu_iova *space, struct vfui_range *range, struct vfui_range *spare)
{
	if (overlap(&space->used, range->first, range->last))
		return -EEXIST;
	carve(space, range->first, range->last, spare);
	vfui_ranges_insert(&space->used, range);
	return 0;
}

int vfu_iova_take(struct vfu_iova *space, uint64_t iova, uint64_t size)
{
	uint64_t last = iova + (size - 1);
	struct vfui_range *range, *spare;
	int ret;

	if (!size || last < iova)
		return -EINVAL;
	if (!take_memory(iova, last, &range, &spare))
		return -ENOMEM;
	vfui_os_lock(&space->lock);
	ret = use(space, range, spare);
	vfui_os_unlock(&space->lock);
	if (ret) {
		vfui_os_free(range);
		vfui_os_free(spare);
	}
	return ret;
}

int vfu_iova_alloc(struct vfu_iova *space, uint64_t size, uint64_t align, uint64_t last,
		   uint64_t *iova)
{
	struct vfui_range *range, *spare;
	int ret = -ENOSPC;

	if (!size || align & (align - 1))
		return -EINVAL;
	if (!take_memory(0, 0, &range, &spare))
		return -ENOMEM;
	align = higher(align, PAGE);
	vfui_os_lock(&space->lock);
	/* The lowest that there is: if it is too high, all are. */
	if (vfui_ranges_fit(&space->free, size - 1, align - 1, &range->first) &&
	    range->first <= last && last - range->first >= size - 1) {
		range->last = range->first + (size - 1);
		*iova = range->first;
		ret = use(space, range, spare);
	}
	vfui_os_unlock(&space->lock);
	if (ret) {
		vfui_os_free(range);
		vfui_os_free(spare);
	}
	return ret;
}

int vfu_iova_give(struct vfu_iova *space, uint64_t iova)
{
	struct vfui_range *range;

	vfui_os_lock(&space->lock);
	range = overlap(&space->used, iova, iova);
	if (range && range->first == iova) {
		vfui_ranges_remove(&space->used, range);
		put_back(space, range);
	} else {
		range = NULL;
	}
	vfui_os_unlock(&space->lock);
	return range ? 0 : -ENOENT;
}
