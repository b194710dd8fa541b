/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * users.h - who uses a client's connection, which stays as long as somebody does.
 */
#ifndef VFUI_CLIENT_USERS_H
#define VFUI_CLIENT_USERS_H

#include "base/os.h"
#include "client/state.h"

/* This thread is inside vfu_client_process, whose use lasts as long as that of any callback under it. */
static inline bool vfui_client_is_looper(struct vfu_client *cl)
{
	pthread_t looper = atomic_load_explicit(&cl->looper, memory_order_relaxed);

	return looper && pthread_equal(looper, pthread_self());
}
/* From now on: true, if no other thread is, nor this one already; that ends it with the other. */
bool vfui_client_begin_loop(struct vfu_client *cl);
void vfui_client_end_loop(struct vfu_client *cl);
/* One more user, until vfui_client_leave on this thread: of a connection that stays meanwhile, or with the lock. */
static inline void vfui_client_join(struct vfu_client *cl)
{
	if (!vfui_client_is_looper(cl))
		vfui_os_count(&cl->users, 1);
}
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
