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
	struct vfui_account *account; /* NULL: not counted */
};

static struct vfui_dma_file **bucket_of(struct vfui_dma *dma, dev_t dev, ino_t ino)
{
	uint64_t hash = ((uint64_t)dev + (uint64_t)ino) * UINT64_C(0x9e3779b97f4a7c15);

	return &dma->files[hash >> 56];
}

static void file_free(struct vfui_dma_file *file)
{
	if (file->account)
		vfui_account_put_file(file->account);
	vfui_account_unref(file->account);
	vfui_os_free(file);
}

static int file_new(struct vfui_account *account, const struct vfui_dma_file *model,
		    struct vfui_dma_file **file)
{
	int rc = account ? vfui_account_take_file(account) : 0;

	if (rc)
		return rc;
	*file = vfui_os_malloc(sizeof(**file));
	if (*file) {
		**file = *model;
		(*file)->account = account ? vfui_account_ref(account) : NULL;
		return 0;
	}
	if (account)
		vfui_account_put_file(account);
	return -ENOMEM;
}

int vfui_dma_file_get(struct vfui_dma *dma, int fd, const struct stat *st, int mode,
		      struct vfui_dma_file **out)
{
	struct vfui_dma_file **bucket = bucket_of(dma, st->st_dev, st->st_ino), *file;
	int rc = 0;

	vfui_os_lock(&dma->lock);
	for (file = *bucket; file; file = file->next) {
		if (file->dev == st->st_dev && file->ino == st->st_ino && file->mode == mode)
			break;
	}
	if (file) {
		file->users++;
		vfui_os_close(fd);
	} else {
		const struct vfui_dma_file model = {
			.next = *bucket,
			.dev = st->st_dev,
			.ino = st->st_ino,
			.mode = mode,
			.fd = fd,
			.users = 1,
		};

		rc = file_new(dma->limits.account, &model, &file);
		if (!rc)
			*bucket = file;
	}
	vfui_os_unlock(&dma->lock);
	*out = file;
	return rc;
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
	file_free(file);
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
