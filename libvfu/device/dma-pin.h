/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-pin.h - pointers into client memory that a device keeps.
 */
#ifndef VFUI_DMA_PIN_H
#define VFUI_DMA_PIN_H

#include "device/dma-state.h"

/* The bodies of the public functions of the same names (vfu.h). */
int vfui_dma_pin(struct vfui_dma *dma, uint64_t iova, size_t len, unsigned flags,
		 struct vfu_dma_pin *pin);
int vfui_dma_pin_async(struct vfui_dma *dma, uint64_t iova, size_t len, unsigned flags,
		       struct vfu_dma_pin *pin, vfu_dma_fn *fn, void *user);
int vfui_dma_unpin_async(struct vfui_dma *dma, struct vfu_dma_pin *pin, vfu_dma_fn *fn, void *user);
int vfui_dma_unpin(struct vfui_dma *dma, struct vfu_dma_pin *pin);

struct vfui_dma_wait;

/* How many pins an unmap waits for, and where the first of them is. Lock held. */
unsigned vfui_dma_pins_of(const struct vfui_dma *dma, const struct vfui_dma_wait *wait,
			  struct vfu_dma_piece *first);

#endif
