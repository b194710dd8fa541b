/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * listener.h - where clients come from, one at a time.
 */
#ifndef VFUI_SERVER_LISTENER_H
#define VFUI_SERVER_LISTENER_H

#include "server/state.h"

/* Takes a client that waits, or turns it away if there is one. */
void vfui_server_look(struct vfu_server *srv);
/* The socket file goes, if it is ours, and those who wait at it are turned away. */
void vfui_server_stop_listening(struct vfu_server *srv);

#endif
