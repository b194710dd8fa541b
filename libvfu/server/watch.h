/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * watch.h - what to watch while there is nothing to do, and how others end that.
 */
#ifndef VFUI_SERVER_WATCH_H
#define VFUI_SERVER_WATCH_H

#include "base/os.h"
#include "server/state.h"

/* How often to look whether there is room again. */
#define VFUI_FULL_TICK_MS 1000

/* vfui_device_server.wake */
void vfui_server_wake(void *ctx);
/* Before a look at all work: wake_fd is empty afterwards. */
void vfui_server_take_wake(struct vfu_server *srv);
/* The connection's question whether it may go on without a look at anything else. */
bool vfui_server_stay(void *ctx, unsigned handled);
/* Eventfds that the client signals can bring work, and may: while requests are held up, they wait too. */
static inline bool vfui_server_has_events(const struct vfu_server *srv)
{
	return srv->dev->events.n && srv->state == VFUI_SERVER_UP && !vfui_server_is_held_up(srv);
}
static inline bool vfui_server_is_tick_over(const struct vfu_server *srv)
{
	return vfui_os_now() - srv->looked_at >= VFUI_TICK_MS * VFUI_MS;
}
/* Keeps the epoll descriptor, if there is one, in step. closing: nothing is to be watched. */
void vfui_server_sync_epoll(struct vfu_server *srv, bool closing);

#endif
