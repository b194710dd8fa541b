/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * loop.c - a client in an event loop, and serving the device's DMA.
 */
#include <errno.h>
#include <limits.h>

#include "base/os.h"
#include "client/call.h"
#include "client/reconnect.h"
#include "client/watch.h"

/* For what goes on while a client connects again: NULL, and *ret 0, if there is no connection just then. */
static struct vfui_conn *begin_any(struct vfu_client *cl, int *ret)
{
	struct vfui_conn *conn;

	*ret = 0;
	if (!vfui_link_is_live(cl) || !*cl->fork_mark)
		return vfui_client_begin(cl, false, ret);
	conn = vfui_client_hold_any(cl);
	/* It has been given up meanwhile. */
	if (!conn && !vfui_link_is_live(cl))
		return vfui_client_begin(cl, false, ret);
	return conn;
}

int vfu_client_pollfds(struct vfu_client *cl, struct pollfd *pfds, unsigned n)
{
	int ret;
	struct vfui_conn *conn = begin_any(cl, &ret);

	if (ret)
		return ret;
	ret = vfui_client_watched(cl, conn, pfds, n);
	return conn ? vfui_client_end(cl, ret, NULL) : ret;
}

int vfu_client_timeout(struct vfu_client *cl)
{
	int ret;
	struct vfui_conn *conn = begin_any(cl, &ret);

	if (!conn)
		return ret ? -1 : vfui_link_timeout(cl);
	ret = vfui_conn_timeout(conn);
	return vfui_client_end(cl, ret, NULL);
}

int vfu_client_process(struct vfu_client *cl, unsigned max)
{
	struct vfu_err err = {0};
	struct vfui_conn *conn;
	bool is_looper;
	int ret;

	if (vfui_link_is_live(cl) && *cl->fork_mark)
		vfui_link_process(cl);
	conn = begin_any(cl, &ret);
	if (!conn) {
		vfui_client_sync_epoll(cl, NULL);
		return ret;
	}
	is_looper = vfui_client_begin_loop(cl);
	ret = vfui_conn_process(conn, max);
	if (is_looper)
		vfui_client_end_loop(cl);
	if (ret < 0)
		vfui_conn_status(conn, &err);
	vfui_client_sync_epoll(cl, conn);
	ret = vfui_client_end(cl, ret, &err);
	return ret < 0 && vfui_link_is_live(cl) ? 0 : ret;
}

int vfu_client_set_reader(struct vfu_client *cl, bool on)
{
	struct vfui_conn *conn;

	if (!*cl->fork_mark)
		return -EOWNERDEAD;
	conn = vfui_client_hold_any(cl);
	vfui_os_lock(&cl->lock);
	cl->is_owned = on;
	cl->owner = pthread_self();
	if (conn)
		vfui_conn_set_owner(conn, cl->is_owned, cl->owner);
	vfui_os_unlock(&cl->lock);
	return conn ? vfui_client_end(cl, 0, NULL) : 0;
}

/* ---- one descriptor for all ---- */

int vfu_client_fd(struct vfu_client *cl)
{
	int ret;
	struct vfu_err err = {0};
	struct vfui_conn *conn = begin_any(cl, &ret);

	if (ret)
		return ret;
	vfui_os_lock(&cl->lock);
	if (cl->epoll_fd < 0) {
		ret = vfui_os_epoll();
		cl->epoll_fd = ret < 0 ? -1 : ret;
	}
	vfui_os_unlock(&cl->lock);
	if (ret >= 0) {
		vfui_client_sync_epoll(cl, conn);
		ret = cl->epoll_fd;
	}
	if (!conn)
		return ret < 0 ? vfui_client_keep(cl, ret, &err) : ret;
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_flush(struct vfu_client *cl)
{
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = begin_any(cl, &ret);

	if (!conn)
		return ret;
	if (vfui_client_is_in_dma(cl, conn)) {
		vfui_client_end(cl, 0, NULL);
		return vfui_client_fail(cl, -EDEADLK, "the device's DMA can not wait for itself");
	}
	vfui_conn_disarm(conn);
	return vfui_client_end(cl, vfui_conn_drain(conn, 0), &err);
}

/* ---- serving only ---- */

/* On one connection, until the deadline (0) or that has ended. */
static int serve_one(struct vfu_client *cl, struct vfui_conn *conn, uint64_t deadline)
{
	int64_t left = vfui_clock_left(&cl->options.clock, deadline);
	struct vfu_err err = {0};
	int ret = vfui_conn_wait(
		conn, NULL, NULL,
		left < 0 ? -1 : (int)((left + (int64_t)VFUI_MS - 1) / (int64_t)VFUI_MS));

	if (ret == -ETIMEDOUT)
		ret = 0;
	else if (ret < 0)
		vfui_conn_status(conn, &err);
	return vfui_client_end(cl, ret, &err);
}

/* The next connection, if there is to be one in time. NULL, and *ret 0: the time is up. */
static struct vfui_conn *next_conn(struct vfu_client *cl, uint64_t deadline, int *ret)
{
	int64_t left = vfui_clock_left(&cl->options.clock, deadline);
	struct vfui_conn *conn = NULL;
	struct vfu_err err = {0};

	*ret = 0;
	if (left)
		conn = vfui_link_await(cl, true, left < 0 ? 0 : (int)(left / (int64_t)VFUI_MS) + 1,
				       ret, &err);
	if (!conn && *ret == -ENOTCONN && vfui_link_is_live(cl))
		*ret = 0;
	if (*ret)
		vfui_client_keep(cl, *ret, &err);
	return conn;
}

int vfu_client_serve(struct vfu_client *cl, int timeout_ms)
{
	uint64_t deadline = vfui_clock_deadline(&cl->options.clock, timeout_ms);
	unsigned before = atomic_load(&cl->served);
	int ret;
	struct vfui_conn *conn = vfui_client_begin_for(cl, timeout_ms, &ret);

	if (ret == -ENOTCONN && vfui_link_is_live(cl))
		ret = 0;
	while (conn) {
		ret = serve_one(cl, conn, deadline);
		if (!ret || ret == -EINTR || !vfui_link_is_live(cl))
			break;
		conn = next_conn(cl, deadline, &ret);
	}
	return ret ? ret : (int)((atomic_load(&cl->served) - before) & INT_MAX);
}
