/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-table.c - the maps by address, and what becomes of one that is unmapped while it is pinned.
 *
 *    DMA_MAP           unmap, no pins
 *   ---------> table -----------------------------> freed, unmap answered
 *                |                                    ^
 *                | unmap, pinned            last pin  |
 *                +-------------------> doomed --------+
 *
 * Only the owner changes the table, and with the lock: it may look without, all others with it. Copies
 * and public pins count alike, and so does the table: a pin is taken with the lock, and dropped without. The
 * thread that drops the last frees the map, and answers an unmap if that was the last of its maps.
 */
#include "device/dma-table.h"

#include <errno.h>

#include "base/os.h"
#include "base/sigbus.h"

static struct vfui_dma_map *map_of(struct vfui_range *range)
{
	return range ? vfui_container_of(range, struct vfui_dma_map, range) : NULL;
}

struct vfu_dma_range vfui_dma_describe(const struct vfui_dma_map *map)
{
	return (struct vfu_dma_range){
		.iova = map->range.first,
		.size = map->range.last - map->range.first + 1,
		.flags = map->flags,
		.mapped = map->memory.kind == VFUI_DMA_MAPPED,
	};
}

/* ---- looking up -------------------------------------------------------------------------------- */

struct vfui_dma_map *vfui_dma_from(const struct vfui_dma *dma, uint64_t address)
{
	return map_of(vfui_ranges_from(&dma->maps, address));
}

struct vfui_dma_map *vfui_dma_search(struct vfui_dma *dma, uint64_t address)
{
	struct vfui_dma_map *map = vfui_dma_from(dma, address);

	if (!map || map->range.first > address)
		return NULL;
	atomic_store_explicit(&dma->recent, map, memory_order_relaxed);
	return map;
}

int vfui_dma_check(struct vfui_dma *dma, uint64_t iova, size_t len, uint32_t flags,
		   struct vfui_dma_reach *reach)
{
	uint64_t last = iova + (len - 1);
	struct vfui_dma_map *map;

	reach->kinds = 0;
	reach->all = NULL;
	if (!dma->conn)
		return -ENOTCONN;
	if (atomic_load(&dma->blocked))
		return -EIO;
	if (!len)
		return 0;
	if (last < iova)
		return -EFAULT;
	while ((map = vfui_dma_find(dma, iova))) {
		if ((map->flags & flags) != flags)
			return -EACCES;
		reach->all = reach->kinds ? NULL : map;
		reach->kinds |= 1u << map->memory.kind;
		if (map->range.last >= last)
			return 0;
		iova = map->range.last + 1;
	}
	return -EFAULT;
}

bool vfui_dma_tell_lost(struct vfui_dma *dma, struct vfui_dma_map *map)
{
	struct vfu_dma_range range;

	if (vfui_watch_tell(map->memory.watch) && dma->hooks.lost) {
		range = vfui_dma_describe(map);
		dma->hooks.lost(dma->hooks.ctx, &range);
	}
	return vfui_watch_is_lost(map->memory.watch);
}

/* ---- the end of maps --------------------------------------------------------------------------- */

void vfui_dma_map_free(struct vfui_dma *dma, struct vfui_dma_map *map)
{
	vfui_dma_memory_close(dma, &map->memory);
	vfui_os_free(map);
}

void vfui_dma_wait_put(struct vfui_dma *dma, struct vfui_dma_wait *wait)
{
	bool last;

	vfui_os_lock(&dma->lock);
	last = !--wait->left;
	vfui_os_unlock(&dma->lock);
	if (!last)
		return;
	if (wait->done)
		wait->done(wait->user);
	vfui_os_free(wait);
}

static bool is_last_ref(struct vfui_dma_map *map)
{
	return atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel) == 1;
}

void vfui_dma_release(struct vfui_dma *dma, struct vfui_dma_map *map)
{
	struct vfui_dma_wait *wait;

	if (!is_last_ref(map))
		return;
	vfui_os_lock(&dma->lock);
	wait = map->wait;
	vfui_list_remove(&map->link);
	vfui_os_unlock(&dma->lock);
	vfui_dma_map_free(dma, map);
	if (wait)
		vfui_dma_wait_put(dma, wait);
}

/* ---- copies ------------------------------------------------------------------------------------ */

int vfui_dma_map_copy(struct vfui_dma *dma, struct vfui_dma_map *map, uint64_t iova, uint8_t *buf,
		      size_t len, bool write)
{
	int rc = vfui_dma_memory_copy(&map->memory, iova - map->range.first, buf, len, write);

	if (rc == -EFAULT)
		vfui_dma_tell_lost(dma, map);
	return rc;
}

/* The map at iova with a pin; NULL: it went, or is another by now. */
static struct vfui_dma_map *find_and_hold(struct vfui_dma *dma, uint64_t iova, uint32_t needs,
					  bool is_part)
{
	struct vfui_dma_map *map;

	vfui_os_lock(&dma->lock);
	map = vfui_dma_find(dma, iova);
	if (map && map->flags & needs && (is_part || map->memory.kind != VFUI_DMA_MESSAGE))
		vfui_dma_hold(map);
	else
		map = NULL;
	vfui_os_unlock(&dma->lock);
	return map;
}

int vfui_dma_copy_each(struct vfui_dma *dma, uint64_t iova, uint8_t *buf, size_t len, bool write,
		       bool is_part)
{
	const uint32_t needs = write ? VFU_DMA_WRITE : VFU_DMA_READ;
	int rc = 0;

	for (size_t n; len && !rc; iova += n, buf += n, len -= n) {
		struct vfui_dma_map *map = find_and_hold(dma, iova, needs, is_part);

		if (!map)
			return -ECANCELED;
		n = len - 1 < map->range.last - iova ? len : (size_t)(map->range.last - iova + 1);
		rc = vfui_dma_map_copy(dma, map, iova, buf, n, write);
		vfui_dma_release(dma, map);
	}
	return rc;
}

/* ---- changes ----------------------------------------------------------------------------------- */

void vfui_dma_insert(struct vfui_dma *dma, struct vfui_dma_map *map)
{
	atomic_init(&map->refs, 1);
	vfui_os_lock(&dma->lock);
	vfui_ranges_insert(&dma->maps, &map->range);
	dma->nmapped += map->memory.kind == VFUI_DMA_MAPPED;
	vfui_os_unlock(&dma->lock);
}

bool vfui_dma_remove(struct vfui_dma *dma, struct vfui_dma_map *map, struct vfui_dma_wait *wait)
{
	bool is_free;

	vfui_os_lock(&dma->lock);
	vfui_ranges_remove(&dma->maps, &map->range);
	if (dma->recent == map)
		dma->recent = NULL;
	dma->nmapped -= map->memory.kind == VFUI_DMA_MAPPED;
	map->wait = wait;
	vfui_list_push(&dma->doomed, &map->link);
	/* Who has the last pin may drop it now, and then waits for the lock. */
	is_free = is_last_ref(map);
	if (is_free)
		vfui_list_remove(&map->link);
	else if (wait)
		wait->left++;
	vfui_os_unlock(&dma->lock);
	return is_free;
}
