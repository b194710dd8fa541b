/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * info.h - what the device says of itself, and of a region.
 */
#ifndef VFUI_CLIENT_INFO_H
#define VFUI_CLIENT_INFO_H

#include "client/kept.h"
#include "client/state.h"

/* vfu_client_device_info, inside of a call; what goes wrong is kept. */
int vfui_client_device(struct vfu_client *cl, struct vfui_conn *conn, struct vfu_device_info *out);
/* Asked once a connection, which the caller holds as long as it looks at *out. */
int vfui_client_region(struct vfu_client *cl, struct vfui_conn *conn, unsigned index,
		       struct vfui_kept_region **out);
/* Which area that can be mapped an access lies in (len 0: begins); -1: none. */
int vfui_client_find_area(const struct vfu_region_info *info, uint64_t offset, uint64_t len);

#endif
