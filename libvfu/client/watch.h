/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * watch.h - the one descriptor that stands for all that a client polls.
 */
#ifndef VFUI_CLIENT_WATCH_H
#define VFUI_CLIENT_WATCH_H

#include "client/state.h"

/* What is to be polled, as vfu_client_pollfds: conn (NULL: none), and what wakes a client that connects again. */
int vfui_client_watched(struct vfu_client *cl, struct vfui_conn *conn, struct pollfd *pfds,
			unsigned n);
/* Keeps the epoll descriptor, if there is one, in step with conn (NULL: nothing is to be watched). */
void vfui_client_sync_epoll(struct vfu_client *cl, struct vfui_conn *conn);

/* It is closed, unless there is a connection. */
void vfui_client_close_epoll(struct vfu_client *cl);

#endif
