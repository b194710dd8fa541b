/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * reconnect.c - a client that connects again by itself, when its connection has ended (VFU_OPT_RECONNECT_MS).
 *
 *	        a call sees the end (look)         due: one thread tries
 *	  UP ------------------------> DOWN --------------------------> REPLAY
 *	  ^                             ^  <-- nobody there, or it         | all was said again (replay.c)
 *	  |                             |      ends again ------------+    v
 *	  +-----------------------------|---- the user's function ----+-- TOLD
 *	                                |
 *	        ENDED <-----------------+   the time is up, or another device is there
 *
 * There is no thread for this. Whoever has something to wait for does it: a call that may sleep (await), or an
 * event loop, which is told by pollfds and timeout when the next attempt is due. An attempt never sleeps: a connect
 * to a local socket succeeds or fails at once, and all that is said on the new connection, from VERSION on, are
 * requests with a callback, each of which sends the next. So nobody has to drive them to their end either: any
 * thread that reads does. Other calls wait until the connection is theirs (usable), which the thread that runs the
 * user's function need not.
 *
 * The user's function is told one thing at a time, in the order in which they happened, and nobody tries meanwhile:
 * what happens then waits for the thread that is in it (untold), and is LOST and ENDED at most.
 *
 * The connection that has ended stays until its last call has returned, and only then is there an attempt: so a
 * client has one connection at a time, and in a callback of the old one there is none. Its memory
 * (dma-table.c) stays the device's; the maps that were on their way have failed.
 */
#include <errno.h>
#include <limits.h>

#include "base/os.h"
#include "client/reconnect.h"
#include "client/replay.h"
#include "client/users.h"
#include "client/watch.h"
#include "transport/sock.h"

/* ---- an attempt ---- */

/* A connection that nobody else knows; NULL: *err says why not. */
static struct vfui_conn *open_conn(struct vfu_client *cl, const char *address, struct vfu_err *err)
{
	/* 1 ms, if so many wait that the server's queue is full. */
	int fd = vfui_sock_connect(address, 1, NULL, NULL, err);
	struct vfui_conn_options options = vfui_client_options(cl);
	struct vfui_conn *conn;

	if (fd < 0)
		return NULL;
	conn = vfui_conn_new(fd, false, &options, cl->link->ops, cl);
	if (!conn)
		vfui_err_set(err, -ENOMEM, NULL, 0, "no memory for a connection");
	return conn;
}

/* What became of an attempt; a connection has the caller as its user. With the lock. True: it is the client's. */
static bool settle(struct vfu_client *cl, struct vfui_conn *conn, const struct vfu_err *err)
{
	if (vfui_link_state(cl) != VFUI_LINK_DOWN)
		return false;
	cl->link->report.attempts++;
	if (!conn) {
		vfui_link_schedule(cl, err);
		return false;
	}
	vfui_conn_set_owner(conn, cl->is_owned, cl->owner);
	cl->conn = conn;
	vfui_client_join(cl);
	vfui_link_begin_replay(cl);
	return true;
}

static void end_try(struct vfu_client *cl)
{
	vfui_os_lock(&cl->lock);
	cl->link->is_trying = false;
	vfui_os_cond_broadcast(&cl->cond);
	vfui_os_unlock(&cl->lock);
	vfui_link_wake(cl);
}

/* The caller has set is_trying, for which disconnecting waits: the address stays. */
static void try_once(struct vfu_client *cl)
{
	struct vfu_err err = {0};
	struct vfui_conn *conn = open_conn(cl, cl->link->address, &err);
	bool is_ours;

	vfui_os_lock(&cl->lock);
	is_ours = settle(cl, conn, &err);
	vfui_os_unlock(&cl->lock);
	if (is_ours) {
		vfui_replay_start(cl, conn);
		vfui_client_sync_epoll(cl, conn);
		vfui_link_look(cl);
		vfui_client_leave(cl);
	} else {
		vfui_conn_free(conn);
	}
	vfui_link_tell(cl);
	end_try(cl);
}

/* Nanoseconds until somebody is to try; -1: something else has to end before. With the lock. */
static int64_t left_to_try(struct vfu_client *cl)
{
	struct vfui_link *link = cl->link;

	if (vfui_link_state(cl) != VFUI_LINK_DOWN || cl->conn || link->is_trying ||
	    link->is_telling)
		return -1;
	return vfui_clock_left(&cl->options.clock, link->due);
}

/* Whether this thread is to try now; it has set is_trying then. With the lock. */
static bool begin_try(struct vfu_client *cl)
{
	struct vfui_link *link = cl->link;

	if (left_to_try(cl))
		return false;
	link->is_trying = true;
	link->trier = pthread_self();
	return true;
}

/* ---- calls ---- */

static bool is_settled(void *arg)
{
	int state = vfui_link_state(arg);

	return state != VFUI_LINK_REPLAY && state != VFUI_LINK_TOLD;
}

