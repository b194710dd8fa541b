/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * direct.h - accesses that need no message. direct.c tells more.
 */
#ifndef VFUI_CLIENT_DIRECT_H
#define VFUI_CLIENT_DIRECT_H

#include "client/state.h"

/* The options let there be such accesses. */
static inline bool vfui_client_may_be_direct(const struct vfui_conn *conn)
{
	const uint64_t *values = vfui_conn_options(conn)->set.values;

	return values[VFU_OPT_MAPPED] | values[VFU_OPT_IOEVENTS];
}

/* Does an access without a message: 1. 0: it needs one. Negative: it has failed, and the caller's error is kept. */
int vfui_client_direct(struct vfu_client *cl, struct vfui_conn *conn,
		       const struct vfu_client_access *a);

#endif
