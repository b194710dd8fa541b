/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-list.h - copies of many pieces of client memory at once, and of one byte to many places.
 */
#ifndef VFUI_DMA_LIST_H
#define VFUI_DMA_LIST_H

#include "device/dma-state.h"

/* The bodies of vfu_dma_readv_async, vfu_dma_writev_async and vfu_dma_fill_async (vfu.h). */
int vfui_dma_list_async(struct vfui_dma *dma, const struct vfu_dma_piece *pieces, size_t n,
			uint8_t *buf, bool write, vfu_dma_fn *fn, void *user);
int vfui_dma_fill_async(struct vfui_dma *dma, uint64_t iova, size_t len, uint8_t byte,
			vfu_dma_fn *fn, void *user);

#endif
