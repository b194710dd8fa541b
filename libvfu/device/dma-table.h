/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-table.h - the maps of client memory by address, and who still uses one that was unmapped.
 */
#ifndef VFUI_DMA_TABLE_H
#define VFUI_DMA_TABLE_H

#include "base/util.h"
#include "device/dma-memory.h"

/* One DMA_MAP. Only refs changes once it is in the table. */
struct vfui_dma_map {
	struct vfui_range range;
	uint32_t flags; /* VFU_DMA_* */
	struct vfui_dma_memory memory;
	atomic_uint refs;           /* the table's, and a pin of each user of the memory just now */
	struct vfui_dma_wait *wait; /* an unmap that waits for the pins */
	struct vfui_list link;      /* in doomed */
};

/* An unmap whose answer waits: for its maps that are pinned, for messages, and for vfui_dma_wait_start. A reset: for the latter. */
struct vfui_dma_wait {
	struct vfui_dma *dma;
	uint32_t left;
	bool is_told;   /* that it waits for long */
	uint64_t since; /* vfui_os_now */
	void (*done)(void *user);
	void *user;
	struct vfui_dma_fence *
		fence; /* what has it wait for messages, as long as that is not set; NULL: nothing will */
};

/* What a stretch of addresses touches. */
struct vfui_dma_reach {
	unsigned kinds;           /* a bit 1 << kind for each kind of map */
	struct vfui_dma_map *all; /* the map that holds all of it; NULL: none, or several */
};

struct vfu_dma_range vfui_dma_describe(const struct vfui_dma_map *map);

/* The owner, in a round of its server. */
static inline bool vfui_dma_is_owner(const struct vfui_dma *dma)
{
	return atomic_load_explicit(&dma->is_in_round, memory_order_acquire) &&
	       pthread_equal(atomic_load_explicit(&dma->owner, memory_order_relaxed),
			     pthread_self());
}

/* With the lock held, or on the owner: nobody else changes the table. */

/* The lowest map that ends at or after address; NULL: none. */
struct vfui_dma_map *vfui_dma_from(const struct vfui_dma *dma, uint64_t address);

/* vfui_dma_find, but that it looks at all maps. */
struct vfui_dma_map *vfui_dma_search(struct vfui_dma *dma, uint64_t address);

/* The map that holds address, or NULL. */
static inline struct vfui_dma_map *vfui_dma_find(struct vfui_dma *dma, uint64_t address)
{
	struct vfui_dma_map *map = atomic_load_explicit(&dma->recent, memory_order_relaxed);

	return map && map->range.first <= address && address <= map->range.last
		       ? map
		       : vfui_dma_search(dma, address);
}

/* There is a client, and it lets the device reach its memory. */
static inline bool vfui_dma_is_open(const struct vfui_dma *dma)
{
	return dma->conn && !atomic_load(&dma->blocked);
}

/* All of [iova, iova + len) may be accessed so (VFU_DMA_*): 0, -EFAULT, -EACCES, -EIO, -ENOTCONN. */
int vfui_dma_check(struct vfui_dma *dma, uint64_t iova, size_t len, uint32_t flags,
		   struct vfui_dma_reach *reach);

/* With the lock held. */

/* One pin more: the memory stays. */
static inline void vfui_dma_hold(struct vfui_dma_map *map)
{
	atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
}

/* Without the lock. */

void vfui_dma_insert(struct vfui_dma *dma, struct vfui_dma_map *map);
/* Out of the table. Its memory stays as long as it is pinned: true: it is not, free it. */
bool vfui_dma_remove(struct vfui_dma *dma, struct vfui_dma_map *map, struct vfui_dma_wait *wait);
/* Tells the device, once, if memory of a map that is pinned is lost. True: it is. */
bool vfui_dma_tell_lost(struct vfui_dma *dma, struct vfui_dma_map *map);
/* Drops one pin; the last one of a doomed map frees it and may end an unmap. */
void vfui_dma_release(struct vfui_dma *dma, struct vfui_dma_map *map);
/* Between a buffer and a map that stays meanwhile. -EFAULT: its memory is lost; or what its file says. */
int vfui_dma_map_copy(struct vfui_dma *dma, struct vfui_dma_map *map, uint64_t iova, uint8_t *buf,
		      size_t len, bool write);
/*
 * A range in one map after the other; it was checked, and what went away since is -ECANCELED. So is a map that
 * needs messages, unless the range is_part of a copy that sends them: those are passed over then.
 */
int vfui_dma_copy_each(struct vfui_dma *dma, uint64_t iova, uint8_t *buf, size_t len, bool write,
		       bool is_part);
void vfui_dma_map_free(struct vfui_dma *dma, struct vfui_dma_map *map);
/* One reason less to wait; the last one tells who waits, and frees it. */
void vfui_dma_wait_put(struct vfui_dma *dma, struct vfui_dma_wait *wait);

#endif
