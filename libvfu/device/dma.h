/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma.h - client memory as the device sees it. dma-state.h shows the files it is made of.
 *
 * "Owner" as in vfu.h. No callback runs with the lock held.
 */
#ifndef VFUI_DMA_H
#define VFUI_DMA_H

#include "device/dma-copy.h"
#include "device/dma-list.h"
#include "device/dma-op.h"
#include "device/dma-pin.h"
#include "device/dma-state.h"

struct vfui_policy;

int vfui_dma_init(struct vfui_dma *dma, const struct vfui_dma_hooks *hooks);
/* The connection is freed by then, and no thread uses the table. Pinned memory goes as well. */
void vfui_dma_fini(struct vfui_dma *dma);
/* The same after fork(): no hook, no callback. */
void vfui_dma_abandon(struct vfui_dma *dma);

/* After VERSION. -EBUSY: the last connection is not freed. Owner. */
int vfui_dma_connect(struct vfui_dma *dma, struct vfui_conn *conn,
		     const struct vfui_dma_limits *limits);
/*
 * The device is reset: copies by message that have not ended end with -ECANCELED, those in flight once they are
 * answered, and no more of them is sent; buffers that are pinned are written nowhere. Owner.
 */
void vfui_dma_reset(struct vfui_dma *dma);
/*
 * What was sent must be answered before the client may be told that a reset is over (is_apart). Before it: *wait is what
 * that takes; NULL: nothing needs to be waited for. -ENOMEM. After it: vfui_dma_await_messages, with vfui_dma_wait_start
 * behind it; or vfui_dma_wait_drop, if there was none. Owner.
 */
int vfui_dma_wait_new(struct vfui_dma *dma, struct vfui_dma_wait **wait);
void vfui_dma_await_messages(struct vfui_dma *dma, struct vfui_dma_wait *wait);
void vfui_dma_wait_drop(struct vfui_dma_wait *wait);
/*
 * First step of a disconnect, before vfui_conn_free: no DMA starts from now on, message DMA ends
 * with -ECANCELED (fn runs in vfui_conn_free for what is in flight), every range is unmapped. Pinned
 * memory stays until unpinned. Owner.
 */
void vfui_dma_disconnect(struct vfui_dma *dma);

/* The thread that serves begins or ends a round: in it no other changes the maps. */
void vfui_dma_set_round(struct vfui_dma *dma, bool is_in_round);

/* E63: DMA fails with -EIO while on. Owner. */
void vfui_dma_set_blocked(struct vfui_dma *dma, bool on);

/*
 * Of a DMA_MAP that its check has let through; flags it knows and we do not go to the device. fd: taken, -1 for
 * none. -EEXIST, -EINVAL, -ENOSPC, -EACCES, -ENOMEM. Owner.
 */
int vfui_dma_map(struct vfui_dma *dma, uint32_t flags, uint64_t offset, uint64_t iova,
		 uint64_t size, int fd, const struct vfui_policy *policy, struct vfu_err *err);
/* Whether a DMA_UNMAP that its check has let through finds what it is to remove: 0, -EINVAL, -ENOENT (E6, E7, E62). Owner. */
int vfui_dma_check_unmap(const struct vfui_dma *dma, uint64_t iova, uint64_t size, bool all,
			 const struct vfui_policy *policy, struct vfu_err *err);
/*
 * Of a DMA_UNMAP that its check has let through. Removes ranges (all: every one). 0: done, answer now. VFU_LATER: *wait is
 * set, answer when vfui_dma_wait_start says so. -EINVAL, -ENOENT (E6, E7, E62), -ENOMEM: nothing changed. Owner.
 */
int vfui_dma_unmap(struct vfui_dma *dma, uint64_t iova, uint64_t size, bool all,
		   const struct vfui_policy *policy, struct vfui_dma_wait **wait,
		   struct vfu_err *err);
/*
 * Tells the device, once each, of unmaps that have waited for a second. To be called in each round, and
 * vfui_dma_look_timeout milliseconds from now at the latest (-1: not yet). Owner.
 */
void vfui_dma_look(struct vfui_dma *dma);
int vfui_dma_look_timeout(const struct vfui_dma *dma);
/* Runs done when the last pin is gone: at once if it is, else on the thread that unpins, or reads. Consumes wait; done may be NULL. */
void vfui_dma_wait_start(struct vfui_dma *dma, struct vfui_dma_wait *wait, void (*done)(void *user),
			 void *user);

size_t vfui_dma_list(struct vfui_dma *dma, struct vfu_dma_range *out, size_t n);

#endif
