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
 * and public pins count alike. The thread that drops the last pin frees the map, and answers an unmap
 * if that was the last of its maps.
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

struct vfui_dma_map *vfui_dma_find(struct vfui_dma *dma, uint64_t address)
{
	struct vfui_dma_map *map = dma->recent;

	if (map && map->range.first <= address && address <= map->range.last)
		return map;
	map = vfui_dma_from(dma, address);
	if (!map || map->range.first > address)
		return NULL;
	dma->recent = map;
	return map;
}

int vfui_dma_check(struct vfui_dma *dma, uint64_t iova, size_t len, uint32_t flags, unsigned *kinds)
{
	uint64_t last = iova + (len - 1);

	*kinds = 0;
	if (!dma->conn)
		return -ENOTCONN;
	if (atomic_load(&dma->blocked))
		return -EIO;
	if (!len)
		return 0;
	if (last < iova)
		return -EFAULT;
	for (;;) {
		const struct vfui_dma_map *map = vfui_dma_find(dma, iova);

		if (!map)
			return -EFAULT;
		if ((map->flags & flags) != flags)
			return -EACCES;
		*kinds |= 1u << map->memory.kind;
		if (map->range.last >= last)
			return 0;
		iova = map->range.last + 1;
	}
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

void vfui_dma_release(struct vfui_dma *dma, struct vfui_dma_map *map)
{
	struct vfui_dma_wait *wait = NULL;
	bool last;

	vfui_os_lock(&dma->lock);
	last = !--map->pins && map->is_doomed;
	if (last) {
		wait = map->wait;
		vfui_list_remove(&map->link);
	}
	vfui_os_unlock(&dma->lock);
	if (!last)
		return;
	vfui_dma_map_free(dma, map);
	if (wait)
		vfui_dma_wait_put(dma, wait);
}

int vfui_dma_copy_direct(struct vfui_dma *dma, uint64_t iova, uint8_t *buf, size_t len, bool write)
{
	uint32_t needs = write ? VFU_DMA_WRITE : VFU_DMA_READ;
	int rc = 0;

	while (len && !rc) {
		struct vfui_dma_map *map;
		uint64_t offset;
		size_t n;

		vfui_os_lock(&dma->lock);
		map = vfui_dma_find(dma, iova);
		if (!map || !(map->flags & needs)) {
			vfui_os_unlock(&dma->lock);
			return -ECANCELED;
		}
		map->pins++;
		vfui_os_unlock(&dma->lock);
		offset = iova - map->range.first;
		n = len - 1 < map->range.last - iova ? len : (size_t)(map->range.last - iova + 1);
		rc = vfui_dma_memory_copy(&map->memory, offset, buf, n, write);
		if (rc == -EFAULT)
			vfui_dma_tell_lost(dma, map);
		vfui_dma_release(dma, map);
		iova += n;
		buf += n;
		len -= n;
	}
	return rc;
}

void vfui_dma_insert(struct vfui_dma *dma, struct vfui_dma_map *map)
{
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
	is_free = !map->pins;
	if (!is_free) {
		map->is_doomed = true;
		map->wait = wait;
		vfui_list_push(&dma->doomed, &map->link);
		if (wait)
			wait->left++;
	}
	vfui_os_unlock(&dma->lock);
	return is_free;
}
