/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-file.c - the files behind ranges that are read and written, not mapped.
 *
 * A client may give one file with each of thousands of ranges; one descriptor of it is kept for all,
 * found by device, inode and how it is open.
 */
#include "device/dma-file.h"

#include <errno.h>

#include "base/os.h"

struct vfui_dma_file {
	struct vfui_dma_file *next;
	dev_t dev;
	ino_t ino;
	int mode; /* O_ACCMODE */
	int fd;
	uint32_t users;
};

static struct vfui_dma_file **bucket_of(struct vfui_dma *dma, dev_t dev, ino_t ino)
{
	uint64_t hash = ((uint64_t)dev + (uint64_t)ino) * UINT64_C(0x9e3779b97f4a7c15);

	return &dma->files[hash >> 56];
}

struct vfui_dma_file *vfui_dma_file_get(struct vfui_dma *dma, int fd, const struct stat *st,
					int mode)
{
	struct vfui_dma_file **bucket = bucket_of(dma, st->st_dev, st->st_ino), *file;

	vfui_os_lock(&dma->lock);
	for (file = *bucket; file; file = file->next) {
		if (file->dev == st->st_dev && file->ino == st->st_ino && file->mode == mode)
			break;
	}
	if (file) {
		file->users++;
		vfui_os_close(fd);
	} else {
		file = vfui_os_malloc(sizeof(*file));
		if (file) {
			*file = (struct vfui_dma_file){*bucket, st->st_dev, st->st_ino,
						       mode,    fd,         1};
			*bucket = file;
		}
	}
	vfui_os_unlock(&dma->lock);
	return file;
}

void vfui_dma_file_put(struct vfui_dma *dma, struct vfui_dma_file *file)
{
	struct vfui_dma_file **link = bucket_of(dma, file->dev, file->ino);
	bool last;

	vfui_os_lock(&dma->lock);
	last = !--file->users;
	if (last) {
		while (*link != file)
			link = &(*link)->next;
		*link = file->next;
	}
	vfui_os_unlock(&dma->lock);
	if (!last)
		return;
	vfui_os_close(file->fd);
	vfui_os_free(file);
}

int vfui_dma_file_io(const struct vfui_dma_file *file, uint64_t offset, uint8_t *buf, size_t len,
		     bool write)
{
	while (len) {
		ssize_t n = write ? vfui_os_pwrite(file->fd, buf, len, offset)
				  : vfui_os_pread(file->fd, buf, len, offset);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		/* The client has cut the file since. */
		if (!n)
			return -EIO;
		buf += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}
