/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-read.h - what is received: commands to the owner, replies to whoever waits. The reader's.
 */
#ifndef VFUI_CONN_READ_H
#define VFUI_CONN_READ_H

#include "transport/conn-inside.h"
#include "transport/conn-out.h"

/* Tells all who wait for replies that none will come. The reader's, or when no thread is left. */
void vfui_conn_end_pending(struct vfui_conn *conn);

/*
 * Takes the reader role: false if another thread has it. is_loop: the event loop, which thus is
 * awake.
 */
bool vfui_conn_take_role(struct vfui_conn *conn, bool is_loop);
/* Sends what is queued, ends all requests if the connection failed, and gives the role back. */
void vfui_conn_drop_role(struct vfui_conn *conn);
/* No more messages may be handled: so much is queued, and the socket takes nothing, or the owner said so. */
static inline bool vfui_conn_is_stalled(struct vfui_conn *conn)
{
	return vfui_conn_is_full(conn) && vfui_conn_stays_full(conn);
}

/* Handles one buffered message, of the twin socket first: 1, 0 if none is complete, or what failed the connection. */
int vfui_conn_handle_one(struct vfui_conn *conn);
/* Receives once. 1: something came; 0: nothing; -EINTR; or what failed the connection. */
int vfui_conn_receive(struct vfui_conn *conn, struct vfui_chan *chan, bool dontwait);
/* The same without waiting, of all its sockets: the main one first, so that nothing in the twin is younger. */
int vfui_conn_receive_all(struct vfui_conn *conn);
/* The last receive took all there was. */
static inline bool vfui_conn_is_drained(const struct vfui_conn *conn)
{
	return conn->main.in.is_drained && (conn->twin == NULL || conn->twin->in.is_drained);
}
/* Ends requests whose time is up. */
void vfui_conn_expire(struct vfui_conn *conn);
/* Adds what was received to the counters. The reader's, with the lock. */
void vfui_conn_count_in(struct vfui_conn *conn);

#endif
