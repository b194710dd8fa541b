/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-wait.h - sleeping until something happens.
 */
#ifndef VFUI_CONN_WAIT_H
#define VFUI_CONN_WAIT_H

#include "transport/conn-state.h"

/*
 * Waits until ready(arg), called without a lock, is true; serves commands meanwhile. It may be
 * called in a callback: messages received there stay valid. timeout_ms < 0: for ever. -ETIMEDOUT;
 * -EINTR: the interrupt hook said so; -EDEADLK: the outgoing queue is full (the connection lives
 * on); -ENOTCONN or what failed it. No other thread, whatever callback it is in, can hold up these
 * ends. ready NULL: it waits for nothing and only serves; a full queue then does not end it, but it
 * reads no more until there is room.
 */
int vfui_conn_wait(struct vfui_conn *conn, bool (*ready)(void *arg), void *arg, int timeout_ms);

/*
 * Waits until all that is queued, but for the last left bytes, is in the socket, unless somebody else is known to see to that:
 * another thread that only serves, or an event loop that is going to poll. -ETIMEDOUT after
 * VFU_OPT_TIMEOUT_MS, and as vfui_conn_wait: it stays queued. In a callback under process it
 * does not wait.
 */
int vfui_conn_drain(struct vfui_conn *conn, size_t left);

/* ---- for the files of the connection ---- */

/*
 * vfui_conn_wait, of who has just got the reader role with a request, whose deadline it is, and gives it up in the end.
 */
int vfui_conn_wait_as_reader(struct vfui_conn *conn, bool (*ready)(void *arg), void *arg);

/* Somebody is known to send what is queued once the socket takes more: see vfui_conn_drain. With the lock. */
bool vfui_conn_is_watched(struct vfui_conn *conn);

/*
 * Sleeps until the thread that reads has handled something or reads no more, or at most left
 * nanoseconds (-1: for ever). event: vfui_conn_event_number() before the caller looked at what it waits for.
 */
void vfui_conn_nap(struct vfui_conn *conn, unsigned event, int64_t left);

/*
 * Sends what is queued, then sleeps until the deadline or that of a request, and at most so many nanoseconds (-1: for
 * ever), for something to come, and receives it: as vfui_conn_receive.
 */
int vfui_conn_sleep(struct vfui_conn *conn, uint64_t deadline, int64_t most);

#endif
