/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * handle.c - a client's life: options, connecting, disconnecting.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "client/call.h"
#include "client/dma-serve.h"
#include "client/dma-table.h"
#include "client/watch.h"
#include "transport/sock.h"

static int init_locks(struct vfu_client *cl)
{
	int err = vfui_os_mutex_init(&cl->lock);

	if (err)
		return err;
	err = vfui_os_cond_init(&cl->cond);
	if (err)
		vfui_os_mutex_fini(&cl->lock);
	return err;
}

struct vfu_client *vfu_client_new(void)
{
	struct vfu_client *cl = vfui_os_calloc(1, sizeof(*cl));

	if (!cl)
		return NULL;
	vfui_conn_options_init(&cl->options);
	cl->options.stats = &cl->stats;
	cl->epoll_fd = -1;
	cl->fork_mark = vfui_os_fork_mark_new();
	if (!cl->fork_mark || init_locks(cl)) {
		vfui_os_fork_mark_free(cl->fork_mark);
		vfui_os_free(cl);
		return NULL;
	}
	return cl;
}

void vfu_client_free(struct vfu_client *cl)
{
	struct vfui_client_async *op;

	if (!cl)
		return;
	if (*cl->fork_mark) {
		vfu_client_disconnect(cl);
		vfui_os_cond_fini(&cl->cond);
		vfui_os_mutex_fini(&cl->lock);
	} else {
		/* A child's copy: threads that held locks do not exist here, and the parent goes on. */
		vfui_conn_free(cl->conn);
		vfui_client_table_clear(cl);
	}
	while ((op = cl->spare)) {
		cl->spare = op->next;
		vfui_os_free(op);
	}
	vfui_os_close(cl->epoll_fd);
	vfui_os_free(cl->bounce);
	vfui_os_fork_mark_free(cl->fork_mark);
	vfui_os_free(cl);
}

/* ---- options, for the next connection ---- */

int vfu_client_set(struct vfu_client *cl, enum vfu_option option, uint64_t value)
{
	if (!*cl->fork_mark)
		return -EOWNERDEAD;
	if (vfui_options_set(cl->options.values, option, value))
		return vfui_client_fail(cl, -EINVAL,
					"no such option, or its value is out of range");
	return 0;
}

int vfu_client_set_policy(struct vfu_client *cl, const char *field, const char *choice)
{
	int ret;

	if (!*cl->fork_mark)
		return -EOWNERDEAD;
	ret = vfui_policy_set(&cl->options.policy, field, choice);
	if (ret)
		return vfui_client_fail(cl, ret, "no such policy, or no such choice");
	return 0;
}

int vfu_client_set_profile(struct vfu_client *cl, const char *profile)
{
	int ret;

	if (!*cl->fork_mark)
		return -EOWNERDEAD;
	ret = vfui_policy_profile(&cl->options.policy, profile);
	if (ret)
		return vfui_client_fail(cl, ret, "no such profile");
	return 0;
}

void vfu_client_set_log(struct vfu_client *cl, vfu_log_fn *fn, void *user)
{
	cl->options.log = (struct vfui_log){fn, user};
}

void vfu_client_set_interrupt(struct vfu_client *cl, int (*check)(void *user), void *user)
{
	cl->options.interrupt = check;
	cl->options.interrupt_user = user;
}

/* ---- connecting ---- */

/* Makes this thread the one that connects. */
static int reserve(struct vfu_client *cl)
{
	int ret = 0;

	vfui_os_lock(&cl->lock);
	if (cl->conn || cl->is_connecting)
		ret = -EISCONN;
	else
		cl->is_connecting = true;
	vfui_os_unlock(&cl->lock);
	return ret;
}

/* Ends the reservation, with a connection or without one. */
static void publish(struct vfu_client *cl, struct vfui_conn *conn)
{
	vfui_os_lock(&cl->lock);
	cl->is_connecting = false;
	cl->conn = conn;
	cl->users = conn != NULL;
	vfui_os_unlock(&cl->lock);
	if (!conn)
		return;
	vfui_client_sync_epoll(cl, conn);
	vfui_client_end(cl, 0, NULL);
}

static int negotiate(struct vfu_client *cl, int fd, struct vfui_conn **out, struct vfu_err *err)
{
	static const struct vfui_conn_ops ops = {.command = vfui_client_command};
	struct vfui_conn *conn = vfui_conn_new(fd, false, &cl->options, &ops, cl);
	struct vfui_caps offer;
	int ret;

	if (!conn)
		return vfui_err_set(err, -ENOMEM, NULL, 0, "no memory for a connection");
	vfui_negotiate_offer(cl->options.values, &offer);
	ret = vfui_negotiate_client(conn, &offer, &cl->caps, &cl->minor, err);
	if (ret) {
		vfui_conn_free(conn);
		return ret;
	}
	*out = conn;
	return 0;
}

/* A connection that has failed by itself is still there, for vfu_client_status; it makes way. */
static int prepare(struct vfu_client *cl)
{
	struct vfui_conn *conn;
	int ret;

	if (!*cl->fork_mark)
		return -EOWNERDEAD;
	conn = vfui_client_hold(cl);
	if (conn && vfui_conn_status(conn, NULL))
		vfui_client_close(cl, conn);
	else if (conn)
		vfui_client_end(cl, 0, NULL);
	ret = reserve(cl);
	return ret ? vfui_client_fail(cl, ret, "connected already") : 0;
}

/* fd: a connected socket, or the negative errno that says why not. */
static int attach(struct vfu_client *cl, int fd, struct vfu_err *err)
{
	struct vfui_conn *conn = NULL;
	int ret = fd;

	if (fd >= 0) {
		atomic_store(&cl->is_mapped, false);
		ret = negotiate(cl, fd, &conn, err);
	}
	publish(cl, conn);
	return ret ? vfui_client_keep(cl, ret, err) : 0;
}

int vfu_client_connect(struct vfu_client *cl, const char *address)
{
	struct vfu_err err = {0};
	int ret = prepare(cl);
	int fd;

	if (ret)
		return ret;
	fd = vfui_sock_connect(address, (unsigned)cl->options.values[VFU_OPT_TIMEOUT_MS], &err);
	return attach(cl, fd, &err);
}

int vfu_client_attach(struct vfu_client *cl, int fd)
{
	struct vfu_err err = {0};
	int ret = prepare(cl);

	if (ret) {
		vfui_os_close(fd);
		return ret;
	}
	return attach(cl, fd, &err);
}

void vfu_client_disconnect(struct vfu_client *cl)
{
	struct vfui_conn *conn;

	if (!*cl->fork_mark)
		return;
	conn = vfui_client_hold(cl);
	if (conn)
		vfui_client_close(cl, conn);
	else
		vfui_client_await_end(cl);
}

int vfu_client_status(struct vfu_client *cl)
{
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (!conn)
		return ret;
	ret = vfui_conn_status(conn, &err);
	return vfui_client_end(cl, ret, &err);
}

void vfu_client_stats(struct vfu_client *cl, struct vfu_stats *out)
{
	struct vfui_conn *conn = *cl->fork_mark ? vfui_client_hold(cl) : NULL;

	if (!conn) {
		*out = cl->stats;
		return;
	}
	vfui_conn_stats(conn, out);
	vfui_client_end(cl, 0, NULL);
}
