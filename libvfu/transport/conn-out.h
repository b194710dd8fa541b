/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-out.h - the queue of what goes out, and the end of a connection.
 */
#ifndef VFUI_CONN_OUT_H
#define VFUI_CONN_OUT_H

#include "transport/conn-state.h"

struct vfui_chan;

/* Sends what is queued as far as the socket takes it: 0, -EAGAIN if some is left, -ENOTCONN. */
int vfui_conn_flush(struct vfui_conn *conn);
/* So much is queued that no reply should be added to it. */
bool vfui_conn_is_out_full(const struct vfui_conn *conn);
/*
 * While on nothing is read and no message handled, but what is queued is sent and deadlines hold; a
 * wait ends with -EDEADLK. The reader's.
 */
void vfui_conn_stop_reading(struct vfui_conn *conn, bool stop);

/* Ends the connection for the reason cause (the first is kept): the socket is shut down at once. */
void vfui_conn_fail(struct vfui_conn *conn, const struct vfu_err *cause);

/* ---- for the files of the connection ---- */

/* The peer went away, and by this socket that is seen: what to say of it. With the lock. */
const char *vfui_conn_note_closed(struct vfui_conn *conn, const struct vfui_chan *chan);

/* Fails the connection because the peer broke the protocol. Returns -EPROTO. Without the lock. */
int vfui_conn_violation(struct vfui_conn *conn, const char *fmt, ...) VFUI_PRINTF(2, 3);
/* The same for what a generated check found. */
int vfui_conn_violation_at(struct vfui_conn *conn, const struct vfui_fault *fault);
/* Fails it with a code and a sentence of our own. Returns code. Without the lock. */
int vfui_conn_break(struct vfui_conn *conn, int code, const char *text);

/* After each change of a queue. With the lock. */
void vfui_conn_account(struct vfui_conn *conn);
/* After something was sent by the twin: adds it to the counters. With the lock. */
void vfui_conn_count_twin(struct vfui_conn *conn);

/*
 * Nothing can be sent any more, as was seen by chan (NULL: we do not want to), but what the peer sent before it left is still to be read. Returns
 * -ENOTCONN. With the lock.
 */
int vfui_conn_end_out(struct vfui_conn *conn, const struct vfui_chan *chan);
/* It is full: whether the socket does not take anything either. A connection that failed says so instead. */
bool vfui_conn_stays_full(struct vfui_conn *conn);

#endif
