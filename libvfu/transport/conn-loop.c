/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-loop.c - a connection in an event loop: batches of messages, and what to watch.
 *
 *	pollfds, timeout --> poll --> process --+      somebody's loop: process never sleeps
 *	    ^                                   |
 *	    +-----------------------------------+
 *	process_wait                                   ours: sleeps for the first message, in one call
 *
 * Both take the reader role for one batch: what is buffered, and what comes until the socket is dry or
 * max is reached. Replies to a batch leave together: at its end, at 64 KiB (conn-send.c), or when the
 * first is old. Asking the clock costs as much as a small message, so send_old asks again only after as
 * many messages as took half that time (batch_look).
 *
 * A loop sleeps on what pollfds and timeout have told it; is_armed: it may do so now, until it calls
 * process. Whoever changes what it was told has to wake it (wake_fd): bytes are left for the socket, a
 * deadline is earlier, another thread stops reading and leaves complete messages (is_ready), or leaves
 * the socket, which the loop was told not to watch while that thread read (is_put_off).
 */
#include <errno.h>

#include "base/os.h"
#include "transport/conn-loop.h"
#include "transport/conn-out.h"
#include "transport/conn-read.h"
#include "transport/conn-wait.h"

/* Messages handled in one go if the caller names no number. */
#define FAIR_BATCH 1024

/* A reply waits no longer than this for others to be sent with it. */
#define BATCH_NS 50000

/* ---- batches ---- */

/*
 * Sends replies that have waited long enough, while more messages are buffered. If so many messages
 * took less than half the time, as many more may pass before the next look at the clock.
 */
static void send_old(struct vfui_conn *conn)
{
	uint64_t now, age;

	if (!conn->has_batch || vfui_buf_len(&conn->serve_by->in.block->buf) == 0 ||
	    ++conn->batch_turns < conn->batch_look)
		return;
	now = vfui_clock_now(&conn->options.clock);
	if (conn->batch_since == 0) {
		conn->batch_since = now;
		conn->batch_turns = 0;
		return;
	}
	age = now - conn->batch_since;
	conn->batch_look = age < BATCH_NS / 2 ? conn->batch_turns * 2 : conn->batch_turns + 1;
	if (age > BATCH_NS) {
		vfui_conn_flush(conn);
		vfui_conn_end_batch(conn);
	}
}

/* Handles what is buffered, and receives more without waiting if may_read. Adds to *n. */
static int run_batch(struct vfui_conn *conn, unsigned max, bool may_read, int *n)
{
	unsigned left = max != 0 ? max : FAIR_BATCH;
	int r = 0;

	while (left > 0 && !vfui_conn_is_stalled(conn)) {
		r = vfui_conn_handle_one(conn);
		if (r > 0) {
			left--;
			(*n)++;
			send_old(conn);
			continue;
		}
		if (r < 0 || !may_read)
			break;
		r = vfui_conn_receive_all(conn);
		if (r <= 0)
			break;
		may_read = !vfui_conn_is_drained(conn);
	}
	return r;
}

/*
 * The loop was woken, but another thread reads by now. One that sleeps in a receive does not look at
 * wake_fd, and so it would stay readable.
 */
static void calm_loop(struct vfui_conn *conn)
{
	vfui_os_lock(&conn->lock);
	conn->is_armed = false;
	if (conn->owns_wake_fd && atomic_load(&conn->is_poked) &&
	    atomic_load(&conn->sleeping) == VFUI_IN_RECV)
		vfui_conn_unpoke(conn);
	vfui_os_unlock(&conn->lock);
}

int vfui_conn_process(struct vfui_conn *conn, unsigned max)
{
	int n = 0, r;

	if (vfui_conn_is_child(conn))
		return -EOWNERDEAD;
	if (!vfui_conn_take_role(conn, true)) {
		calm_loop(conn);
		return 0;
	}
	conn->may_block = false;
	if (conn->owns_wake_fd && atomic_load_explicit(&conn->is_poked, memory_order_relaxed))
		vfui_conn_unpoke(conn);
	if (conn->may_be_late)
		vfui_conn_expire(conn);
	r = run_batch(conn, max, true, &n);
	vfui_conn_drop_role(conn);
	return n > 0 || r > 0 ? n : r;
}

