/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-pin.c - pins: pointers that stay valid until given back, into mapped client memory, or to a buffer
 * that stands for other client memory (dma-bounce.c).
 *
 * A pin is a slot of a table that grows, named by number and generation, so that what a device gives
 * back is checked instead of believed: twice, or a pin of somebody else, is -EINVAL.
 */
#include "device/dma-pin.h"

#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/sigbus.h"
#include "device/dma-bounce.h"
#include "device/dma-table.h"

/* The generation tells a pin from an earlier one in the same slot. */
struct vfui_dma_slot {
	struct vfui_dma_map *map;       /* of a mapping, or */
	struct vfui_dma_bounce *bounce; /* a buffer; neither: free */
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
	struct vfui_dma_reach reach;
	int rc = !len || flags & ~(unsigned)(VFU_DMA_READ | VFU_DMA_WRITE)
			 ? -EINVAL
			 : vfui_dma_check(dma, iova, len, flags, &reach);

	if (rc)
		return rc;
	*map = reach.all;
	if (!reach.all || reach.all->memory.kind != VFUI_DMA_MAPPED)
		return -EOPNOTSUPP;
	if (vfui_watch_is_lost((*map)->memory.watch))
		return -EFAULT;
	return dma->free_slot == NO_SLOT ? grow_slots(dma) : 0;
}

/* Takes a free slot, of which there is one, and names it. Lock held. */
static struct vfui_dma_slot *take_slot(struct vfui_dma *dma, void *addr, size_t len,
				       struct vfu_dma_pin *pin)
{
	uint32_t i = dma->free_slot;
	struct vfui_dma_slot *slot = &dma->slots[i];

	dma->free_slot = slot->next_free;
	slot->addr = addr;
	slot->len = len;
	slot->generation = (slot->generation + 1) & (UINTPTR_MAX >> SLOT_BITS);
	*pin = (struct vfu_dma_pin){addr, len, (void *)(slot->generation << SLOT_BITS | (i + 1))};
	return slot;
}

/* Where it is mapped. */
static int pin_direct(struct vfui_dma *dma, uint64_t iova, size_t len, unsigned flags,
		      struct vfu_dma_pin *pin)
{
	struct vfui_dma_map *map;
	int rc;

	memset(pin, 0, sizeof(*pin));
	vfui_os_lock(&dma->lock);
	rc = find_pinnable(dma, iova, len, flags & ~(unsigned)VFU_DMA_PIN_DIRECT, &map);
	if (!rc) {
		vfui_dma_hold(map);
		take_slot(dma, map->memory.addr + (iova - map->range.first), len, pin)->map = map;
	}
	vfui_os_unlock(&dma->lock);
	return rc;
}

/* A buffer stands for it: it becomes a pin. */
static int bounce_ready(struct vfui_dma_bounce *bounce)
{
	struct vfui_dma *dma = bounce->dma;
	int rc;

	vfui_os_lock(&dma->lock);
	rc = dma->free_slot == NO_SLOT ? grow_slots(dma) : 0;
	if (!rc)
		take_slot(dma, bounce->data, bounce->len, bounce->pin)->bounce = bounce;
	vfui_os_unlock(&dma->lock);
	return rc;
}

int vfui_dma_pin(struct vfui_dma *dma, uint64_t iova, size_t len, unsigned flags,
		 struct vfu_dma_pin *pin)
{
	const struct vfui_dma_bounce what = {
		.iova = iova, .len = len, .flags = flags, .ready = bounce_ready, .pin = pin};
	int rc = pin_direct(dma, iova, len, flags, pin);

	return rc == -EOPNOTSUPP && !(flags & VFU_DMA_PIN_DIRECT) ? vfui_dma_bounce_wait(dma, &what)
								  : rc;
}

int vfui_dma_pin_async(struct vfui_dma *dma, uint64_t iova, size_t len, unsigned flags,
		       struct vfu_dma_pin *pin, vfu_dma_fn *fn, void *user)
{
	const struct vfui_dma_bounce what = {.iova = iova,
					     .len = len,
					     .flags = flags,
					     .ready = bounce_ready,
					     .pin = pin,
					     .fn = fn,
					     .user = user};
	int rc = pin_direct(dma, iova, len, flags, pin);

	if (rc == -EOPNOTSUPP && !(flags & VFU_DMA_PIN_DIRECT))
		return vfui_dma_bounce_async(dma, &what);
	if (!rc)
		fn(user, 0);
	return rc;
}

/* Frees the slot of a pin that is live; *slot: what it was. */
static bool give_slot(struct vfui_dma *dma, const struct vfu_dma_pin *pin,
		      struct vfui_dma_slot *old)
{
	uintptr_t key = (uintptr_t)pin->priv;
	uint32_t i = (uint32_t)(key & SLOT_MASK) - 1;
	bool is_live = false;

	vfui_os_lock(&dma->lock);
	if (i < dma->nslots) {
		struct vfui_dma_slot *slot = &dma->slots[i];

		is_live = (slot->map || slot->bounce) && slot->generation == key >> SLOT_BITS &&
			  slot->addr == pin->addr && slot->len == pin->len;
		if (is_live) {
			*old = *slot;
			slot->map = NULL;
			slot->bounce = NULL;
			slot->next_free = dma->free_slot;
			dma->free_slot = i;
		}
	}
	vfui_os_unlock(&dma->lock);
	return is_live;
}

int vfui_dma_unpin_async(struct vfui_dma *dma, struct vfu_dma_pin *pin, vfu_dma_fn *fn, void *user)
{
	struct vfui_dma_slot slot;
	int rc;

	if (!give_slot(dma, pin, &slot))
		return -EINVAL;
	memset(pin, 0, sizeof(*pin));
	if (slot.bounce)
		return vfui_dma_bounce_end(slot.bounce, fn, user);
	rc = vfui_dma_tell_lost(dma, slot.map) ? -EFAULT : 0;
	vfui_dma_release(dma, slot.map);
	if (!fn)
		return rc;
	fn(user, rc);
	return 0;
}

int vfui_dma_unpin(struct vfui_dma *dma, struct vfu_dma_pin *pin)
{
	return vfui_dma_unpin_async(dma, pin, NULL, NULL);
}

unsigned vfui_dma_pins_of(const struct vfui_dma *dma, const struct vfui_dma_wait *wait,
			  struct vfu_dma_piece *first)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < dma->nslots; i++) {
		const struct vfui_dma_slot *slot = &dma->slots[i];
		const struct vfui_dma_map *map = slot->map;

		if (!map || map->wait != wait)
			continue;
		if (!n++)
			*first = (struct vfu_dma_piece){
				map->range.first +
					(uint64_t)((uint8_t *)slot->addr - map->memory.addr),
				slot->len};
	}
	return n;
}
