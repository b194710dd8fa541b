/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * connect.c - the beginning and the end of a client's connection.
 *
 *	vfu_client_connect                       what it may wait for
 *	    reserve      is_connecting           an old connection that failed, to be gone
 *	+-> sock         a connected socket      the server, whose queue is full
 *	|   negotiate    greeting: a connection  the server's VERSION
 *	|                that nobody else knows
 *	+-- pause        nothing                 a server that is not there yet, or has a client
 *	    publish      conn: calls may use it
 *
 * Each of these waits has the deadline of a request, the way round that of VFU_OPT_CONNECT_WAIT_MS,
 * and all ask why_stop: the interrupt hook, and
 * whether vfu_client_disconnect was called on another thread meanwhile (is_given_up). That one
 * returns when the thread that connects has noticed, as it does when the last call has left a
 * connection. Nobody waits for himself: not in a callback of the connection that ends, nor on the
 * thread that connects.
 */
#include <errno.h>

#include "base/os.h"
#include "base/sigbus.h"
#include "client/backoff.h"
#include "client/call.h"
#include "client/connect.h"
#include "client/dma-serve.h"
#include "client/dma-table.h"
#include "client/reconnect.h"
#include "client/replay.h"
#include "client/watch.h"
#include "transport/sock.h"

/* ---- connecting ---- */

static const struct vfui_conn_ops ops = {.command = vfui_client_command};

/* Why a thread that connects is to stop: 0 or a negative errno. */
static int why_stop(void *ctx)
{
	struct vfu_client *cl = ctx;
	bool is_given_up;

	vfui_os_lock(&cl->lock);
	is_given_up = cl->is_given_up;
	vfui_os_unlock(&cl->lock);
	return is_given_up ? -ENOTCONN : vfui_client_is_interrupted(cl) ? -EINTR : 0;
}

/* Makes this thread the one that connects. */
static int reserve(struct vfu_client *cl)
{
	bool is_taken;

	if (!*cl->fork_mark)
		return -EOWNERDEAD;
	vfui_os_lock(&cl->lock);
	is_taken = cl->is_connecting || vfui_link_is_live(cl) ||
		   (cl->conn && !cl->is_closing && !vfui_conn_status(cl->conn, NULL));
	if (!is_taken) {
		cl->is_connecting = true;
		cl->is_given_up = false;
		cl->connector = pthread_self();
	}
	vfui_os_unlock(&cl->lock);
	return is_taken ? vfui_client_fail(cl, -EISCONN, "connected already") : 0;
}

/* Ends what there is, also if that is nothing but attempts to connect again, and what they left behind. */
static void close_any(struct vfu_client *cl)
{
	struct vfui_conn *conn;

	vfui_os_lock(&cl->lock);
	vfui_link_stop(cl);
	if (!cl->conn) {
		vfui_client_table_clear(cl);
		cl->map_error = 0;
	}
	vfui_os_cond_broadcast(&cl->cond);
	vfui_os_unlock(&cl->lock);
	vfui_link_wake(cl);
	conn = vfui_client_hold_any(cl);
	if (conn)
		vfui_client_close(cl, conn);
}

/* A connection that has failed by itself is still there, for vfu_client_status. */
static int make_way(struct vfu_client *cl, struct vfu_err *err)
{
	int ret;

	close_any(cl);
	ret = vfui_client_await_end(cl, (int)vfui_client_option(cl, VFU_OPT_TIMEOUT_MS), why_stop);
	if (ret)
		return vfui_err_set(err, ret, NULL, 0, "calls on the last connection go on");
	vfui_os_lock(&cl->lock);
	ret = cl->conn ? -EISCONN : 0;
	vfui_os_unlock(&cl->lock);
	return ret ? vfui_err_set(err, ret, NULL, 0, "in a callback of the last connection") : 0;
}

