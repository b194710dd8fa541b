/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * users.h - who uses a client's connection, which stays as long as somebody does.
 */
#ifndef VFUI_CLIENT_USERS_H
#define VFUI_CLIENT_USERS_H

#include "client/state.h"

/* The connection that calls may use; it stays until vfui_client_leave. NULL if there is none. */
struct vfui_conn *vfui_client_hold(struct vfu_client *cl);
/* Also one that calls may not use yet (VFUI_LINK_REPLAY). */
struct vfui_conn *vfui_client_hold_any(struct vfu_client *cl);
/* The last user of a closed connection frees it. */
void vfui_client_leave(struct vfu_client *cl);
/* This thread is inside a callback of the connection, which there is, or in the user's of vfu_client_set_link. With
 * the lock. */
bool vfui_client_is_in_callback(struct vfu_client *cl);
/* This thread is inside a function that serves the device's DMA on this connection, and must not wait: nobody would read. */
static inline bool vfui_client_is_in_dma(struct vfu_client *cl, struct vfui_conn *conn)
{
	return vfui_conn_is_reader(conn) && cl->is_in_dma_fn;
}
/* The interrupt hook says that waits are to end. */
bool vfui_client_is_interrupted(struct vfu_client *cl);

#endif