/* Reads on a connection that is being told all, as any wait does. */
static int help(struct vfu_client *cl, struct vfui_conn *conn, int64_t left)
{
	int ms = left < 0 ? -1 : (int)vfui_min(left / (int64_t)VFUI_MS + 1, (int64_t)INT_MAX);
	int ret = vfui_conn_wait(conn, is_settled, cl, ms);

	if (ret == -EDEADLK && vfui_link_state(cl) == VFUI_LINK_REPLAY)
		vfui_link_restart(cl, "the server does not read");
	vfui_link_look(cl);
	vfui_client_leave(cl);
	return ret == -EINTR ? ret : 1;
}

/* Sleeps until something changes, or it is time for an attempt. Gives up the lock. */
static void sleep_down(struct vfu_client *cl, int64_t left)
{
	int64_t ns = left < 0 ? VFUI_TICK_NS : vfui_min(left, VFUI_TICK_NS);
	int64_t pause = left_to_try(cl);

	if (pause >= 0)
		ns = vfui_min(ns, pause);
	vfui_os_cond_wait(&cl->cond, &cl->lock, ns);
	vfui_os_unlock(&cl->lock);
}

/* The usable connection, or that of the user's function on its thread. With the lock. */
static struct vfui_conn *usable_here(struct vfu_client *cl)
{
	bool has_it_first =
		vfui_link_state(cl) == VFUI_LINK_TOLD && !cl->is_closing && vfui_link_is_teller(cl);

	return has_it_first ? cl->conn : cl->usable;
}

/* One look, and one step towards a connection. 1: look again; 0: *conn is there; or why not. */
static int step(struct vfu_client *cl, bool may_wait, int64_t left, struct vfui_conn **conn)
{
	struct vfui_conn *unready;
	bool is_in_callback, is_deadlock;

	vfui_os_lock(&cl->lock);
	*conn = usable_here(cl);
	unready = cl->is_closing ? NULL : cl->conn;
	is_in_callback = vfui_link_is_teller(cl) || (cl->conn && vfui_client_is_in_callback(cl));
	/* The device's DMA can not wait for itself. */
	is_deadlock = may_wait && vfui_link_is_live(cl) && cl->conn && !cl->is_freeing &&
		      vfui_client_is_in_dma(cl, cl->conn);
	may_wait = may_wait && vfui_link_is_live(cl) && !is_in_callback && left;
	if (*conn || (may_wait && unready))
		vfui_client_join(cl);
	if (*conn || !may_wait) {
		vfui_os_unlock(&cl->lock);
		return *conn ? 0 : is_deadlock ? -EDEADLK : -ENOTCONN;
	}
	if (unready || begin_try(cl)) {
		vfui_os_unlock(&cl->lock);
		if (unready)
			return help(cl, unready, left);
		try_once(cl);
	} else {
		sleep_down(cl, left);
	}
	return vfui_client_is_interrupted(cl) ? -EINTR : 1;
}

static void explain(struct vfu_client *cl, int ret, struct vfu_err *err)
{
	struct vfu_err cause = {0};

	vfui_os_lock(&cl->lock);
	if (vfui_link_state(cl) != VFUI_LINK_NONE)
		cause = cl->link->last;
	vfui_os_unlock(&cl->lock);
	vfui_err_set(err, ret, NULL, 0, "%s%s%.150s",
		     ret == -EINTR ? "interrupted" : "not connected", cause.code ? ": " : "",
		     cause.text);
}

struct vfui_conn *vfui_link_await(struct vfu_client *cl, bool may_wait, int timeout_ms, int *ret,
				  struct vfu_err *err)
{
	const struct vfui_clock *clock = &cl->options.clock;
	struct vfui_conn *conn = NULL;
	uint64_t deadline;

	if (!cl->link)
		timeout_ms = 0;
	else if (timeout_ms < 0)
		timeout_ms = (int)vfui_client_option(cl, VFU_OPT_TIMEOUT_MS);
	deadline = vfui_clock_deadline(clock, timeout_ms ? timeout_ms : -1);
	do {
		*ret = step(cl, may_wait, vfui_clock_left(clock, deadline), &conn);
	} while (*ret > 0);
	if (*ret)
		explain(cl, *ret, err);
	return conn;
}

/* ---- event loops ---- */

void vfui_link_process(struct vfu_client *cl)
{
	uint64_t count;
	bool is_due;

	vfui_os_read(cl->link->wake_fd, &count, sizeof(count));
	vfui_os_lock(&cl->lock);
	is_due = begin_try(cl);
	vfui_os_unlock(&cl->lock);
	if (is_due)
		try_once(cl);
}

int vfui_link_timeout(struct vfu_client *cl)
{
	int64_t left;

	vfui_os_lock(&cl->lock);
	left = left_to_try(cl);
	vfui_os_unlock(&cl->lock);
	return left < 0 ? -1 : (int)((left + (int64_t)VFUI_MS - 1) / (int64_t)VFUI_MS);
}