/* Ends the reservation, with a connection or without one. */
static int publish(struct vfu_client *cl, struct vfui_conn *conn, int ret, struct vfu_err *err)
{
	vfui_os_lock(&cl->lock);
	cl->is_connecting = false;
	cl->greeting = NULL;
	if (!ret && cl->is_given_up)
		ret = vfui_err_set(err, -ENOTCONN, NULL, 0, "disconnected");
	if (!ret) {
		vfui_conn_set_owner(conn, cl->is_owned, cl->owner);
		cl->conn = conn;
		cl->usable = conn;
		vfui_client_join(cl);
		vfui_client_own_free(cl->left);
		cl->left = NULL;
		vfui_link_start(cl);
	}
	vfui_os_cond_broadcast(&cl->cond);
	vfui_os_unlock(&cl->lock);
	if (ret) {
		vfui_conn_free(conn);
		return vfui_client_keep(cl, ret, err);
	}
	if (vfui_client_option(cl, VFU_OPT_MAPPED) && !vfui_sigbus_is_guarded())
		vfui_log(
			&cl->options.log, VFU_LOG_WARN,
			"VFU_OPT_MAPPED needs vfu_sigbus_guard: accesses go by message until then");
	vfui_client_sync_epoll(cl, conn);
	return vfui_client_end(cl, 0, NULL);
}

static void fail_greeting(struct vfui_conn *conn)
{
	struct vfu_err cause;

	vfui_err_set(&cause, -ENOTCONN, NULL, 0, "disconnected");
	vfui_conn_fail(conn, &cause);
}

static int negotiate(struct vfu_client *cl, struct vfui_conn *conn, struct vfu_err *err)
{
	vfui_os_lock(&cl->lock);
	cl->greeting = conn;
	if (cl->is_given_up)
		fail_greeting(conn);
	vfui_os_unlock(&cl->lock);
	return vfui_negotiate_client(conn, &cl->caps, &cl->minor, err);
}

/* Greets over fd, a connected socket. A connection, also one that failed; NULL: no memory. */
static int greet(struct vfu_client *cl, int fd, struct vfui_conn **conn, struct vfu_err *err)
{
	struct vfui_conn_options options = vfui_client_options(cl);

	atomic_store(&cl->is_mapped, false);
	atomic_store(&cl->is_master, false);
	*conn = vfui_conn_new(fd, false, &options, &ops, cl);
	return *conn ? negotiate(cl, *conn, err)
		     : vfui_err_set(err, -ENOMEM, NULL, 0, "no memory for a connection");
}

static int try_address(struct vfu_client *cl, const char *address, struct vfui_conn **conn,
		       struct vfu_err *err)
{
	int fd = vfui_sock_connect(address, (unsigned)vfui_client_option(cl, VFU_OPT_TIMEOUT_MS),
				   why_stop, cl, err);
	int ret = fd < 0 ? fd : greet(cl, fd, conn, err);

	return ret || !vfui_link_is_wanted(cl) ? ret : vfui_replay_survey(cl, *conn, err);
}

/* ---- waiting for a server ---- */

/* What may be another answer a moment later: nobody is there, or somebody who has a client. */
static bool may_come(int status)
{
	static const int passing[] = {-ENOENT,     -ECONNREFUSED, -ENOTCONN,
				      -ECONNRESET, -EPIPE,        -ETIMEDOUT};

	for (unsigned i = 0; i < VFUI_ARRAY_SIZE(passing); i++)
		if (status == passing[i])
			return true;
	return false;
}

/* Frees what an attempt has left, which vfu_client_stats and vfu_client_disconnect look at. */
static void forget_attempt(struct vfu_client *cl, struct vfui_conn **conn)
{
	vfui_os_lock(&cl->lock);
	cl->greeting = NULL;
	vfui_os_unlock(&cl->lock);
	vfui_conn_free(*conn);
	*conn = NULL;
}

