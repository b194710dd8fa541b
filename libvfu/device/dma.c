/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma.c - maps, unmaps, connects and disconnects: what happens to all of client memory at once.
 *
 * An unmap goes hook, table, messages, memory: the device hears of it while it may still reach the range;
 * then nobody finds it any more; message DMA that touches it ends with -ECANCELED; and its memory goes, or stays for
 * those who have pinned it. A reset ends the same messages and buffers, of all ranges, and leaves the ranges, and pins
 * that point into them, as they are.
 *
 * Messages that are under way then are not waited for where the answer goes by the same socket: it comes behind them.
 * With a twin socket it might overtake them, and a DMA_WRITE change memory that the client has taken back:
 *
 *	main    UNMAP -->   [ hook, table, cancel ]   wait ............... <-- answer
 *	twin              DMA_WRITE (before the UNMAP) -->  client  --> reply
 *
 * So the answer waits for the replies to all that was sent before (vfui_dma_await_messages), for as long as messages have.
 */
#include "device/dma.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/os.h"
#include "base/util.h"
#include "device/dma-bounce.h"
#include "device/dma-message.h"
#include "device/dma-table.h"
#include "policy.h"
#include "wire-dma.h"

/* An unmap that waits for pins as long is worth a line in the log. */
#define LONG_NS (1000 * VFUI_MS)

int vfui_dma_init(struct vfui_dma *dma, const struct vfui_dma_hooks *hooks)
{
	int rc;

	memset(dma, 0, sizeof(*dma));
	if (hooks)
		dma->hooks = *hooks;
	vfui_list_init(&dma->doomed);
	vfui_list_init(&dma->bounces);
	vfui_list_init(&dma->queued);
	vfui_list_init(&dma->ops);
	vfui_list_init(&dma->unsent);
	vfui_list_init(&dma->fences);
	dma->free_slot = VFUI_DMA_NO_SLOT;
	rc = vfui_os_mutex_init(&dma->lock);
	if (rc)
		return rc;
	rc = vfui_os_cond_init(&dma->quiet);
	if (rc)
		vfui_os_mutex_fini(&dma->lock);
	return rc;
}

/* ---- maps -------------------------------------------------------------------------------------- */

/* 1: insert it; 0: it is there and that is fine; -EEXIST, -ENOSPC. Only the owner changes the table, so no lock. */
static int check_room(const struct vfui_dma *dma, const struct vfui_dma_map *map,
		      const struct vfui_policy *policy, struct vfu_err *err)
{
	const struct vfui_dma_map *old = vfui_dma_from(dma, map->range.first);

	if (old && old->range.first <= map->range.last) {
		if (policy->map_repeat == VFUI_MAP_REPEAT_ACCEPT &&
		    old->range.first == map->range.first && old->range.last == map->range.last &&
		    old->flags == map->flags)
			return 0;
		return vfui_err_set(err, -EEXIST, "dma_map.address", 16, "overlaps a live range");
	}
	if (dma->maps.count >= dma->limits.max_maps)
		return vfui_err_set(err, -ENOSPC, "dma_map", 0, "more than %u ranges",
				    dma->limits.max_maps);
	return 1;
}

static void insert_map(struct vfui_dma *dma, struct vfui_dma_map *map)
{
	struct vfu_dma_range range = vfui_dma_describe(map);

	vfui_dma_insert(dma, map);
	if (dma->hooks.mapped)
		dma->hooks.mapped(dma->hooks.ctx, &range);
}

int vfui_dma_map(struct vfui_dma *dma, uint32_t flags, uint64_t offset, uint64_t iova,
		 uint64_t size, int fd, const struct vfui_policy *policy, struct vfu_err *err)
{
	const uint32_t modes = VFU_WIRE_DMA_MAP_MMAP | VFU_WIRE_DMA_MAP_FILE_IO;
	struct vfui_dma_map new = {
		.range = {.first = iova, .last = iova + size - 1},
		.flags = flags & ~modes,
	};
	const struct vfui_dma_source src = {
		.fd = fd,
		.offset = offset,
		.size = size,
		.access = new.flags,
		.as_file = (flags & VFU_WIRE_DMA_MAP_FILE_IO) != 0,
		.policy = policy,
	};
	struct vfui_dma_map *map;
	int rc = check_room(dma, &new, policy, err);

	if (rc <= 0)
		goto out;
	map = vfui_os_malloc(sizeof(*map));
	if (!map) {
		rc = vfui_err_set(err, -ENOMEM, NULL, 0, "no memory for a range");
		goto out;
	}
	*map = new;
	vfui_list_init(&map->link);
	rc = fd >= 0 ? vfui_dma_memory_open(dma, &map->memory, &src, err) : 0;
	if (rc) {
		vfui_os_free(map);
		goto out;
	}
	insert_map(dma, map);
	return 0;
out:
	vfui_os_close(fd);
	return rc;
}

/* ---- unmaps ------------------------------------------------------------------------------------ */

void vfui_dma_wait_start(struct vfui_dma *dma, struct vfui_dma_wait *wait, void (*done)(void *user),
			 void *user)
{
	/* Nobody else looks at these before the last one is gone, and that can not be before this call. */
	wait->done = done;
	wait->user = user;
	vfui_dma_wait_put(dma, wait);
}

