/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-file.h - files kept for ranges of client memory that are read and written.
 */
#ifndef VFUI_DMA_FILE_H
#define VFUI_DMA_FILE_H

#include <sys/stat.h>

#include "device/dma-state.h"

/*
 * The kept file behind fd, which is kept or closed. mode: O_ACCMODE of fd. NULL: out of memory, fd
 * stays the caller's.
 */
struct vfui_dma_file *vfui_dma_file_get(struct vfui_dma *dma, int fd, const struct stat *st,
					int mode);
void vfui_dma_file_put(struct vfui_dma *dma, struct vfui_dma_file *file);
/* All of it: 0 or negative errno. */
int vfui_dma_file_io(const struct vfui_dma_file *file, uint64_t offset, uint8_t *buf, size_t len,
		     bool write);

#endif
