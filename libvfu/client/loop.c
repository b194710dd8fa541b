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
#include "client/watch.h"

int vfu_client_pollfds(struct vfu_client *cl, struct pollfd *pfds, unsigned n)
{
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (!conn)
		return ret;
	ret = vfui_conn_pollfds(conn, pfds, n);
	return vfui_client_end(cl, ret, NULL);
}

int vfu_client_timeout(struct vfu_client *cl)
{
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (!conn)
		return -1;
	ret = vfui_conn_timeout(conn);
	return vfui_client_end(cl, ret, NULL);
}

int vfu_client_process(struct vfu_client *cl, unsigned max)
{
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (!conn)
		return ret;
	ret = vfui_conn_process(conn, max);
	if (ret < 0)
		vfui_conn_status(conn, &err);
	vfui_client_sync_epoll(cl, conn);
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_set_reader(struct vfu_client *cl, bool on)
{
	struct vfui_conn *conn;

	if (!*cl->fork_mark)
		return -EOWNERDEAD;
	conn = vfui_client_hold(cl);
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
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (!conn)
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
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_flush(struct vfu_client *cl)
{
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	vfui_conn_disarm(conn);
	return vfui_client_end(cl, vfui_conn_drain(conn, 0), &err);
}

/* ---- serving only ---- */

int vfu_client_serve(struct vfu_client *cl, int timeout_ms)
{
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);
	unsigned before;

	if (!conn)
		return ret;
	before = atomic_load(&cl->served);
	ret = vfui_conn_wait(conn, NULL, NULL, timeout_ms);
	if (ret == -ETIMEDOUT)
		ret = (int)((atomic_load(&cl->served) - before) & INT_MAX);
	else if (ret < 0)
		vfui_conn_status(conn, &err);
	return vfui_client_end(cl, ret, &err);
}