/*
 * Ends messages and buffers of pins there. Buffers first: who hears of the end of a copy may give one back, and
 * that is written nowhere either.
 */
static void cancel(struct vfui_dma *dma, uint64_t first, uint64_t last)
{
	vfui_dma_bounce_cancel(dma, first, last);
	vfui_dma_cancel(dma, first, last);
}

/* Takes one map out of the table; its memory stays as long as it is pinned. */
static void remove_map(struct vfui_dma *dma, struct vfui_dma_map *map, struct vfui_dma_wait *wait)
{
	struct vfu_dma_range range = vfui_dma_describe(map);
	bool is_free;

	if (dma->hooks.unmapping)
		dma->hooks.unmapping(dma->hooks.ctx, &range);
	is_free = vfui_dma_remove(dma, map, wait);
	cancel(dma, range.iova, range.iova + (range.size - 1));
	if (is_free)
		vfui_dma_map_free(dma, map);
}

/* Removes what lies in [first, last], in ascending order. */
static void remove_maps(struct vfui_dma *dma, uint64_t first, uint64_t last,
			struct vfui_dma_wait *wait)
{
	struct vfui_dma_map *map;

	while ((map = vfui_dma_from(dma, first)) && map->range.first <= last) {
		uint64_t end = map->range.last;

		remove_map(dma, map, wait);
		if (end >= last)
			break;
		first = end + 1;
	}
}

/* E6, E7, E62: what may be unmapped at once. */
int vfui_dma_check_unmap(const struct vfui_dma *dma, uint64_t iova, uint64_t size, bool all,
			 const struct vfui_policy *policy, struct vfu_err *err)
{
	const struct vfui_dma_map *low, *high;
	uint64_t last = iova + size - 1;

	if (all)
		return 0;
	low = vfui_dma_from(dma, iova);
	if (policy->unmap_range == VFUI_UNMAP_RANGE_EXACT) {
		if (!low || low->range.first != iova || low->range.last != last)
			return vfui_err_set(err, -ENOENT, "dma_unmap.address", 8, "no such range");
		return 0;
	}
	high = vfui_dma_from(dma, last);
	if ((low && low->range.first < iova) ||
	    (high && high->range.first <= last && high->range.last > last))
		return vfui_err_set(err, -EINVAL, "dma_unmap.address", 8, "cuts a range");
	return 0;
}

static void messages_over(void *user, unsigned a, unsigned b)
{
	struct vfui_dma_wait *wait = user;

	(void)a, (void)b;
	vfui_dma_wait_put(wait->dma, wait);
}

/* A wait, that is going to wait for messages as well, if it must. -ENOMEM. */
static int new_wait(struct vfui_dma *dma, struct vfui_dma_wait **out)
{
	struct vfui_dma_wait *wait = vfui_os_calloc(1, sizeof(*wait));

	if (wait && dma->limits.is_apart) {
		wait->fence = vfui_dma_fence_new(messages_over, wait, 0, 0);
		if (!wait->fence) {
			vfui_os_free(wait);
			wait = NULL;
		}
	}
	*out = wait;
	if (!wait)
		return -ENOMEM;
	wait->dma = dma;
	wait->left = wait->fence ? 2 : 1;
	return 0;
}

void vfui_dma_wait_drop(struct vfui_dma_wait *wait)
{
	if (wait)
		vfui_os_free(wait->fence);
	vfui_os_free(wait);
}

/* Whether anything is left but the caller's own part of it: VFU_LATER, or 0, and then it is gone. */
static int is_over(struct vfui_dma *dma, struct vfui_dma_wait **wait)
{
	bool is_waiting;

	vfui_os_lock(&dma->lock);
	is_waiting = (*wait)->left > 1;
	vfui_os_unlock(&dma->lock);
	if (is_waiting)
		return VFU_LATER;
	vfui_os_free(*wait);
	*wait = NULL;
	return 0;
}

int vfui_dma_wait_new(struct vfui_dma *dma, struct vfui_dma_wait **wait)
{
	*wait = NULL;
	return dma->limits.is_apart ? new_wait(dma, wait) : 0;
}

void vfui_dma_await_messages(struct vfui_dma *dma, struct vfui_dma_wait *wait)
{
	struct vfui_dma_fence *fence = wait->fence;

	wait->fence = NULL;
	if (fence)
		vfui_dma_fence_set(dma, fence);
}

int vfui_dma_unmap(struct vfui_dma *dma, uint64_t iova, uint64_t size, bool all,
		   const struct vfui_policy *policy, struct vfui_dma_wait **out,
		   struct vfu_err *err)
{
	int rc = vfui_dma_check_unmap(dma, iova, size, all, policy, err);

