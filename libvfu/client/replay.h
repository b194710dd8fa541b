/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * replay.h - what a new connection is asked and told, one request after another.
 */
#ifndef VFUI_CLIENT_REPLAY_H
#define VFUI_CLIENT_REPLAY_H

#include "client/link.h"

/*
 * Asks what the first connection's device is, and waits: what later ones are compared with. VERSION was agreed on. Any
 * failure fails the connection.
 */
int vfui_replay_survey(struct vfu_client *cl, struct vfui_conn *conn, struct vfu_err *err);
/*
 * Begins to tell a later connection all, VERSION first. It goes on in callbacks, to the end: the client is connected
 * again, or the connection has failed. The caller is its user.
 */
void vfui_replay_start(struct vfu_client *cl, struct vfui_conn *conn);

#endif
