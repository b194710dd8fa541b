/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-loop.h - a connection in an event loop.
 */
#ifndef VFUI_CONN_LOOP_H
#define VFUI_CONN_LOOP_H

#include <poll.h>
#include <pthread.h>

#include "transport/conn-state.h"

/*
 * Handles at most max messages (0: a fair batch) and never blocks. Commands and replies handled, 0
 * if another thread reads; -ENOTCONN or what failed the connection, once all that came before is
 * handled.
 */
int vfui_conn_process(struct vfui_conn *conn, unsigned max);
/*
 * The same, but sleeps up to timeout_ms (-1: for ever) for the first message; and all that as long
 * as ops->stay wants. -EINTR: a signal came, maybe after messages that were handled.
 */
int vfui_conn_process_wait(struct vfui_conn *conn, unsigned max, int timeout_ms);
/* Sockets and an eventfd: what vfui_conn_pollfds fills at most. */
#define VFUI_CONN_PFDS 3
/*
 * Fills at most n entries and returns how many are needed: the socket, the twin socket if there is one, and
 * an eventfd without options.wake_fd.
 */
int vfui_conn_pollfds(struct vfui_conn *conn, struct pollfd *pfds, unsigned n);
/* Milliseconds until vfui_conn_process should run even if nothing polls ready; -1: for ever. */
int vfui_conn_timeout(struct vfui_conn *conn);
/*
 * The loop is left: nobody sleeps on what pollfds and timeout have told last, or if somebody does he asks
 * again.
 */
void vfui_conn_disarm(struct vfui_conn *conn);
/*
 * on: only the thread owner reads from now on, in vfui_conn_process or waits of its own; waits of others leave it to
 * that one, however long it takes. Who reads at this moment goes on to the end of the call.
 */
void vfui_conn_set_owner(struct vfui_conn *conn, bool on, pthread_t owner);

#endif
