/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * events.h - eventfds that others signal and the server watches, all behind one descriptor. Owner only.
 */
#ifndef VFUI_EVENTS_H
#define VFUI_EVENTS_H

#include <stdint.h>

struct vfui_events {
	int epoll_fd; /* -1: there were none so far */
	int wake_fd;  /* the server's, which is watched along; -1: there is no server */
	unsigned n;   /* watched, without that one */
};

/* The most that one look takes; the others come first in the next. */
#define VFUI_EVENTS_TAKEN 16

void vfui_events_init(struct vfui_events *events);
/* Nothing is watched any more. wake_fd: of the server that watches from now on, -1: there is none. */
void vfui_events_restart(struct vfui_events *events, int wake_fd);

/*
 * Watches an eventfd, which the caller removes before it closes it. key: what vfui_events_take says when it is
 * signalled, or was before. 0 or negative errno, -ENOTSUP: there is no server.
 */
int vfui_events_add(struct vfui_events *events, int fd, uint64_t key);
void vfui_events_remove(struct vfui_events *events, int fd);
/* The keys of those that were signalled since the last look; never sleeps. Their counters are the caller's. */
unsigned vfui_events_take(struct vfui_events *events, uint64_t keys[VFUI_EVENTS_TAKEN]);

#endif