/* Sleeps for so long, while nothing ends it. 0, or what did. */
static int pause_for(struct vfu_client *cl, uint64_t ns)
{
	const struct vfui_clock *clock = &cl->options.clock;
	uint64_t until = vfui_clock_now(clock) + ns;
	int64_t left;
	int ret;

	while (!(ret = why_stop(cl)) && (left = vfui_clock_left(clock, until)) > 0) {
		vfui_os_lock(&cl->lock);
		if (!cl->is_given_up)
			vfui_os_cond_wait(&cl->cond, &cl->lock, left);
		vfui_os_unlock(&cl->lock);
	}
	return ret;
}

/* Tries until there is a connection, the time to wait for one is up, or something else is the matter. */
static int await_server(struct vfu_client *cl, const char *address, struct vfui_conn **conn,
			struct vfu_err *err)
{
	const struct vfui_clock *clock = &cl->options.clock;
	uint64_t wait_ms = vfui_client_option(cl, VFU_OPT_CONNECT_WAIT_MS);
	uint64_t deadline = vfui_clock_deadline(clock, (int64_t)wait_ms);
	struct vfui_backoff backoff = {0};
	int ret, stop;

	while ((ret = try_address(cl, address, conn, err)) && may_come(ret)) {
		int64_t left = vfui_clock_left(clock, deadline);

		stop = why_stop(cl);
		if (!stop && left <= 0)
			break;
		forget_attempt(cl, conn);
		if (!stop)
			stop = pause_for(cl, vfui_min(vfui_backoff_next(&backoff), (uint64_t)left));
		if (stop)
			return vfui_err_set(err, stop, NULL, 0, "waiting for a server: %s",
					    stop == -ENOTCONN ? "disconnected" : "interrupted");
		vfui_err_clear(err);
	}
	return ret;
}

int vfu_client_connect(struct vfu_client *cl, const char *address)
{
	struct vfu_err err = {0};
	struct vfui_conn *conn = NULL;
	int ret = reserve(cl);

	if (ret)
		return ret;
	ret = make_way(cl, &err);
	if (!ret)
		ret = vfui_link_prepare(cl, address, &ops);
	if (!ret)
		ret = await_server(cl, address, &conn, &err);
	return publish(cl, conn, ret, &err);
}

static int attach(struct vfu_client *cl, int fd, struct vfui_conn **conn, struct vfu_err *err)
{
	int ret = vfui_sock_check_connected(fd, err);

	if (ret) {
		vfui_os_close(fd);
		return ret;
	}
	vfui_link_prepare(cl, NULL, &ops);
	return greet(cl, fd, conn, err);
}

int vfu_client_attach(struct vfu_client *cl, int fd)
{
	struct vfu_err err = {0};
	struct vfui_conn *conn = NULL;
	int ret = reserve(cl);

	if (ret) {
		vfui_os_close(fd);
		return ret;
	}
	ret = make_way(cl, &err);
	if (ret)
		vfui_os_close(fd);
	else
		ret = attach(cl, fd, &conn, &err);
	return publish(cl, conn, ret, &err);
}

/* ---- disconnecting ---- */

static int is_interrupted(void *cl)
{
	return vfui_client_is_interrupted(cl) ? -EINTR : 0;
}

int vfui_client_disconnect(struct vfu_client *cl, bool may_stop)
{
	int ret;

	vfui_os_lock(&cl->lock);
	if (cl->is_connecting)
		cl->is_given_up = true;
	if (cl->greeting)
		fail_greeting(cl->greeting);
	vfui_os_cond_broadcast(&cl->cond);
	vfui_os_unlock(&cl->lock);
	close_any(cl);
	ret = vfui_client_await_end(cl, 0, may_stop ? is_interrupted : NULL);
	vfui_client_close_epoll(cl);
	return ret;
}

int vfu_client_disconnect(struct vfu_client *cl)
{
	return *cl->fork_mark ? vfui_client_disconnect(cl, true) : 0;
}
