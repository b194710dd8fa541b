/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * events.c - eventfds that others signal and the server watches, all behind one descriptor.
 *
 *	client's eventfds ----+
 *	client's eventfds ----+--> epoll_fd --> vfu_server_pollfds, in the place of wake_fd
 *	the server's wake_fd -+
 *
 * A loop has room for four descriptors, however many eventfds there are; so the epoll descriptor stands for
 * wake_fd too, while there are any.
 *
 * Eventfds are as much the client's: it may have made one a semaphore, clear O_NONBLOCK or empty the
 * counter at any moment, or signal without pause. None of that matters, as nobody reads to learn:
 * epoll is edge-triggered, each signal is reported once, whatever the counter says. Signals between two
 * looks are one, as they are in a counter. A look takes a bounded number, and epoll puts what comes again
 * behind the others: a storm on one starves neither them nor the socket. Counters are emptied all the
 * same (vfui_eventfd_drain), so that who writes finds room.
 */
#include "device/events.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/os.h"

/* No key: the server looks at wake_fd itself. */
#define WAKE UINT64_MAX

void vfui_events_init(struct vfui_events *events)
{
	*events = (struct vfui_events){.epoll_fd = -1, .wake_fd = -1};
}

void vfui_events_restart(struct vfui_events *events, int wake_fd)
{
	vfui_os_close(events->epoll_fd);
	*events = (struct vfui_events){.epoll_fd = -1, .wake_fd = wake_fd};
}

/* Kept until the server goes, lest its number be another's while a loop still watches it. */
static int open_epoll(struct vfui_events *events)
{
	int rc;

	if (events->wake_fd < 0)
		return -ENOTSUP;
	if (events->epoll_fd >= 0)
		return 0;
	events->epoll_fd = vfui_os_epoll();
	if (events->epoll_fd < 0)
		return events->epoll_fd;
	rc = vfui_os_epoll_ctl(events->epoll_fd, EPOLL_CTL_ADD, events->wake_fd, EPOLLIN, WAKE);
	if (rc < 0)
		vfui_events_restart(events, events->wake_fd);
	return rc;
}

int vfui_events_add(struct vfui_events *events, int fd, uint64_t key)
{
	int rc = open_epoll(events);

	if (!rc)
		rc = vfui_os_epoll_ctl(events->epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, key);
	if (!rc)
		events->n++;
	return rc;
}

void vfui_events_remove(struct vfui_events *events, int fd)
{
	/* Closing would not do, as the client has the same open file. */
	if (events->epoll_fd < 0 || fd < 0)
		return;
	vfui_os_epoll_ctl(events->epoll_fd, EPOLL_CTL_DEL, fd, 0, 0);
	events->n--;
}

unsigned vfui_events_take(struct vfui_events *events, uint64_t keys[VFUI_EVENTS_TAKEN])
{
	int n = events->n ? vfui_os_epoll_take(events->epoll_fd, keys, VFUI_EVENTS_TAKEN) : 0;
	unsigned taken = 0;

	for (int i = 0; i < n; i++) {
		if (keys[i] != WAKE)
			keys[taken++] = keys[i];
	}
	return taken;
}
