/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-table.h - what dma.c (the table) and dma-copy.c (what goes over it) share; for nobody else.
 */
#ifndef VFUI_DMA_TABLE_H
#define VFUI_DMA_TABLE_H

#include "device/dma.h"

enum vfui_dma_kind { VFUI_DMA_MESSAGE, VFUI_DMA_MAPPED, VFUI_DMA_FILE };

/* One DMA_MAP. Only pins and is_doomed change once it is in the table. */
struct vfui_dma_map {
	struct vfui_range range;
	enum vfui_dma_kind kind;
	uint32_t flags; /* VFU_DMA_* */
	uint8_t *addr;  /* of the range, if mapped */
	void *mapping;
	size_t mapping_len;
	struct vfui_dma_file *file; /* if read and written through its file */
	uint64_t offset;
	uint32_t pins; /* users of addr or file just now */
	bool is_doomed;
	struct vfui_dma_wait *wait; /* an unmap that waits for the pins */
	struct vfui_list link;      /* in doomed */
};

/* With the lock held. */

/* The map that holds address, or NULL. */
struct vfui_dma_map *vfui_dma_find(struct vfui_dma *dma, uint64_t address);
/*
 * All of [iova, iova + len) may be accessed so (VFU_DMA_*): 0, -EFAULT, -EACCES, -EIO, -ENOTCONN.
 * *kinds: a bit 1 << kind for each kind of map it touches.
 */
int vfui_dma_check(struct vfui_dma *dma, uint64_t iova, size_t len, uint32_t flags,
		   unsigned *kinds);

/* Without the lock. */

/* Drops one pin; the last one of a doomed map frees it and may end an unmap. */
void vfui_dma_release(struct vfui_dma *dma, struct vfui_dma_map *map);
int vfui_dma_file_io(const struct vfui_dma_map *map, uint64_t offset, uint8_t *buf, size_t len,
		     bool write);
/* Ends all message DMA that touches [first, last]. */
void vfui_dma_cancel(struct vfui_dma *dma, uint64_t first, uint64_t last);

#endif
