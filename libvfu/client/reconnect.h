/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * reconnect.h - a client that connects again by itself, for calls and for event loops.
 */
#ifndef VFUI_CLIENT_RECONNECT_H
#define VFUI_CLIENT_RECONNECT_H

#include "client/link.h"

/*
 * For a call that finds no connection: the one that it may use (vfui_client_leave), once there is one. may_wait: it
 * may sleep for that, for timeout_ms (-1: as for an answer; 0: for ever) at most. NULL: *ret and *err say why not.
 */
struct vfui_conn *vfui_link_await(struct vfu_client *cl, bool may_wait, int timeout_ms, int *ret,
				  struct vfu_err *err);
/* What an event loop does besides processing messages: an attempt if it is time for one. Never sleeps. */
void vfui_link_process(struct vfu_client *cl);
/* In how many ms that is to be; -1: there is nothing to be waited for. */
int vfui_link_timeout(struct vfu_client *cl);

#endif
