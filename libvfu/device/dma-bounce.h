/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-bounce.h - buffers that stand for client memory which is not mapped, while it is pinned.
 */
#ifndef VFUI_DMA_BOUNCE_H
#define VFUI_DMA_BOUNCE_H

#include "device/dma-op.h"

/* Without the lock. */

/*
 * A buffer for what->iova, len and flags, filled; what->ready is run, and then fn. Waits for room. 0: fn runs
 * once. What vfui_dma_check says; -E2BIG: there is never room; -ENOBUFS: so much waits already; -ENOMEM.
 */
int vfui_dma_bounce_async(struct vfui_dma *dma, const struct vfui_dma_bounce *what);
/* The same before it returns, and without fn; -ENOBUFS: no room now. */
int vfui_dma_bounce_wait(struct vfui_dma *dma, const struct vfui_dma_bounce *what);
/*
 * Writes what was changed back, if that was agreed, and frees the buffer. fn runs once, and 0 is returned;
 * without one: -ECANCELED: see vfui_dma_bounce_cancel.
 */
int vfui_dma_bounce_end(struct vfui_dma_bounce *bounce, vfu_dma_fn *fn, void *user);
/* An unmap, or a reset: those that wait for memory there end, and those that stand for it are written nowhere. */
void vfui_dma_bounce_cancel(struct vfui_dma *dma, uint64_t first, uint64_t last);
/* Frees them all, when nothing is in flight. */
void vfui_dma_bounce_fini(struct vfui_dma *dma);

#endif