	*out = NULL;
	if (rc)
		return rc;
	if (new_wait(dma, out) < 0)
		return vfui_err_set(err, -ENOMEM, NULL, 0, "no memory to unmap");
	remove_maps(dma, all ? 0 : iova, all ? UINT64_MAX : iova + (size - 1), *out);
	vfui_dma_await_messages(dma, *out);
	rc = is_over(dma, out);
	if (rc) {
		(*out)->since = vfui_os_now();
		if (!dma->look_at)
			dma->look_at = (*out)->since + LONG_NS;
	}
	return rc;
}

/* An unmap that has waited for long, and was not told; NULL: none, and look_at says when to look again. Lock held. */
static struct vfui_dma_wait *long_wait(struct vfui_dma *dma)
{
	uint64_t now = vfui_os_now();
	struct vfui_list *link;

	dma->look_at = 0;
	vfui_list_for_each(link, &dma->doomed) {
		struct vfui_dma_wait *wait =
			vfui_container_of(link, struct vfui_dma_map, link)->wait;

		if (!wait || wait->is_told)
			continue;
		if (now - wait->since >= LONG_NS)
			return wait;
		if (!dma->look_at || wait->since + LONG_NS < dma->look_at)
			dma->look_at = wait->since + LONG_NS;
	}
	return NULL;
}

void vfui_dma_look(struct vfui_dma *dma)
{
	struct vfui_dma_wait *wait;

	if (!dma->look_at || vfui_os_now() < dma->look_at)
		return;
	vfui_os_lock(&dma->lock);
	while ((wait = long_wait(dma))) {
		struct vfu_dma_piece first = {0, 0};
		unsigned pins = vfui_dma_pins_of(dma, wait, &first);

		wait->is_told = true;
		vfui_os_unlock(&dma->lock);
		if (dma->hooks.held)
			dma->hooks.held(dma->hooks.ctx, first.iova, first.len, pins);
		vfui_os_lock(&dma->lock);
	}
	vfui_os_unlock(&dma->lock);
}

int vfui_dma_look_timeout(const struct vfui_dma *dma)
{
	uint64_t now = dma->look_at ? vfui_os_now() : 0;

	if (!dma->look_at)
		return -1;
	return now < dma->look_at ? (int)((dma->look_at - now + VFUI_MS - 1) / VFUI_MS) : 0;
}

/* ---- connections ------------------------------------------------------------------------------- */

int vfui_dma_connect(struct vfui_dma *dma, struct vfui_conn *conn,
		     const struct vfui_dma_limits *limits)
{
	return vfui_dma_messages_open(dma, conn, limits);
}

void vfui_dma_reset(struct vfui_dma *dma)
{
	cancel(dma, 0, UINT64_MAX);
}

void vfui_dma_disconnect(struct vfui_dma *dma)
{
	vfui_dma_messages_close(dma);
	cancel(dma, 0, UINT64_MAX);
	remove_maps(dma, 0, UINT64_MAX, NULL);
}

void vfui_dma_fini(struct vfui_dma *dma)
{
	vfui_dma_disconnect(dma);
	for (struct vfui_list *link; (link = vfui_list_pop(&dma->doomed));) {
		struct vfui_dma_map *map = vfui_container_of(link, struct vfui_dma_map, link);

		if (map->wait)
			vfui_dma_wait_put(dma, map->wait);
		vfui_dma_map_free(dma, map);
	}
	vfui_dma_bounce_fini(dma);
	vfui_os_free(dma->slots);
	vfui_os_free(dma->chunks);
	vfui_account_unref(dma->limits.account);
	vfui_os_free(atomic_load(&dma->spare));
	vfui_os_cond_fini(&dma->quiet);
	vfui_os_mutex_fini(&dma->lock);
}

void vfui_dma_abandon(struct vfui_dma *dma)
{
	struct vfui_list *link;

	/* A thread of the parent was in the table, or asleep: what it waits on can not be destroyed. */
	if (!vfui_os_is_unlocked(&dma->lock) || dma->awaiting)
		return;
	memset(&dma->hooks, 0, sizeof(dma->hooks));
	dma->pumping = false;
	/* The callers of these are the parent's. */
	vfui_dma_forget(dma);
	vfui_dma_bounce_fini(dma);
	for (link = dma->doomed.next; link != &dma->doomed; link = link->next)
		vfui_container_of(link, struct vfui_dma_map, link)->wait = NULL;
	vfui_dma_fini(dma);
}

void vfui_dma_set_round(struct vfui_dma *dma, bool is_in_round)
{
	if (is_in_round)
		atomic_store_explicit(&dma->owner, pthread_self(), memory_order_relaxed);
	atomic_store_explicit(&dma->is_in_round, is_in_round, memory_order_release);
}

void vfui_dma_set_blocked(struct vfui_dma *dma, bool on)
{
	atomic_store(&dma->blocked, on);
}

size_t vfui_dma_list(struct vfui_dma *dma, struct vfu_dma_range *out, size_t n)
{
	uint64_t address = 0;
	size_t count;

	vfui_os_lock(&dma->lock);
	count = dma->maps.count;
	for (size_t i = 0; i < n && i < count; i++) {
		const struct vfui_dma_map *map = vfui_dma_from(dma, address);

		out[i] = vfui_dma_describe(map);
		address = map->range.last + 1;
	}
	vfui_os_unlock(&dma->lock);
	return count;
}
