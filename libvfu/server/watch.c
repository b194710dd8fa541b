/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * watch.c - what to watch while there is nothing to do, and how others end that.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/os.h"
#include "server/greet.h"
#include "server/held.h"
#include "server/order.h"
#include "server/watch.h"

/* ---- waking ---- */

void vfui_server_wake(void *ctx)
{
	struct vfu_server *srv = ctx;
	const uint64_t one = 1;

	if (!atomic_exchange(&srv->woken, true))
		vfui_os_write(srv->wake_fd, &one, sizeof(one));
}

void vfu_server_stop(struct vfu_server *srv)
{
	const uint64_t one = 1;
	int saved = errno;

	if (vfui_server_check(srv) < 0)
		return;

	/* The flag only spares system calls between threads; a signal handler writes in any case. */
	atomic_store(&srv->stop, true);
	atomic_store(&srv->woken, true);
	vfui_os_write(srv->wake_fd, &one, sizeof(one));
	errno = saved;
}

void vfui_server_take_wake(struct vfu_server *srv)
{
	uint64_t count;

	/* The connection writes to it too, without the flag. */
	if (!atomic_exchange(&srv->woken, false) && !srv->is_wake_suspect)
		return;
	srv->is_wake_suspect = false;
	vfui_os_read(srv->wake_fd, &count, sizeof(count));
}

/* ---- what to watch ---- */

/* Milliseconds until the listener has rested; -1: it does not rest. */
static int rest_timeout(const struct vfu_server *srv)
{
	uint64_t now = srv->rest_until ? vfui_os_now() : 0;

	return now < srv->rest_until ? (int)((srv->rest_until - now + VFUI_MS - 1) / VFUI_MS) : -1;
}

/* While the device decides about the end of a connection, or nothing is read, a new client waits. */
static bool is_listening(const struct vfu_server *srv)
{
	return srv->listen_fd >= 0 && srv->state != VFUI_SERVER_ENDING &&
	       !(srv->conn && vfui_account_is_full(srv->account)) && rest_timeout(srv) < 0;
}

int vfu_server_pollfds(struct vfu_server *srv, struct pollfd *pfds, unsigned n)
{
	struct pollfd all[VFUI_SERVER_PFDS];
	unsigned count = 0, i;

	if (vfui_server_check(srv) < 0)
		return -EOWNERDEAD;
	/* Who sleeps on these is the owner already. */
	srv->owner = pthread_self();
	all[count++] = (struct pollfd){.fd = vfui_server_has_events(srv) ? srv->dev->events.epoll_fd
									 : srv->wake_fd,
				       .events = POLLIN};
	if (is_listening(srv))
		all[count++] = (struct pollfd){.fd = srv->listen_fd, .events = POLLIN};
	if (srv->conn && srv->state != VFUI_SERVER_ENDING)
		count += vfui_conn_pollfds(srv->conn, all + count, VFUI_SERVER_PFDS - count);
	for (i = 0; i < count && i < n; i++)
		pfds[i] = all[i];
	return (int)vfui_min(count, n);
}

/* The earlier of two timeouts; -1: never. */
static int earlier(int a, int b)
{
	return (unsigned)a < (unsigned)b ? a : b;
}

int vfu_server_timeout(struct vfu_server *srv)
{
	int timeout;

	if (vfui_server_check(srv) < 0)
		return 0; /* vfu_server_process says why */
	/* A wait inside a callback may have read wake_fd empty. */
	if (atomic_load(&srv->woken))
		return 0;
	if (srv->state == VFUI_SERVER_ENDING)
		return -1;
	if (!srv->conn)
		return rest_timeout(srv);
	if (vfui_server_can_drain(srv))
		return 0;
	timeout = earlier(vfui_conn_timeout(srv->conn), vfui_server_greet_timeout(srv));
	timeout = earlier(timeout, rest_timeout(srv));
	timeout = earlier(timeout, vfui_dma_look_timeout(&srv->dev->dma));
	/* What a client before this one left unanswered wakes nobody when it is answered. */
	if (vfui_account_is_half(srv->account))
		timeout = earlier(timeout, VFUI_FULL_TICK_MS);
	return timeout;
}

void vfui_server_sync_epoll(struct vfu_server *srv, bool closing)
{
	struct pollfd now[VFUI_SERVER_PFDS];
	unsigned n, i;

	if (srv->epoll_fd < 0)
		return;
	n = closing ? 0 : (unsigned)vfu_server_pollfds(srv, now, VFUI_SERVER_PFDS);
	if (n == srv->nwatched && !memcmp(now, srv->watched, n * sizeof(now[0])))
		return;
	for (i = 0; i < srv->nwatched; i++)
		vfui_os_epoll_ctl(srv->epoll_fd, EPOLL_CTL_DEL, srv->watched[i].fd, 0, 0);
	for (i = 0; i < n; i++) {
		/* epoll's event bits have poll's values. */
		vfui_os_epoll_ctl(srv->epoll_fd, EPOLL_CTL_ADD, now[i].fd, (uint32_t)now[i].events,
				  0);
		srv->watched[i] = now[i];
	}
	srv->nwatched = n;
}

int vfu_server_fd(struct vfu_server *srv)
{
	int rc = vfui_server_check(srv);

	if (rc < 0)
		return rc;
	if (srv->epoll_fd < 0) {
		rc = vfui_os_epoll();
		if (rc < 0)
			return vfui_err_set(&srv->err, rc, NULL, 0, "epoll: %s", strerror(-rc));
		srv->epoll_fd = rc;
		vfui_server_sync_epoll(srv, false);
	}
	return srv->epoll_fd;
}

/* ---- ticks ---- */

bool vfui_server_stay(void *ctx, unsigned handled)
{
	const struct vfu_server *srv = ctx;

	return srv->state == VFUI_SERVER_UP && !srv->dev->events.n &&
	       !vfui_server_is_holding(srv) && !atomic_load(&srv->woken) &&
	       srv->unlooked + handled < VFUI_TICK_REQUESTS && !vfui_server_is_tick_over(srv);
}
