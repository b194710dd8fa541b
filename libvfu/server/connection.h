/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * connection.h - start and end of a connection.
 */
#ifndef VFUI_SERVER_CONNECTION_H
#define VFUI_SERVER_CONNECTION_H

#include "server/state.h"

/* A connected socket, which it takes, becomes the connection: 0, or why not, and then it is ended. */
int vfui_server_begin(struct vfu_server *srv, int fd);
/* Ends the connection; the device is told with vfui_server_end. conn_lock if not the owner. */
void vfui_server_hang_up(struct vfu_server *srv);
/* The connection is over: brings it to its end as far as the device lets it. */
void vfui_server_end(struct vfu_server *srv);
/* Ends it, whatever the device says: the gate is asked, but not waited for. */
void vfui_server_end_now(struct vfu_server *srv);

#endif
