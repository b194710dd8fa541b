/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * call.c - how every call of a client begins and ends, and what it leaves behind when it fails.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "client/call.h"
#include "client/reconnect.h"

/* The caller's own entry, else a free or the oldest one. With the lock. */
static struct vfui_client_err *err_entry(struct vfu_client *cl)
{
	struct vfui_client_err *oldest = &cl->errs[0];

	for (unsigned i = 0; i < VFUI_CLIENT_ERRS; i++) {
		struct vfui_client_err *e = &cl->errs[i];

		if (e->serial && pthread_equal(e->thread, pthread_self()))
			return e;
		if (e->serial < oldest->serial)
			oldest = e;
	}
	return oldest;
}

int vfui_client_keep(struct vfu_client *cl, int code, struct vfu_err *err)
{
	struct vfui_client_err *e;

	if (err->code != code)
		vfui_err_set(err, code, NULL, 0, "%s", strerror(-code));
	vfui_os_lock(&cl->lock);
	e = err_entry(cl);
	e->thread = pthread_self();
	e->serial = ++cl->err_serial;
	e->err = *err;
	vfui_os_unlock(&cl->lock);
	return code;
}

void vfu_client_err(struct vfu_client *cl, struct vfu_err *err)
{
	const struct vfui_client_err *e;

	vfui_err_clear(err);
	if (!*cl->fork_mark) {
		vfui_err_set(err, -EOWNERDEAD, NULL, 0, "this process is a child of the client's");
		return;
	}
	vfui_os_lock(&cl->lock);
	e = err_entry(cl);
	if (e->serial && pthread_equal(e->thread, pthread_self()))
		*err = e->err;
	vfui_os_unlock(&cl->lock);
}

int vfui_client_fail(struct vfu_client *cl, int code, const char *text)
{
	struct vfu_err err;

	vfui_err_set(&err, code, NULL, 0, "%s", text);
	return vfui_client_keep(cl, code, &err);
}

/* There is none, or none yet. */
VFUI_APART static struct vfui_conn *await(struct vfu_client *cl, bool may_wait, int timeout_ms,
					  int *ret)
{
	struct vfu_err err = {0};
	struct vfui_conn *conn = vfui_link_await(cl, may_wait, timeout_ms, ret, &err);

	if (!conn)
		vfui_client_keep(cl, *ret, &err);
	return conn;
}

int vfui_client_check_wait(struct vfu_client *cl, struct vfui_conn *conn)
{
	if (!vfui_client_is_in_dma(cl, conn))
		return 0;
	return vfui_client_fail(cl, -EDEADLK, "the device's DMA can not wait for itself");
}

static inline struct vfui_conn *begin(struct vfu_client *cl, bool may_wait, int timeout_ms,
				      int *ret)
{
	struct vfui_conn *conn;

	*ret = 0;
	if (!*cl->fork_mark) {
		*ret = -EOWNERDEAD;
		return NULL;
	}
	conn = vfui_client_hold(cl);
	if (!conn)
		conn = await(cl, may_wait, timeout_ms, ret);
	if (!conn || !may_wait)
		return conn;
	*ret = vfui_client_check_wait(cl, conn);
	if (!*ret)
		return conn;
	vfui_client_end(cl, 0, NULL);
	return NULL;
}

struct vfui_conn *vfui_client_begin(struct vfu_client *cl, bool may_wait, int *ret)
{
	return begin(cl, may_wait, -1, ret);
}

struct vfui_conn *vfui_client_begin_for(struct vfu_client *cl, int timeout_ms, int *ret)
{
	return begin(cl, true, timeout_ms < 0 ? 0 : (int)vfui_max(timeout_ms, 1), ret);
}

/* What the user is told of the connection he may answer with calls: what this one has kept is kept again. */
static void look(struct vfu_client *cl)
{
	struct vfu_err kept;

	vfu_client_err(cl, &kept);
	vfui_link_look(cl);
	if (kept.code)
		vfui_client_keep(cl, kept.code, &kept);
}

/* A call that fails. What ended the connection is said by all that fail for it, however they have noticed. */
VFUI_APART static int fail(struct vfu_client *cl, int ret, struct vfu_err *err)
{
	bool may_have_ended = ret == -ENOTCONN || ret == -EPROTO;
	struct vfu_err cause;
	int status = may_have_ended ? vfui_conn_status(cl->conn, &cause) : 0;

	if (status)
		ret = vfui_client_keep(cl, status, &cause);
	else if (err)
		vfui_client_keep(cl, ret, err);
	if (cl->link)
		look(cl);
	return ret;
}

int vfui_client_end(struct vfu_client *cl, int ret, struct vfu_err *err)
{
	if (ret < 0)
		ret = fail(cl, ret, err);
	vfui_client_leave(cl);
	return ret;
}

struct vfui_call vfui_client_new_call(struct vfu_err *err)
{
	err->code = 0;
	return (struct vfui_call){.timeout_ms = -1, .err = err};
}

/* Something ends that does not wait for the calling thread. With the lock. */
static bool has_to_wait(struct vfu_client *cl)
{
	if (cl->is_closing && !vfui_client_is_in_callback(cl))
		return true;
	if (cl->link && cl->link->is_trying && !pthread_equal(cl->link->trier, pthread_self()))
		return true;
	return cl->is_connecting && cl->is_given_up &&
	       !pthread_equal(cl->connector, pthread_self());
}

/* Sleeps for a while, if there is something to wait for: false if not, or not any more. */
static bool nap(struct vfu_client *cl, int64_t left)
{
	bool has_to;

	vfui_os_lock(&cl->lock);
	if (has_to_wait(cl))
		vfui_os_cond_wait(&cl->cond, &cl->lock,
				  left < 0 || left > VFUI_TICK_NS ? VFUI_TICK_NS : left);
	has_to = has_to_wait(cl);
	vfui_os_unlock(&cl->lock);
	return has_to;
}

int vfui_client_await_end(struct vfu_client *cl, int timeout_ms, int (*why_stop)(void *cl))
{
	const struct vfui_clock *clock = &cl->options.clock;
	uint64_t deadline = vfui_clock_deadline(clock, timeout_ms ? timeout_ms : -1);
	int ret = 0;

	while (!ret && nap(cl, vfui_clock_left(clock, deadline))) {
		ret = why_stop ? why_stop(cl) : 0;
		if (!ret && !vfui_clock_left(clock, deadline))
			ret = -ETIMEDOUT;
	}
	return ret;
}

void vfui_client_close(struct vfu_client *cl, struct vfui_conn *conn)
{
	struct vfu_err cause;

	vfui_err_set(&cause, -ENOTCONN, NULL, 0, "disconnected");
	vfui_os_lock(&cl->lock);
	cl->usable = NULL;
	cl->is_closing = true;
	vfui_link_stop(cl);
	vfui_os_unlock(&cl->lock);
	vfui_conn_fail(conn, &cause);
	vfui_client_leave(cl);
}
