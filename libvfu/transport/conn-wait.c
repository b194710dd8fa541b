/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-wait.c - sleeping until something happens: waits, blocking calls, event loops.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "transport/conn-private.h"
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

/* ---- blocking calls ---- */

struct waiter {
	struct vfui_conn *conn;
	struct vfui_call *call;
	void *out;
	size_t out_len;
	size_t size; /* of the request */
	int status;
	atomic_bool is_done; /* the last thing that is written */
};

static void take_reply(struct waiter *waiter, struct vfui_msg *reply)
{
	struct vfui_call *call = waiter->call;
	size_t fixed = vfui_min(reply->len, waiter->out_len);

	if (fixed > 0)
		memcpy(waiter->out, reply->payload, fixed);
	if (fixed < waiter->out_len)
		memset((uint8_t *)waiter->out + fixed, 0, waiter->out_len - fixed);
	call->reply_len = reply->len - fixed;
	if (!call->plain_tail && call->reply_room > 0 && call->reply_len > 0)
		memcpy(call->reply_tail, reply->payload + fixed,
		       vfui_min(call->reply_len, call->reply_room));
	/* Others have no use for them, and do not look. */
	if (!reply->info->reply_takes_fds)
		return;
	for (unsigned i = 0; i < reply->nfds && i < VFUI_ARRAY_SIZE(call->reply_fds); i++)
		call->reply_fds[call->reply_nfds++] = vfui_msg_take_fd(reply, i);
}

static void call_done(void *user, int status, struct vfui_msg *reply)
{
	struct waiter *waiter = user;

	if (reply != NULL)
		take_reply(waiter, reply);
	waiter->status = status;
	atomic_store(&waiter->is_done, true);
}

static bool is_done(void *arg)
{
	struct waiter *waiter = arg;

	return atomic_load(&waiter->is_done);
}

/* The request would be queued, or there is no use in waiting. */
static bool has_room(void *arg)
{
	const struct waiter *waiter = arg;
	struct vfui_conn *conn = waiter->conn;
	bool has;

	vfui_os_lock(&conn->lock);
	vfui_conn_flush_locked(conn);
	has = conn->status != 0 || conn->out.bytes == 0 ||
	      conn->out.bytes + waiter->size <= conn->options.values[VFU_OPT_QUEUE_BYTES];
	has = has && conn->pending.used < VFUI_PEND_MAX;
	vfui_os_unlock(&conn->lock);
	return has;
}

static int submit_and_wait(struct vfui_conn *conn, const struct vfui_out *out,
			   struct waiter *waiter)
{
	int timeout = out->timeout_ms >= 0 ? out->timeout_ms
					   : (int)vfui_conn_option(conn, VFU_OPT_TIMEOUT_MS);
	uint16_t id = 0;
	int r;

	for (;;) {
		r = vfui_conn_submit(conn, out, true, &id);
		if (r != -ENOBUFS)
			break;
		r = vfui_conn_wait(conn, has_room, waiter, timeout != 0 ? timeout : -1);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	do {
		r = vfui_conn_wait(conn, is_done, waiter, -1);
	} while (r < 0 && !vfui_conn_abandon(conn, id) && !is_done(waiter));
	return is_done(waiter) ? waiter->status : r;
}

/* Why a call failed: the request's own reason, or what ended the connection. */
static void describe(struct vfui_conn *conn, const char *name, int code, struct vfu_err *err)
{
	if (err == NULL)
		return;
	if (code == -ENOTCONN && vfui_conn_status(conn, err) != 0)
		err->code = code;
	else
		vfui_err_set(err, code, NULL, 0, "%s: %s", name, strerror(-code));
}

int vfui_conn_call(struct vfui_conn *conn, unsigned command, struct vfui_call *call, const void *in,
		   size_t in_len, void *out, size_t out_len)
{
	const struct vfui_message *info = vfui_message(command);
	struct iovec iov[2] = {{(void *)(uintptr_t)in, in_len},
			       {(void *)(uintptr_t)call->tail, call->tail_len}};
	bool has_sink = call->plain_tail && call->reply_room > 0;
	struct waiter waiter = {.conn = conn,
				.call = call,
				.out = out,
				.out_len = out_len,
				.size = sizeof(struct vfu_wire_header) + in_len + call->tail_len};
	struct vfui_out request = {.command = command,
				   .iov = iov,
				   .niov = call->tail_len > 0 ? 2 : 1,
				   .fds = call->fds,
				   .nfds = call->nfds,
				   .sink = has_sink ? call->reply_tail : NULL,
				   .sink_skip = out_len,
				   .sink_len = call->reply_room,
				   .timeout_ms = call->timeout_ms,
				   .done = call_done,
				   .user = &waiter};
	int r;

	call->reply_len = 0;
	call->reply_nfds = 0;
	r = submit_and_wait(conn, &request, &waiter);
	if (r < 0)
		describe(conn, info != NULL ? info->name : "request", r, call->err);
	return r;
}

/* ---- event loops ---- */

int vfui_conn_pollfds(struct vfui_conn *conn, struct pollfd *pfds, unsigned n)
{
	short events = 0;

	if (vfui_conn_is_forked(conn))
		return 0;
	vfui_os_lock(&conn->lock);
	conn->is_armed = true;
	if (!atomic_load(&conn->is_reading) || vfui_conn_is_reader(conn)) {
		events = atomic_load(&conn->is_full) ? 0 : POLLIN;
		if (conn->out.bytes > 0)
			events |= POLLOUT;
	} else {
		conn->is_put_off = true;
	}
	vfui_os_unlock(&conn->lock);
	if (n > 0)
		pfds[0] = (struct pollfd){.fd = conn->fd, .events = events};
	if (!conn->owns_wake_fd)
		return 1;
	if (n > 1)
		pfds[1] = (struct pollfd){.fd = conn->wake_fd, .events = POLLIN};
	return 2;
}

int vfui_conn_timeout(struct vfui_conn *conn)
{
	const struct vfui_pend *first;
	int timeout = -1;

	if (vfui_conn_is_forked(conn))
		return -1;
	vfui_os_lock(&conn->lock);
	conn->is_armed = true;
	first = vfui_pend_first(&conn->pending);
	if (!atomic_load(&conn->is_reading)) {
		if ((conn->is_ready && !atomic_load(&conn->is_full)) || conn->status != 0) {
			timeout = 0;
		} else if (first != NULL && first->deadline != VFUI_NEVER) {
			int64_t left = vfui_clock_left(&conn->options.clock, first->deadline);

			timeout = (int)vfui_min((size_t)(left + (int64_t)VFUI_MS - 1) / VFUI_MS,
						INT32_MAX);
		}
	}
	vfui_os_unlock(&conn->lock);
	return timeout;
}
