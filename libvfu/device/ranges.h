/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * ranges.h - a balanced tree of address ranges that do not overlap: what the DMA table is made of.
 */
#ifndef VFUI_RANGES_H
#define VFUI_RANGES_H

#include <stdint.h>

/* Embed it first in what is kept. Last address inclusive: a range may end at 2^64 - 1. */
struct vfui_range {
	uint64_t first, last;
	struct vfui_range *left, *right;
	unsigned level;
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

#endif
