/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * greet.h - the beginning of a connection: VERSION and nothing else comes first, in time.
 */
#ifndef VFUI_SERVER_GREET_H
#define VFUI_SERVER_GREET_H

#include "server/state.h"

/* A message while no version is agreed, or VERSION at any time: agrees and tells the device, or ends it. */
void vfui_server_greet(struct vfu_server *srv, struct vfui_msg *msg);
/* The connection's question about a message that is no command of a client: as the first it ends the connection. */
bool vfui_server_stranger(void *ctx, struct vfui_conn *conn, const struct vfui_msg *msg);
/* Milliseconds until a client that has not sent VERSION is given up; -1: that is no question. */
int vfui_server_greet_timeout(const struct vfu_server *srv);
/* A client that connects and says nothing would keep all others out for ever: 0 or -ETIMEDOUT. */
int vfui_server_check_greeting(struct vfu_server *srv);

#endif
