/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * run.c - how a server waits: what to watch, the work of one round, and the loop around both.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/os.h"
#include "server/handle.h"

/* How often the listener and the stop flag are looked at when only the client's socket is watched. */
#define TICK_MS 250
#define TICK_REQUESTS 1024
/* A round: what may be held back at most when a gate opens at its first request. */
#define BATCH 64
/* How long to wait before one more request is read although too much is held back: it may be the answer to our DMA. */
#define FULL_TICK_MS 1000

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

	/* The flag only spares system calls between threads; a signal handler writes in any case. */
	atomic_store(&srv->stop, true);
	atomic_store(&srv->woken, true);
	vfui_os_write(srv->wake_fd, &one, sizeof(one));
	errno = saved;
}

static void take_wake(struct vfu_server *srv)
{
	uint64_t count;

	/* The connection writes to it too, without the flag. */
	if (!atomic_exchange(&srv->woken, false) && !srv->is_wake_suspect)
		return;
	srv->is_wake_suspect = false;
	vfui_os_read(srv->wake_fd, &count, sizeof(count));
}

/* ---- what to watch ---- */

int vfu_server_pollfds(struct vfu_server *srv, struct pollfd *pfds, unsigned n)
{
	struct pollfd all[VFUI_SERVER_PFDS];
	unsigned count = 0, i;

	/* Who sleeps on these is the owner already. */
	srv->owner = pthread_self();
	all[count++] = (struct pollfd){.fd = srv->wake_fd, .events = POLLIN};
	/* While the device decides about the end of a connection a new client waits. */
	if (srv->listen_fd >= 0 && srv->state != VFUI_SERVER_ENDING && !vfui_server_is_full(srv))
		all[count++] = (struct pollfd){.fd = srv->listen_fd, .events = POLLIN};
	if (srv->conn && srv->state != VFUI_SERVER_ENDING && !vfui_server_is_full(srv))
		count += vfui_conn_pollfds(srv->conn, all + count, VFUI_SERVER_PFDS - count);
	for (i = 0; i < count && i < n; i++)
		pfds[i] = all[i];
	return (int)vfui_min(count, n);
}

/* Until a client that has not sent VERSION is given up; -1: that is no question. */
static int greet_timeout(const struct vfu_server *srv)
{
	uint64_t now;

	if (srv->state != VFUI_SERVER_GREETING || srv->greet_by == VFUI_NEVER)
		return -1;
	now = vfui_os_now();
	return now < srv->greet_by ? (int)((srv->greet_by - now + VFUI_MS - 1) / VFUI_MS) : 0;
}

