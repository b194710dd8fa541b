/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * watch.c - the one descriptor that stands for all that a client polls.
 */
#include <string.h>
#include <sys/epoll.h>

#include "base/os.h"
#include "client/link.h"
#include "client/watch.h"

int vfui_client_watched(struct vfu_client *cl, struct vfui_conn *conn, struct pollfd *pfds,
			unsigned n)
{
	int count = conn ? vfui_conn_pollfds(conn, pfds, n) : 0;

	if (!vfui_link_is_live(cl))
		return count;
	if ((unsigned)count < n)
		pfds[count] = (struct pollfd){.fd = cl->link->wake_fd, .events = POLLIN};
	return count + 1;
}

void vfui_client_sync_epoll(struct vfu_client *cl, struct vfui_conn *conn)
{
	struct pollfd now[VFUI_CLIENT_PFDS];
	unsigned n = 0;

	vfui_os_lock(&cl->lock);
	if (cl->epoll_fd >= 0) {
		n = (unsigned)vfui_client_watched(cl, conn, now, VFUI_CLIENT_PFDS);
		if (n != cl->nwatched || memcmp(now, cl->watched, n * sizeof(now[0])) != 0) {
			for (unsigned i = 0; i < cl->nwatched; i++)
				vfui_os_epoll_ctl(cl->epoll_fd, EPOLL_CTL_DEL, cl->watched[i].fd, 0,
						  0);
			/* Epoll's event bits have poll's values. */
			for (unsigned i = 0; i < n; i++)
				vfui_os_epoll_ctl(cl->epoll_fd, EPOLL_CTL_ADD, now[i].fd,
						  (uint32_t)now[i].events, 0);
			memcpy(cl->watched, now, n * sizeof(now[0]));
			cl->nwatched = n;
		}
	}
	vfui_os_unlock(&cl->lock);
}

void vfui_client_close_epoll(struct vfu_client *cl)
{
	int fd = -1;

	vfui_os_lock(&cl->lock);
	if (!cl->conn) {
		fd = cl->epoll_fd;
		cl->epoll_fd = -1;
		cl->nwatched = 0;
	}
	vfui_os_unlock(&cl->lock);
	vfui_os_close(fd);
}
