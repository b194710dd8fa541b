/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * fds.c - a handful of file descriptors with one owner.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/fds.h"

void vfui_fds_close(struct vfui_fds *fds)
{
	for (unsigned i = 0; i < fds->n; i++)
		vfui_os_close(fds->fd[i]);
	fds->n = 0;
}

int vfui_fds_dup(struct vfui_fds *fds, const int *from, unsigned n)
{
	fds->n = 0;
	if (n > VFUI_FDS_MAX)
		return -EMSGSIZE;
	while (fds->n < n) {
		int fd = vfui_os_dup(from[fds->n]);

		if (fd < 0) {
			vfui_fds_close(fds);
			return fd;
		}
		fds->fd[fds->n++] = fd;
	}
	return 0;
}

int vfui_fds_index(struct vfui_fds *fds, int fd)
{
	unsigned i = 0;

	while (i < fds->n && fds->fd[i] != fd)
		i++;
	if (i == VFUI_FDS_MAX)
		return -EMSGSIZE;
	if (i == fds->n)
		fds->fd[fds->n++] = fd;
	return (int)i;
}

int vfui_fds_move(struct vfui_fds *to, struct vfui_fds *from)
{
	if (from->n > VFUI_FDS_MAX - to->n)
		return -EMSGSIZE;
	memcpy(to->fd + to->n, from->fd, from->n * sizeof(from->fd[0]));
	to->n += from->n;
	from->n = 0;
	return 0;
}