/* Handles what is buffered, or if that is nothing sleeps for more. Adds to *n. */
static int wait_for_batch(struct vfui_conn *conn, unsigned max, int timeout_ms, int *n)
{
	int before = *n, r;

	if (conn->may_be_late)
		vfui_conn_expire(conn);
	r = run_batch(conn, max, false, n);
	if (r != 0 || *n != before)
		return r;
	r = vfui_conn_sleep(conn, VFUI_NEVER, timeout_ms < 0 ? -1 : timeout_ms * (int64_t)VFUI_MS);
	if (r > 0)
		return run_batch(conn, max, !vfui_conn_is_drained(conn), n);
	if (r == 0)
		vfui_conn_expire(conn);
	return r;
}

int vfui_conn_process_wait(struct vfui_conn *conn, unsigned max, int timeout_ms)
{
	int n = 0, r, before;

	if (vfui_conn_is_child(conn))
		return -EOWNERDEAD;
	if (!vfui_conn_take_role(conn, true))
		return 0;
	conn->may_block = true;
	do {
		before = n;
		r = wait_for_batch(conn, max, timeout_ms, &n);
	} while (r >= 0 && n > before && !vfui_conn_is_stalled(conn) && conn->ops->stay != NULL &&
		 conn->ops->stay(conn->ctx, (unsigned)n));
	vfui_conn_drop_role(conn);
	/* A failed connection says so again, a signal does not. */
	return r != -EINTR && (n > 0 || r > 0) ? n : r;
}

/* ---- what to watch ---- */

/* What to watch one socket for. With the lock. */
static struct pollfd watch(const struct vfui_conn *conn, const struct vfui_chan *chan)
{
	return (struct pollfd){.fd = chan->fd,
			       .events = vfui_chan_events(chan, vfui_conn_is_full(conn))};
}

int vfui_conn_pollfds(struct vfui_conn *conn, struct pollfd *pfds, unsigned n)
{
	struct pollfd all[VFUI_CONN_PFDS];
	unsigned count = 0;

	if (vfui_conn_is_child(conn))
		return 0;
	vfui_os_lock(&conn->lock);
	conn->is_armed = true;
	all[count++] = watch(conn, &conn->main);
	if (conn->twin != NULL)
		all[count++] = watch(conn, conn->twin);
	if (atomic_load(&conn->is_reading) && !vfui_conn_has_role(conn)) {
		conn->is_put_off = true;
		for (unsigned i = 0; i < count; i++)
			all[i].events = 0;
	}
	vfui_os_unlock(&conn->lock);
	if (conn->owns_wake_fd)
		all[count++] = (struct pollfd){.fd = conn->wake_fd, .events = POLLIN};
	for (unsigned i = 0; i < count && i < n; i++)
		pfds[i] = all[i];
	return (int)count;
}

int vfui_conn_timeout(struct vfui_conn *conn)
{
	const struct vfui_pend *first;
	int timeout = -1;

	if (vfui_conn_is_child(conn))
		return -1;
	vfui_os_lock(&conn->lock);
	conn->is_armed = true;
	first = vfui_pend_first(&conn->pending);
	if (!atomic_load(&conn->is_reading)) {
		if ((conn->is_ready && !vfui_conn_is_full(conn)) || conn->status != 0) {
			timeout = 0;
		} else if (first != NULL && first->deadline != VFUI_NEVER) {
			int64_t left = vfui_clock_left(&conn->options.clock, first->deadline);

			left = (left + (int64_t)VFUI_MS - 1) / (int64_t)VFUI_MS;
			timeout = left < INT32_MAX ? (int)left : INT32_MAX;
		}
	}
	vfui_os_unlock(&conn->lock);
	return timeout;
}

void vfui_conn_disarm(struct vfui_conn *conn)
{
	bool was_armed;

	if (vfui_conn_is_child(conn))
		return;
	vfui_os_lock(&conn->lock);
	was_armed = conn->is_armed;
	conn->is_armed = false;
	vfui_os_unlock(&conn->lock);
	if (was_armed)
		vfui_conn_poke(conn);
}

/* ---- whose the reading is ---- */

void vfui_conn_set_owner(struct vfui_conn *conn, bool on, pthread_t owner)
{
	if (vfui_conn_is_child(conn))
		return;
	vfui_os_lock(&conn->lock);
	conn->is_owned = on;
	conn->owner = owner;
	vfui_os_unlock(&conn->lock);
	/* Who sleeps because the role was not to be had may take it now. */
	vfui_conn_event(conn);
}
