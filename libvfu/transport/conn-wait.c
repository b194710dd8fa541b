/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-wait.c - sleeping until something happens.
 */
#include <errno.h>

#include "base/os.h"
#include "transport/conn-out.h"
#include "transport/conn-read.h"
#include "transport/conn-wait.h"
#include "transport/sock.h"

/* A receive returns after this long, to look at all that the socket does not tell. */
#define TICK_MS 250

/* A sleep at least this long may be such a receive instead of a poll and a receive. */
#define LONG_NS (200 * (int64_t)VFUI_MS)

/* Messages after which a wait looks at the clock although there are more. */
#define TURNS 64

/* How long a wait sleeps on another thread's reading before it looks for signals. */
#define SLICE_NS (100 * (int64_t)VFUI_MS)

/* ---- the reader's sleep ---- */

/* Asks the socket for a while without sleeping. 1: something came. */
static int busy_poll(struct vfui_conn *conn)
{
	uint64_t us = conn->options.values[VFU_OPT_BUSY_POLL_US];
	uint64_t until = vfui_os_now() + us * 1000;
	int r;

	do {
		r = vfui_conn_receive(conn, true);
	} while (r == 0 && vfui_os_now() < until);
	return r;
}

/* Says how it will sleep, so that others know how to reach it. Returns for how long. */
static int64_t prepare_sleep(struct vfui_conn *conn, int64_t left, short *events)
{
	struct vfui_pend *first;
	bool is_long;

	vfui_os_lock(&conn->lock);
	vfui_conn_flush_locked(conn);
	vfui_conn_count_in(conn);
	vfui_conn_end_batch(conn);
	first = vfui_pend_first(&conn->pending);
	if (first != NULL) {
		int64_t pending = vfui_clock_left(&conn->options.clock, first->deadline);

		conn->may_be_late = pending == 0;
		left = pending >= 0 && (left < 0 || pending < left) ? pending : left;
	}
	*events = conn->out.bytes > 0 ? POLLIN | POLLOUT : POLLIN;
	is_long = left < 0 || left >= LONG_NS;
	atomic_store(&conn->sleeping, is_long && conn->out.bytes == 0 && conn->has_recv_timeout
					      ? VFUI_IN_RECV
					      : VFUI_IN_POLL);
	vfui_os_unlock(&conn->lock);
	return left;
}

/* Sleeps where the socket, its room for more, and other threads can all end it. */
static int sleep_in_poll(struct vfui_conn *conn, short events, int64_t left)
{
	struct pollfd pfds[2] = {{.fd = conn->fd, .events = events},
				 {.fd = conn->wake_fd, .events = POLLIN}};
	int r = vfui_os_poll(pfds, 2, left);

	atomic_store(&conn->sleeping, VFUI_AWAKE);
	if (r <= 0)
		return r;
	if (pfds[1].revents != 0)
		vfui_conn_unpoke(conn);
	return (pfds[0].revents & ~POLLOUT) != 0 ? vfui_conn_receive(conn, true) : 0;
}

int vfui_conn_sleep(struct vfui_conn *conn, int64_t left)
{
	short events;
	int r;

	if (!conn->has_recv_timeout)
		conn->has_recv_timeout = vfui_sock_set_timeout(conn->fd, TICK_MS) == 0;
	left = prepare_sleep(conn, left, &events);
	if (conn->options.values[VFU_OPT_BUSY_POLL_US] > 0) {
		r = busy_poll(conn);
		if (r != 0) {
			atomic_store(&conn->sleeping, VFUI_AWAKE);
			return r;
		}
	}
	if (atomic_load_explicit(&conn->sleeping, memory_order_relaxed) == VFUI_IN_POLL)
		return sleep_in_poll(conn, events, left);
	r = vfui_conn_receive(conn, false);
	atomic_store(&conn->sleeping, VFUI_AWAKE);
	return r;
}

/* ---- waits ---- */

static bool is_interrupted(struct vfui_conn *conn)
{
	return conn->options.interrupt != NULL &&
	       conn->options.interrupt(conn->options.interrupt_user) != 0;
}

/* Ends requests, and then this wait, if their time is up. */
static int check_time(struct vfui_conn *conn, uint64_t deadline)
{
	vfui_conn_expire(conn);
	return vfui_clock_left(&conn->options.clock, deadline) == 0 ? -ETIMEDOUT : 0;
}

/* One message, or one sleep. 0, or why the wait ends. */
static int turn(struct vfui_conn *conn, uint64_t deadline)
{
	int r;

	if (atomic_load_explicit(&conn->is_full, memory_order_relaxed)) {
		vfui_conn_flush(conn);
		if (atomic_load_explicit(&conn->is_full, memory_order_relaxed))
			return -EDEADLK;
	}
	r = vfui_conn_handle_one(conn);
	if (r < 0)
		return r;
	/* A peer that never falls silent does not stop the clock. */
	if (r > 0)
		return ++conn->turns % TURNS == 0 ? check_time(conn, deadline) : 0;
	r = vfui_conn_sleep(conn, vfui_clock_left(&conn->options.clock, deadline));
	if (r > 0)
		return 0;
	if (r == -EINTR)
		return is_interrupted(conn) ? -EINTR : 0;
	if (r < 0)
		return r;
	return check_time(conn, deadline);
}

static int wait_as_reader(struct vfui_conn *conn, bool (*ready)(void *arg), void *arg,
			  uint64_t deadline)
{
	bool may_block = conn->may_block;
	int r = 0;

	conn->may_block = true;
	while (r == 0 && !ready(arg))
		r = turn(conn, deadline);
	conn->may_block = may_block;
	if (atomic_load_explicit(&conn->status, memory_order_relaxed) != 0)
		vfui_conn_end_pending(conn);
	return r != 0 && ready(arg) ? 0 : r;
}

/*
 * Sleeps until the reader handled something or stops reading. event: the number before ready() was
 * asked.
 */
static int wait_asleep(struct vfui_conn *conn, unsigned event, uint64_t deadline)
{
	int64_t left = vfui_clock_left(&conn->options.clock, deadline);

	if (left == 0)
		return -ETIMEDOUT;
	if (conn->options.interrupt != NULL && (left < 0 || left > SLICE_NS))
		left = SLICE_NS;
	vfui_os_lock(&conn->lock);
	atomic_fetch_add(&conn->sleepers, 1);
	if (atomic_load(&conn->is_reading) && atomic_load(&conn->events) == event)
		vfui_os_cond_wait(&conn->cond, &conn->lock, left);
	atomic_fetch_sub(&conn->sleepers, 1);
	vfui_os_unlock(&conn->lock);
	return is_interrupted(conn) ? -EINTR : 0;
}

int vfui_conn_wait(struct vfui_conn *conn, bool (*ready)(void *arg), void *arg, int timeout_ms)
{
	uint64_t deadline = vfui_clock_deadline(&conn->options.clock, timeout_ms);
	int r = 0;

	if (vfui_conn_is_forked(conn))
		return -EOWNERDEAD;
	if (vfui_conn_is_reader(conn)) {
		r = wait_as_reader(conn, ready, arg, deadline);
		vfui_conn_flush(conn);
		return r;
	}
	for (;;) {
		unsigned event = atomic_load(&conn->events);

		if (ready(arg))
			return 0;
		if (r < 0)
			return r;
		if (vfui_conn_take_role(conn, false)) {
			r = wait_as_reader(conn, ready, arg, deadline);
			vfui_conn_drop_role(conn);
			return r;
		}
		r = wait_asleep(conn, event, deadline);
	}
}
