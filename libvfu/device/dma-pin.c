/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-pin.c - pins: pointers into mapped client memory that stay valid until given back.
 *
 * A pin is a slot of a table that grows, named by number and generation, so that what a device gives
 * back is checked instead of believed: twice, or a pin of somebody else, is -EINVAL.
 */
#include "device/dma-pin.h"

#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/sigbus.h"
#include "device/dma-table.h"

/* The generation tells a pin from an earlier one in the same slot. */
struct vfui_dma_slot {
	struct vfui_dma_map *map; /* NULL: free */
	void *addr;
	size_t len;
	uintptr_t generation;
	uint32_t next_free;
};

#define NO_SLOT VFUI_DMA_NO_SLOT
#define SLOT_BITS 24
#define MAX_SLOTS ((1u << SLOT_BITS) - 1)
#define SLOT_MASK ((uintptr_t)MAX_SLOTS)

/* Doubles the table of pins. */
static int grow_slots(struct vfui_dma *dma)
{
	uint32_t n = dma->nslots ? dma->nslots * 2 : 16;
	struct vfui_dma_slot *slots;

	if (n > MAX_SLOTS)
		return -ENOMEM;
	slots = vfui_os_realloc(dma->slots, n * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	memset(slots + dma->nslots, 0, (n - dma->nslots) * sizeof(*slots));
	for (uint32_t i = n; i-- > dma->nslots;) {
		slots[i].next_free = dma->free_slot;
		dma->free_slot = i;
	}
	dma->slots = slots;
	dma->nslots = n;
	return 0;
}

/* Where a pin would point, with the lock held. */
static int find_pinnable(struct vfui_dma *dma, uint64_t iova, size_t len, unsigned flags,
			 struct vfui_dma_map **map)
{
	unsigned kinds;
	int rc = !len || flags & ~(unsigned)(VFU_DMA_READ | VFU_DMA_WRITE)
			 ? -EINVAL
			 : vfui_dma_check(dma, iova, len, flags, &kinds);

	if (rc)
		return rc;
	*map = vfui_dma_find(dma, iova);
	if ((*map)->memory.kind != VFUI_DMA_MAPPED || (*map)->range.last - iova < len - 1)
		return -EOPNOTSUPP;
	if (vfui_watch_is_lost((*map)->memory.watch))
		return -EFAULT;
	return dma->free_slot == NO_SLOT ? grow_slots(dma) : 0;
}

int vfui_dma_pin(struct vfui_dma *dma, uint64_t iova, size_t len, unsigned flags,
		 struct vfu_dma_pin *pin)
{
	struct vfui_dma_map *map;
	struct vfui_dma_slot *slot;
	uint32_t i;
	int rc;

	memset(pin, 0, sizeof(*pin));
	vfui_os_lock(&dma->lock);
	rc = find_pinnable(dma, iova, len, flags, &map);
	if (!rc) {
		i = dma->free_slot;
		slot = &dma->slots[i];
		dma->free_slot = slot->next_free;
		map->pins++;
		slot->map = map;
		slot->addr = map->memory.addr + (iova - map->range.first);
		slot->len = len;
		slot->generation = (slot->generation + 1) & (UINTPTR_MAX >> SLOT_BITS);
		*pin = (struct vfu_dma_pin){slot->addr, len,
					    (void *)(slot->generation << SLOT_BITS | (i + 1))};
	}
	vfui_os_unlock(&dma->lock);
	return rc;
}

int vfui_dma_unpin(struct vfui_dma *dma, struct vfu_dma_pin *pin)
{
	uintptr_t key = (uintptr_t)pin->priv;
	uint32_t i = (uint32_t)(key & SLOT_MASK) - 1;
	struct vfui_dma_map *map = NULL;
	bool is_lost;

	vfui_os_lock(&dma->lock);
	if (i < dma->nslots) {
		struct vfui_dma_slot *slot = &dma->slots[i];

		if (slot->map && slot->generation == key >> SLOT_BITS && slot->addr == pin->addr &&
		    slot->len == pin->len) {
			map = slot->map;
			slot->map = NULL;
			slot->next_free = dma->free_slot;
			dma->free_slot = i;
		}
	}
	vfui_os_unlock(&dma->lock);
	if (!map)
		return -EINVAL;
	memset(pin, 0, sizeof(*pin));
	is_lost = vfui_dma_tell_lost(dma, map);
	vfui_dma_release(dma, map);
	return is_lost ? -EFAULT : 0;
}
