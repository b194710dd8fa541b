/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-table.h - the ranges that the device may reach. All take the client's lock themselves, unless
 * they say that the caller has it.
 */
#ifndef VFUI_CLIENT_DMA_TABLE_H
#define VFUI_CLIENT_DMA_TABLE_H

#include "client/state.h"
#include "wire.h"

/* One map of client memory. */
struct vfui_client_range {
	struct vfui_range range;
	struct vfu_client *cl;
	uint8_t *host;  /* NULL: the callback's */
	uint32_t flags; /* VFU_DMA_* */
	bool is_pending; /* its reply is still to come: is_gone then says that nobody else knows it */
	bool is_gone;
};

/*
 * Puts a range into the table. That comes before the message: the device may use the range before
 * its answer is here. -EINVAL, -EEXIST, -ENOMEM.
 */
int vfui_client_table_add(struct vfu_client *cl, const struct vfu_wire_dma_map_request *in,
			  void *host, struct vfui_client_range **out, struct vfu_err *err);
/* The map of a range was answered, or could not be sent. It may have been unmapped meanwhile. */
void vfui_client_table_settle(struct vfui_client_range *r, int status);
/* Drops all ranges that lie whole in [first, last]. */
void vfui_client_table_drop(struct vfu_client *cl, uint64_t first, uint64_t last);
/* Drops all. The caller has the lock. */
void vfui_client_table_clear(struct vfu_client *cl);

/* The part of an access that lies in one range. */
struct vfui_client_piece {
	uint8_t *host; /* NULL: fn serves it */
	vfu_client_dma_fn *fn;
	void *user;
	size_t len;
};

/*
 * The beginning of [iova, iova + len), which is allowed only if it may be accessed so: access is
 * VFU_DMA_READ or VFU_DMA_WRITE. -EFAULT, -EACCES.
 */
int vfui_client_table_find(struct vfu_client *cl, uint64_t iova, size_t len, uint32_t access,
			   struct vfui_client_piece *out);

#endif