int vfu_server_timeout(struct vfu_server *srv)
{
	int timeout, greeting;

	/* A wait inside a callback may have read wake_fd empty. */
	if (atomic_load(&srv->woken))
		return 0;
	if (!srv->conn || srv->state == VFUI_SERVER_ENDING)
		return -1;
	if (vfui_server_can_drain(srv))
		return 0;
	if (vfui_server_is_full(srv))
		return FULL_TICK_MS;
	timeout = vfui_conn_timeout(srv->conn);
	greeting = greet_timeout(srv);
	return greeting < 0 || (timeout >= 0 && timeout < greeting) ? timeout : greeting;
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
		vfui_os_epoll_ctl(srv->epoll_fd, EPOLL_CTL_DEL, srv->watched[i].fd, 0);
	for (i = 0; i < n; i++) {
		/* epoll's event bits have poll's values. */
		vfui_os_epoll_ctl(srv->epoll_fd, EPOLL_CTL_ADD, now[i].fd, (uint32_t)now[i].events);
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

/* ---- one round ---- */

static bool is_deserted(const struct vfu_server *srv)
{
	return !srv->conn && srv->listen_fd < 0;
}

/* Before the client's requests: what other threads and the device have for us. */
static void begin_round(struct vfu_server *srv)
{
	srv->is_processing = true;
	srv->owner = pthread_self();
	take_wake(srv);
	if (srv->dev->gate.is_open)
		vfui_device_gate_run(srv->dev);
	if (srv->state == VFUI_SERVER_ENDING)
		vfui_server_end(srv);
	vfui_server_drain(srv);
}

/* A client that connects and says nothing would keep all others out for ever. */
static int check_greeting(struct vfu_server *srv)
{
	struct vfu_err err;

	if (greet_timeout(srv) != 0)
		return 0;
	vfui_err_set(&err, -ETIMEDOUT, NULL, 0, "no VERSION came in time");
	vfui_conn_fail(srv->conn, &err);
	return -ETIMEDOUT;
}

/* rc: what vfui_conn_process said; look: at the listener as well. Requests handled. */
static int end_round(struct vfu_server *srv, int rc, bool look)
{
	unsigned handled = rc > 0 ? (unsigned)rc : 0;

	if (rc >= 0)
		rc = check_greeting(srv);
	if (rc < 0 && srv->conn && srv->state != VFUI_SERVER_ENDING)
		vfui_server_end(srv);
	vfui_server_drain(srv);
	srv->unlooked += handled;
	if (look || srv->unlooked >= TICK_REQUESTS)
		vfui_server_look(srv);
	srv->is_processing = false;
	vfui_server_sync_epoll(srv, false);
	return (int)handled;
}

/* While requests are held back one at a time is read, so that little more than the limit is held. */
static unsigned batch(const struct vfu_server *srv, unsigned max)
{
	if (vfui_server_is_holding(srv))
		return 1;
	return max && max < BATCH ? max : BATCH;
}

/* Nothing while too much is held back, but for one request now and then. */
static bool may_read(struct vfu_server *srv)
{
	uint64_t now;

	if (!srv->conn || srv->state == VFUI_SERVER_ENDING)
		return false;
	if (!vfui_server_is_full(srv)) {
		srv->full_since = 0;
		return true;
	}
	now = vfui_os_now();
	if (!srv->full_since)
		srv->full_since = now;
	if (now - srv->full_since < FULL_TICK_MS * VFUI_MS)
		return false;
	srv->full_since = now;
	return true;
}

int vfu_server_process(struct vfu_server *srv, unsigned max)
{
	int rc = vfui_server_check(srv);

	if (rc < 0)
		return rc;
	if (srv->is_processing || srv->waits)
		return -EDEADLK;
	begin_round(srv);
	if (may_read(srv))
		rc = vfui_conn_process(srv->conn, batch(srv, max));
	/* Nothing came from the client: then something else has woken us. */
	if (rc <= 0)
		srv->is_wake_suspect = true;
	rc = end_round(srv, rc, rc <= 0);
	return is_deserted(srv) ? -ENOTCONN : rc;
}

/* ---- the loop ---- */

/* Nothing but the client's socket can bring work that can not wait for a tick. */
static bool is_socket_all(struct vfu_server *srv)
{
	struct pollfd pfds[2];

	return srv->conn && srv->state != VFUI_SERVER_ENDING && !vfui_server_is_holding(srv) &&
	       vfui_conn_pollfds(srv->conn, pfds, 2) == 1 && pfds[0].events == POLLIN;
}

static bool is_tick_over(const struct vfu_server *srv)
{
	return vfui_os_now() - srv->looked_at >= TICK_MS * VFUI_MS;
}

bool vfui_server_stay(void *ctx, unsigned handled)
{
	const struct vfu_server *srv = ctx;

	return srv->state == VFUI_SERVER_UP && !vfui_server_is_holding(srv) &&
	       !atomic_load(&srv->woken) && srv->unlooked + handled < TICK_REQUESTS &&
	       !is_tick_over(srv);
}

/* Sleeps in the receive itself: one system call less a request than with poll. */
static int run_on_socket(struct vfu_server *srv)
{
	bool look;
	int rc, handled;

	begin_round(srv);
	rc = vfui_conn_process_wait(srv->conn, BATCH, TICK_MS);
	look = is_tick_over(srv);
	if (look)
		srv->looked_at = vfui_os_now();
	handled = end_round(srv, rc == -EINTR ? 0 : rc, look);
	return rc == -EINTR ? rc : handled;
}

static int run_on_poll(struct vfu_server *srv)
{
	struct pollfd pfds[VFUI_SERVER_PFDS];
	int n = vfu_server_pollfds(srv, pfds, VFUI_SERVER_PFDS);
	int timeout = vfu_server_timeout(srv);
	int rc;

	rc = vfui_os_poll(pfds, (unsigned)n, timeout < 0 ? -1 : timeout * (int64_t)VFUI_MS);
	if (rc < 0)
		return rc;
	srv->is_wake_suspect |= pfds[0].revents != 0;
	rc = vfu_server_process(srv, 0);
	return rc == -ENOTCONN ? 0 : rc;
}

int vfu_server_run(struct vfu_server *srv)
{
	int rc = vfui_server_check(srv);

	if (rc < 0)
		return rc;
	if (srv->is_processing || srv->waits)
		return vfui_err_set(&srv->err, -EDEADLK, NULL, 0, "the server runs already");
	while (!atomic_exchange(&srv->stop, false) && !is_deserted(srv)) {
		rc = is_socket_all(srv) ? run_on_socket(srv) : run_on_poll(srv);
		if (rc == -EINTR && srv->interruptible && !atomic_load(&srv->stop))
			return rc;
		if (rc < 0 && rc != -EINTR)
			return vfui_err_set(&srv->err, rc, NULL, 0, "run: %s", strerror(-rc));
	}
	return 0;
}
