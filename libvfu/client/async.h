/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * async.h - accesses and other messages whose end a callback is told.
 */
#ifndef VFUI_CLIENT_ASYNC_H
#define VFUI_CLIENT_ASYNC_H

#include "client/state.h"

struct vfui_conn;
struct vfui_out;

/* Starts an access that has a fn, and sets its id. */
int vfui_client_start(struct vfu_client *cl, struct vfu_client_access *a);

/* A copy of what is said of it, with a tag; NULL: no memory. */
struct vfui_client_async *vfui_client_async_new(struct vfu_client *cl,
						const struct vfui_client_async *said);
void vfui_client_async_free(struct vfui_client_async *op);
/* Sends it, with op as the user of out's done. *id: for vfu_client_cancel. After an error there is no op any more. */
int vfui_client_async_send(struct vfui_conn *conn, struct vfui_out *out,
			   struct vfui_client_async *op, uint64_t *id);

#endif
