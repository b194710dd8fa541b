/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * io-fds.h - eventfds that stand for writes to a region.
 */
#ifndef VFUI_CLIENT_IO_FDS_H
#define VFUI_CLIENT_IO_FDS_H

#include "client/kept.h"
#include "client/state.h"

/* Those of a region that is kept, asked for once; none is a good answer, and so is a device that knows no such question. */
int vfui_client_io(struct vfu_client *cl, struct vfui_conn *conn, unsigned index,
		   struct vfui_kept_region *region, const struct vfu_io_fds **out);

#endif
