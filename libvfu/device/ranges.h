/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * ranges.h - a balanced tree of address ranges that do not overlap: what DMA tables are made of, and
 * free addresses are kept in.
 */
#ifndef VFUI_RANGES_H
#define VFUI_RANGES_H

#include <stdbool.h>
#include <stdint.h>

/* Embed it first in what is kept. Last address inclusive: a range may end at 2^64 - 1. */
struct vfui_range {
	uint64_t first, last;
	struct vfui_range *left, *right;
	unsigned level;
	uint64_t widest; /* last - first of the longest from here down */
};

struct vfui_ranges {
	struct vfui_range *root;
	uint32_t count;
};

/* The caller has seen to it that nothing overlaps. */
void vfui_ranges_insert(struct vfui_ranges *tree, struct vfui_range *range);
void vfui_ranges_remove(struct vfui_ranges *tree, struct vfui_range *range);
/* The lowest range that ends at or after address; NULL: none. */
struct vfui_range *vfui_ranges_from(const struct vfui_ranges *tree, uint64_t address);
/*
 * The lowest multiple of mask + 1 (a power of two) from which on more + 1 addresses lie in one range. False: there is
 * none. Time is that of the depth, and of the ranges below that are long enough and lie badly.
 */
bool vfui_ranges_fit(const struct vfui_ranges *tree, uint64_t more, uint64_t mask, uint64_t *at);

#endif
