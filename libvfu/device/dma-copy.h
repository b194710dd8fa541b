/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-copy.h - copies between client memory and the device.
 */
#ifndef VFUI_DMA_COPY_H
#define VFUI_DMA_COPY_H

#include "device/dma-state.h"

struct vfui_dma_copy;

/* fn runs once if 0 is returned. */
int vfui_dma_copy_async(struct vfui_dma *dma, const struct vfui_dma_copy *what);
/* The same, waiting, and without it; what is changed. */
int vfui_dma_copy_wait(struct vfui_dma *dma, struct vfui_dma_copy *what);

/* The bodies of the public functions of the same names (vfu.h). */
int vfui_dma_read_async(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len, vfu_dma_fn *fn,
			void *user);
int vfui_dma_write_async(struct vfui_dma *dma, uint64_t iova, const void *buf, size_t len,
			 vfu_dma_fn *fn, void *user);
int vfui_dma_read(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len);
int vfui_dma_write(struct vfui_dma *dma, uint64_t iova, const void *buf, size_t len);

#endif
