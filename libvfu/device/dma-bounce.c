/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-bounce.c - buffers that stand for client memory which is not mapped, while it is pinned.
 *
 *            room for it            read in              unpin            written back
 *    queued ------------> bounces ------------> pinned ---------> an op ---------------> freed
 *      |                     |                    |
 *      +---- cancel: over ---+                    +-- cancel: is_dead, is written nowhere
 *
 * cancel: an unmap of what it stands for, a reset, the end of the connection.
 *
 * All buffers of a device together are bounded (VFU_OPT_DMA_BOUNCE_BYTES). A pin that need not come at once
 * waits in a queue, and a large one holds up the small ones behind it, else it might wait for ever.
 *
 * A buffer is written back where it differs from what was read in, byte for byte, for which a second copy is
 * kept: a device tells nobody what it changes through a pointer, and bytes that it did not change may be
 * the client's to write meanwhile. One that is not read in is written back whole.
 *
 * Only one thread at a time serves the queue, so that callbacks which unpin and pin do not pile up.
 */
#include "device/dma-bounce.h"

#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/util.h"
#include "device/dma-copy.h"
#include "device/dma-table.h"

#define COST 512 /* of one that waits, and of whoever keeps track of it */

static bool is_compared(const struct vfui_dma_bounce *b)
{
	return b->flags & VFU_DMA_WRITE && b->flags & VFU_DMA_READ;
}

static bool is_too_large(const struct vfui_dma *dma, const struct vfui_dma_bounce *b)
{
	return b->len > dma->limits.bounce_bytes / (is_compared(b) ? 2 : 1);
}

static uint64_t size_of(const struct vfui_dma_bounce *b)
{
	return is_compared(b) ? 2 * (uint64_t)b->len : b->len;
}

static bool has_room(const struct vfui_dma *dma, const struct vfui_dma_bounce *b)
{
	return dma->bounced + size_of(b) <= dma->limits.bounce_bytes;
}

/* Lock held. */
static void take_room(struct vfui_dma *dma, struct vfui_dma_bounce *b)
{
	vfui_list_remove(&b->link);
	vfui_list_push(&dma->bounces, &b->link);
	b->has_room = true;
	dma->bounced += size_of(b);
}

static void serve_queue(struct vfui_dma *dma);

static void free_bounce(struct vfui_dma_bounce *b)
{
	struct vfui_dma *dma = b->dma;

	vfui_os_lock(&dma->lock);
	vfui_list_remove(&b->link);
	if (b->has_room)
		dma->bounced -= size_of(b);
	vfui_dma_discharge(dma, &b->charge);
	vfui_os_unlock(&dma->lock);
	vfui_os_free(b->data);
	vfui_os_free(b);
}

/* ---- pinning ----------------------------------------------------------------------------------- */

/* It is read in, or will not be. Its status, which who waits for it is told. */
static int filled(struct vfui_dma_bounce *b, int status)
{
	struct vfui_dma *dma = b->dma;
	vfu_dma_fn *fn = b->fn;
	void *user = b->user;

	vfui_os_lock(&dma->lock);
	if (b->is_dead && !status)
		status = -ECANCELED;
	vfui_os_unlock(&dma->lock);
	if (!status && b->was)
		memcpy(b->was, b->data, b->len);
	if (!status)
		status = b->ready(b);
	if (status)
		free_bounce(b);
	if (fn)
		fn(user, status);
	if (status)
		serve_queue(dma);
	return status;
}

static void read_in(void *user, int status)
{
	filled(user, status);
}

static int alloc_data(struct vfui_dma_bounce *b)
{
	b->data = vfui_os_calloc(1, (size_t)size_of(b));
	if (!b->data)
		return -ENOMEM;
	if (is_compared(b))
		b->was = b->data + b->len;
	return 0;
}

/* How its memory is copied to it. */
static struct vfui_dma_copy to_read(struct vfui_dma_bounce *b)
{
	return (struct vfui_dma_copy){.iova = b->iova,
				      .buf = b->data,
				      .len = b->len,
				      .bounce = b,
				      .fn = read_in,
				      .user = b};
}

static void begin(struct vfui_dma_bounce *b)
{
	int rc = alloc_data(b);

	if (!rc && b->flags & VFU_DMA_READ) {
		const struct vfui_dma_copy op = to_read(b);

		rc = vfui_dma_copy_async(b->dma, &op);
		if (!rc)
			return;
	}
	filled(b, rc);
}

/* The first of those that wait, if there is room for it by now. Lock held. */
static struct vfui_dma_bounce *next_queued(struct vfui_dma *dma)
{
	struct vfui_dma_bounce *b;

	if (vfui_list_is_empty(&dma->queued))
		return NULL;
	b = vfui_dma_bounce_of(dma->queued.next);
	if (!has_room(dma, b))
		return NULL;
	take_room(dma, b);
	return b;
}

