/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-list.c - copies of many pieces of client memory at once, and of one byte to many places.
 *
 *     pieces:  [ iova, len ][ iova, len ][ iova, len ]     each a copy of its own, in this order
 *     buf:     [           ][           ][           ]     one behind the other
 *
 * All pieces are checked, and paid for together, before the first begins: a list that can not be done does
 * nothing. Its end is that of its last copy, with the first fault of any. A fill is one copy, whose buffer
 * is short and used over and over.
 */
#include "device/dma-list.h"

#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/util.h"
#include "device/dma-copy.h"
#include "device/dma-op.h"
#include "device/dma-table.h"

#define FILL 65536 /* bytes of a buffer that fills */

struct list {
	struct vfui_dma *dma;
	struct vfui_dma_charge charge;
	atomic_size_t left;
	atomic_int status;
	vfu_dma_fn *fn;
	void *user;
};

/* One copy less to wait for. */
static void piece_done(void *user, int status)
{
	struct list *list = user;
	int none = 0;

	if (status)
		atomic_compare_exchange_strong(&list->status, &none, status);
	if (atomic_fetch_sub(&list->left, 1) > 1)
		return;
	vfui_os_lock(&list->dma->lock);
	vfui_dma_discharge(list->dma, &list->charge);
	vfui_os_unlock(&list->dma->lock);
	list->fn(list->user, atomic_load(&list->status));
	vfui_os_free(list);
}

/* All of it can be done: 0; and what it costs, if it can not be done at once. Lock held. */
static int check(struct vfui_dma *dma, const struct vfu_dma_piece *pieces, size_t n, bool write,
		 size_t *cost)
{
	bool waits = !vfui_list_is_empty(&dma->ops);
	size_t total = 0;

	for (size_t i = 0; i < n; i++) {
		const struct vfui_dma_copy op = {.len = pieces[i].len};
		struct vfui_dma_reach reach;
		int rc;

		if (pieces[i].len > PTRDIFF_MAX - 512 - total)
			return -EINVAL;
		rc = vfui_dma_check(dma, pieces[i].iova, pieces[i].len,
				    write ? VFU_DMA_WRITE : VFU_DMA_READ, &reach);
		if (rc)
			return rc;
		waits |= reach.kinds & 1u << VFUI_DMA_MESSAGE;
		total += vfui_dma_copy_cost(&op);
	}
	*cost = waits ? total : 0;
	return 0;
}

/* A list that is checked and paid for. */
static int list_new(struct vfui_dma *dma, const struct vfu_dma_piece *pieces, size_t n, bool write,
		    struct list **out)
{
	struct vfui_dma_charge charge = {NULL, 0};
	size_t cost = 0;
	int rc;

	vfui_os_lock(&dma->lock);
	rc = check(dma, pieces, n, write, &cost);
	if (!rc)
		rc = vfui_dma_charge(dma, &charge, cost);
	*out = rc ? NULL : vfui_os_calloc(1, sizeof(**out));
	if (!*out)
		vfui_dma_discharge(dma, &charge);
	vfui_os_unlock(&dma->lock);
	if (rc || !*out)
		return rc ? rc : -ENOMEM;
	(*out)->dma = dma;
	(*out)->charge = charge;
	atomic_init(&(*out)->left, n + 1);
	return 0;
}

int vfui_dma_list_async(struct vfui_dma *dma, const struct vfu_dma_piece *pieces, size_t n,
			uint8_t *buf, bool write, vfu_dma_fn *fn, void *user)
{
	struct list *list;
	int rc = list_new(dma, pieces, n, write, &list);

	if (rc)
		return rc;
	list->fn = fn;
	list->user = user;
	for (size_t i = 0; i < n; i++) {
		const struct vfui_dma_copy op = {.iova = pieces[i].iova,
						 .buf = buf,
						 .len = pieces[i].len,
						 .write = write,
						 .is_paid = true,
						 .fn = piece_done,
						 .user = list};

		rc = vfui_dma_copy_async(dma, &op);
		if (rc)
			piece_done(list, rc);
		buf += pieces[i].len;
	}
	piece_done(list, 0);
	return 0;
}

/* ---- fills ------------------------------------------------------------------------------------- */

struct fill {
	vfu_dma_fn *fn;
	void *user;
	uint8_t data[];
};

static void fill_done(void *user, int status)
{
	struct fill *fill = user;

	fill->fn(fill->user, status);
	vfui_os_free(fill);
}

int vfui_dma_fill_async(struct vfui_dma *dma, uint64_t iova, size_t len, uint8_t byte,
			vfu_dma_fn *fn, void *user)
{
	size_t size = vfui_min(len, FILL);
	struct fill *fill = vfui_os_malloc(sizeof(*fill) + size);
	struct vfui_dma_copy op = {
		.iova = iova, .len = len, .repeat = size, .write = true, .fn = fill_done};
	int rc;

	if (!fill)
		return -ENOMEM;
	fill->fn = fn;
	fill->user = user;
	memset(fill->data, byte, size);
	op.buf = fill->data;
	op.user = fill;
	rc = vfui_dma_copy_async(dma, &op);
	if (rc)
		vfui_os_free(fill);
	return rc;
}
