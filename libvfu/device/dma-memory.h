/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-memory.h - what is behind a range of client memory: a mapping, a file, or nothing but messages.
 */
#ifndef VFUI_DMA_MEMORY_H
#define VFUI_DMA_MEMORY_H

#include "device/dma-state.h"

struct vfui_policy;

enum vfui_dma_kind { VFUI_DMA_MESSAGE, VFUI_DMA_MAPPED, VFUI_DMA_FILE };

struct vfui_dma_memory {
	enum vfui_dma_kind kind;
	uint8_t *addr; /* of the range, if mapped */
	void *mapping;
	size_t mapping_len;
	struct vfu_watch *watch;
	struct vfui_dma_file *file; /* if read and written through its file */
	uint64_t offset;            /* of the range in its file */
};

/* How a range is to be opened. */
struct vfui_dma_source {
	int fd;
	uint64_t offset, size;
	uint32_t access; /* VFU_DMA_* */
	bool as_file;    /* not to be mapped */
	const struct vfui_policy *policy;
};

/* src->fd is taken if 0 is returned. */
int vfui_dma_memory_open(struct vfui_dma *dma, struct vfui_dma_memory *memory,
			 const struct vfui_dma_source *src, struct vfu_err *err);
void vfui_dma_memory_close(struct vfui_dma *dma, struct vfui_dma_memory *memory);
/* Between buf and memory that is reached without messages; one that is not is passed over. -EFAULT: it is lost. */
int vfui_dma_memory_copy(const struct vfui_dma_memory *memory, uint64_t offset, uint8_t *buf,
			 size_t len, bool write);

#endif