static void serve_queue(struct vfui_dma *dma)
{
	struct vfui_dma_bounce *b;

	vfui_os_lock(&dma->lock);
	if (!dma->bouncing) {
		dma->bouncing = true;
		while ((b = next_queued(dma))) {
			vfui_os_unlock(&dma->lock);
			begin(b);
			vfui_os_lock(&dma->lock);
		}
		dma->bouncing = false;
	}
	vfui_os_unlock(&dma->lock);
}

/* Last in the queue, if it may be; else it needs room now. Lock held. */
static int enter(struct vfui_dma *dma, const struct vfui_dma_bounce *what, bool may_wait,
		 struct vfui_dma_bounce **out)
{
	struct vfui_dma_charge charge;
	struct vfui_dma_reach reach;
	int rc = vfui_dma_check(dma, what->iova, what->len, what->flags, &reach);

	if (rc)
		return rc;
	if (is_too_large(dma, what))
		return -E2BIG;
	if (!may_wait && !(vfui_list_is_empty(&dma->queued) && has_room(dma, what)))
		return -ENOBUFS;
	rc = vfui_dma_charge(dma, &charge, may_wait ? COST : 0);
	if (rc)
		return rc;
	*out = vfui_os_malloc(sizeof(**out));
	if (!*out) {
		vfui_dma_discharge(dma, &charge);
		return -ENOMEM;
	}
	**out = *what;
	(*out)->dma = dma;
	(*out)->charge = charge;
	vfui_list_push(&dma->queued, &(*out)->link);
	if (!may_wait)
		take_room(dma, *out);
	return 0;
}

int vfui_dma_bounce_async(struct vfui_dma *dma, const struct vfui_dma_bounce *what)
{
	struct vfui_dma_bounce *b;
	int rc;

	vfui_os_lock(&dma->lock);
	rc = enter(dma, what, true, &b);
	vfui_os_unlock(&dma->lock);
	if (!rc)
		serve_queue(dma);
	return rc;
}

int vfui_dma_bounce_wait(struct vfui_dma *dma, const struct vfui_dma_bounce *what)
{
	struct vfui_dma_bounce *b;
	int rc;

	vfui_os_lock(&dma->lock);
	rc = enter(dma, what, false, &b);
	vfui_os_unlock(&dma->lock);
	if (rc)
		return rc;
	rc = alloc_data(b);
	if (!rc && b->flags & VFU_DMA_READ) {
		struct vfui_dma_copy op = to_read(b);

		rc = vfui_dma_copy_wait(dma, &op);
	}
	return filled(b, rc);
}

/* ---- unpinning --------------------------------------------------------------------------------- */

static void written_back(void *user, int status)
{
	struct vfui_dma_bounce *b = user;
	struct vfui_dma *dma = b->dma;
	vfu_dma_fn *fn = b->fn;

	if (!fn && status && dma->hooks.unwritten)
		dma->hooks.unwritten(dma->hooks.ctx, b->iova, b->len, status);
	user = b->user;
	free_bounce(b);
	if (fn)
		fn(user, status);
	serve_queue(dma);
}

int vfui_dma_bounce_end(struct vfui_dma_bounce *b, vfu_dma_fn *fn, void *user)
{
	const struct vfui_dma_copy op = {.iova = b->iova,
					 .buf = b->data,
					 .len = b->len,
					 .write = true,
					 .bounce = b,
					 .fn = written_back,
					 .user = b};
	int rc = 0;

	b->fn = fn;
	b->user = user;
	if (b->flags & VFU_DMA_WRITE) {
		rc = vfui_dma_copy_async(b->dma, &op);
		if (!rc)
			return 0;
	}
	written_back(b, rc);
	return fn ? 0 : rc;
}

/* ---- the end ----------------------------------------------------------------------------------- */

static bool touches(const struct vfui_dma_bounce *b, uint64_t first, uint64_t last)
{
	return b->iova <= last && b->iova + (b->len - 1) >= first;
}

void vfui_dma_bounce_cancel(struct vfui_dma *dma, uint64_t first, uint64_t last)
{
	struct vfui_list over, *link, *after;

	vfui_list_init(&over);
	vfui_os_lock(&dma->lock);
	vfui_list_for_each(link, &dma->bounces) {
		if (touches(vfui_dma_bounce_of(link), first, last))
			vfui_dma_bounce_of(link)->is_dead = true;
	}
	vfui_list_for_each_safe(link, after, &dma->queued) {
		if (!touches(vfui_dma_bounce_of(link), first, last))
			continue;
		vfui_list_remove(link);
		vfui_list_push(&over, link);
	}
	vfui_os_unlock(&dma->lock);
	while (!vfui_list_is_empty(&over))
		filled(vfui_dma_bounce_of(over.next), -ECANCELED);
}

void vfui_dma_bounce_fini(struct vfui_dma *dma)
{
	struct vfui_list *link;

	while ((link = vfui_list_pop(&dma->bounces)) || (link = vfui_list_pop(&dma->queued))) {
		struct vfui_dma_bounce *b = vfui_dma_bounce_of(link);

		vfui_os_free(b->data);
		vfui_os_free(b);
	}
}
