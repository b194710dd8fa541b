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
 * *file is the kept file behind fd, which is kept or closed. mode: O_ACCMODE of fd. -ENOMEM, -ENOSPC (so
 * many are kept already): fd stays the caller's.
 */
int vfui_dma_file_get(struct vfui_dma *dma, int fd, const struct stat *st, int mode,
		      struct vfui_dma_file **file);
void vfui_dma_file_put(struct vfui_dma *dma, struct vfui_dma_file *file);
/* All of it: 0 or negative errno. */
int vfui_dma_file_io(const struct vfui_dma_file *file, uint64_t offset, uint8_t *buf, size_t len,
		     bool write);

#endif
