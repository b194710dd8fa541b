/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * fds.h - a handful of file descriptors with one owner.
 */
#ifndef VFUI_FDS_H
#define VFUI_FDS_H

#include "base/util.h"

/* Most that one message can carry (VFU_OPT_MAX_MSG_FDS goes no further). */
#define VFUI_FDS_MAX 64

/* Entries that were taken are -1. Not cleared as a whole: only fd[0..n) mean anything. */
struct vfui_fds {
	unsigned n;
	int fd[VFUI_FDS_MAX];
};

/* Closes all that are left; n is 0 afterwards. */
void vfui_fds_close(struct vfui_fds *fds);
/* Fills *fds with close-on-exec copies: 0, or -errno and nothing is held. */
int vfui_fds_dup(struct vfui_fds *fds, const int *from, unsigned n);
/* Where fd stands in *fds, at whose end it is put if it is new. -EMSGSIZE: no room. */
int vfui_fds_index(struct vfui_fds *fds, int fd);
/* Moves all of *from to the end of *to: 0, or -EMSGSIZE and nothing moved. */
int vfui_fds_move(struct vfui_fds *to, struct vfui_fds *from);

#endif
