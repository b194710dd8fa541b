/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-wait.c - sleeping until something happens.
 *
 * Any number of threads may wait, each for a condition of its own; one of them reads for all:
 *
 *	vfui_conn_wait -- role free? --yes--> wait_as_reader: turn, turn, turn ... then drop_role,
 *	      ^                |              which wakes the others: one of them takes it
 *	      |                no
 *	      +-- look again --+------------> wait_asleep: until the reader has handled something
 *
 * A turn is one message handled, or if there is none one sleep on the socket. What can end a wait
 * is asked in one place for either role, wait_is_over: the end of the connection, the interrupt
 * hook, the deadline. It must be asked often enough whatever the peer does, so
 *	- nobody sleeps longer than a tick while there is a hook: a signal that comes just before
 *	  the system call interrupts nothing;
 *	- a peer that never falls silent, or trickles one byte after another, is left after TURNS
 *	  messages or bytes;
 *	- one who sleeps trusts no reader, who may be in a callback for ever: it has its own deadline
 *	  and ends with the connection although the reader has not told the requests yet.
 * One who may sleep sends, too: what is queued goes before each sleep, and the sleep ends when the socket
 * has room for more. Others leave their bytes to threads that do nothing but serve (serving), so the last
 * of those, when its time is up, first waits until these are sent (vfui_conn_drain). One who waits for an answer owes
 * nobody anything: it goes when it has its answer.
 *
 * On entry no lock is held. A callback may wait too, on the thread that reads: the wait below it goes
 * on with what this one has left, and messages handed out stay valid. The condition is asked without
 * a lock; it may change only on the reading thread, or where vfui_conn_wake is called after it.
 */
#include <errno.h>

#include "base/os.h"
#include "transport/conn-out.h"
#include "transport/conn-read.h"
#include "transport/conn-wait.h"
#include "transport/sock.h"

/* Turns after which a wait looks at the clock and for signals although more comes. */
#define TURNS 64

/* ---- the reader's sleep ---- */

/* Asks the socket for a while without sleeping. 1: something came. */
static int busy_poll(struct vfui_conn *conn)
{
	uint64_t us = conn->options.set.values[VFU_OPT_BUSY_POLL_US];
	uint64_t until = vfui_os_now() + us * 1000;
	int r;

	do {
		r = vfui_conn_receive_all(conn);
	} while (r == 0 && vfui_os_now() < until);
	return r;
}

/* The shorter of two times, of which -1 is for ever. */
static int64_t sooner(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* The longest sleep: until the interrupt hook is to be asked again, if there is one. */
static int64_t most_of(const struct vfui_conn *conn)
{
	return conn->options.interrupt != NULL ? VFUI_TICK_NS : -1;
}

/* What of the sockets ends it. With the lock. */
VFUI_APART static void watch(struct vfui_conn *conn, short *events)
{
	bool is_full = vfui_conn_is_out_full(conn);

	*events = vfui_chan_events(&conn->main, is_full);
	if (conn->twin != NULL)
		conn->twin->events = vfui_chan_events(conn->twin, is_full);
}

/*
 * Others look with the lock, with which sleeps begin; they may see late that one has ended, but never that of one before:
 * the next begins with the lock again. Until then they poke in vain, which the next poll takes back; send what the
 * reader would; or take back the poke of an event loop, which is not what this reader waits for in a receive.
 */
static inline void set_sleeping(struct vfui_conn *conn, int how)
{
	atomic_store_explicit(&conn->sleeping, how, memory_order_release);
}

/* Says how it will sleep, so that others know how to reach it. Returns for how long. */
static int64_t prepare_sleep(struct vfui_conn *conn, uint64_t deadline, int64_t most, short *events)
{
	struct vfui_pend *first;
	int64_t left;
	bool is_long;

	vfui_os_lock(&conn->lock);
	vfui_conn_settle(conn);
	vfui_conn_flush_locked(conn);
	vfui_conn_count_in(conn);
	vfui_conn_end_batch(conn);
	first = vfui_pend_first(&conn->pending);
	if (first != NULL && first->deadline < deadline)
		deadline = first->deadline;
	left = sooner(vfui_clock_left(&conn->options.clock, deadline), most);
	conn->may_be_late = first != NULL && left == 0;
	*events = POLLIN;
	if (conn->main.out.bytes > 0 || conn->twin != NULL)
		watch(conn, events);
	/* A receive can sleep on one socket alone. */
	is_long = (left < 0 || left >= (int64_t)VFUI_LONG_NS) && conn->twin == NULL;
	set_sleeping(conn, is_long && conn->main.out.bytes == 0 && conn->has_recv_timeout
				   ? VFUI_IN_RECV
				   : VFUI_IN_POLL);
	return vfui_conn_unlock(conn) ? prepare_sleep(conn, deadline, most, events) : left;
}

/* Sleeps where the sockets, their room for more, and other threads can all end it. */
static int sleep_in_poll(struct vfui_conn *conn, short events, int64_t left)
{
	struct pollfd pfds[3] = {{.fd = conn->main.fd, .events = events},
				 {.fd = conn->wake_fd, .events = POLLIN},
				 {.fd = -1}};
	int r;

	if (conn->twin != NULL)
		pfds[2] = (struct pollfd){.fd = conn->twin->fd, .events = conn->twin->events};
	r = vfui_os_poll(pfds, conn->twin != NULL ? 3 : 2, left);
	set_sleeping(conn, VFUI_AWAKE);
	if (r <= 0)
		return r;
	if (pfds[1].revents != 0)
		vfui_conn_unpoke(conn);
	if ((pfds[0].revents & ~POLLOUT) != 0)
		return vfui_conn_receive_all(conn);
	return (pfds[2].revents & ~POLLOUT) != 0 ? vfui_conn_receive(conn, conn->twin, true) : 0;
}

static inline bool is_in_recv(const struct vfui_conn *conn)
{
	return atomic_load_explicit(&conn->sleeping, memory_order_relaxed) == VFUI_IN_RECV;
}

/* Sleeps where only the main socket, and the tick, can end it: one system call, which is the receive. */
static int sleep_in_recv(struct vfui_conn *conn)
{
	int r = vfui_conn_receive(conn, &conn->main, false);

	set_sleeping(conn, VFUI_AWAKE);
	return r;
}

int vfui_conn_sleep(struct vfui_conn *conn, uint64_t deadline, int64_t most)
{
	int64_t left;
	short events;
	int r;

	if (!conn->has_recv_timeout)
		conn->has_recv_timeout = vfui_sock_set_timeout(conn->main.fd, VFUI_TICK_MS) == 0;
	left = prepare_sleep(conn, deadline, most, &events);
	if (conn->options.set.values[VFU_OPT_BUSY_POLL_US] > 0 && events & POLLIN) {
		r = busy_poll(conn);
		if (r != 0) {
			set_sleeping(conn, VFUI_AWAKE);
			return r;
		}
	}
	return is_in_recv(conn) ? sleep_in_recv(conn) : sleep_in_poll(conn, events, left);
}

/* ---- waits ---- */

/* What ends a wait but its condition, looked at now and then: 0, or why. */
static int wait_is_over(struct vfui_conn *conn, uint64_t deadline)
{
	int status = atomic_load(&conn->status);

	if (status != 0)
		return status;
	if (conn->options.interrupt != NULL &&
	    conn->options.interrupt(conn->options.interrupt_user) != 0)
		return -EINTR;
	return vfui_clock_left(&conn->options.clock, deadline) == 0 ? -ETIMEDOUT : 0;
}

/*
 * One message, or one sleep. 0, or why the wait ends. is_patient: with a full queue it reads no more
 * until there is room, which one who waits for something that must be read can not.
 */
static int turn(struct vfui_conn *conn, uint64_t deadline, bool is_patient)
{
	/* Who submitted the request has seen that nothing else is to be done, and said so. */
	bool is_told = is_in_recv(conn);
	bool is_stalled = !is_told && vfui_conn_is_stalled(conn);
	int r;

	if (is_stalled && !is_patient)
		return -EDEADLK;
	r = is_stalled || is_told ? 0 : vfui_conn_handle_one(conn);
	if (r == 0)
		r = is_told ? sleep_in_recv(conn) : vfui_conn_sleep(conn, deadline, most_of(conn));
	if (r < 0 && r != -EINTR)
		return r;
	if (r > 0 && ++conn->turns % TURNS != 0)
		return 0;
	vfui_conn_expire(conn);
	return wait_is_over(conn, deadline);
}

/* What is waited for, and how. */
struct wait {
	bool (*ready)(void *arg); /* NULL: nothing */
	void *arg;
	uint64_t deadline;
	bool is_patient;
};

static bool is_ready(const struct wait *wait)
{
	return wait->ready != NULL && wait->ready(wait->arg);
}

static int wait_as_reader(struct vfui_conn *conn, const struct wait *wait)
{
	bool may_block = conn->may_block;
	int r = 0;

	conn->may_block = true;
	while (r == 0 && !is_ready(wait))
		r = turn(conn, wait->deadline, wait->is_patient);
	conn->may_block = may_block;
	if (atomic_load_explicit(&conn->status, memory_order_relaxed) != 0)
		vfui_conn_end_pending(conn);
	return r != 0 && is_ready(wait) ? 0 : r;
}

/* The same, of who gives up the role then. */
static int read_for_all(struct vfui_conn *conn, const struct wait *wait)
{
	int r = wait_as_reader(conn, wait);

	vfui_conn_drop_role(conn);
	return r;
}

void vfui_conn_nap(struct vfui_conn *conn, unsigned event, int64_t left)
{
	vfui_os_lock(&conn->lock);
	atomic_fetch_add(&conn->sleepers, 1);
	if ((atomic_load(&conn->is_reading) || conn->is_owned) &&
	    vfui_conn_event_number(conn) == event)
		vfui_os_cond_wait(&conn->cond, &conn->lock, left);
	atomic_fetch_sub(&conn->sleepers, 1);
	vfui_os_unlock(&conn->lock);
}

/* Leaves the reading to another thread. event: the number before ready() was asked. */
static int wait_asleep(struct vfui_conn *conn, unsigned event, uint64_t deadline)
{
	int r = wait_is_over(conn, deadline);

	if (r == 0)
		vfui_conn_nap(conn, event,
			      sooner(vfui_clock_left(&conn->options.clock, deadline),
				     most_of(conn)));
	return r;
}

/* Reads, or leaves that to another thread, until ready(). */
static int wait_for_role(struct vfui_conn *conn, const struct wait *wait)
{
	int r = 0;

	for (;;) {
		unsigned event = vfui_conn_event_number(conn);

		if (is_ready(wait))
			return 0;
		if (r < 0)
			return r;
		if (vfui_conn_take_role(conn, false))
			return read_for_all(conn, wait);
		r = wait_asleep(conn, event, wait->deadline);
	}
}

/* The callback that waited goes on, and may take its time. */
static void pause_reading(struct vfui_conn *conn)
{
	vfui_os_lock(&conn->lock);
	vfui_conn_settle(conn);
	vfui_conn_flush_locked(conn);
	vfui_conn_unlock(conn);
}

static int wait_for(struct vfui_conn *conn, const struct wait *wait)
{
	int r;

	if (vfui_conn_has_role(conn)) {
		r = wait_as_reader(conn, wait);
		pause_reading(conn);
		return r;
	}
	if (wait->ready != NULL)
		return wait_for_role(conn, wait);
	atomic_fetch_add(&conn->serving, 1);
	r = wait_for_role(conn, wait);
	if (atomic_fetch_sub(&conn->serving, 1) == 1 && r == -ETIMEDOUT)
		vfui_conn_drain(conn, 0);
	return r;
}

int vfui_conn_wait(struct vfui_conn *conn, bool (*ready)(void *arg), void *arg, int timeout_ms)
{
	struct wait wait = {.ready = ready,
			    .arg = arg,
			    .deadline = vfui_clock_deadline(&conn->options.clock, timeout_ms),
			    .is_patient = ready == NULL};

	return vfui_conn_is_child(conn) ? -EOWNERDEAD : wait_for(conn, &wait);
}

int vfui_conn_wait_as_reader(struct vfui_conn *conn, bool (*ready)(void *arg), void *arg)
{
	struct wait wait = {.ready = ready, .arg = arg, .deadline = VFUI_NEVER};

	return read_for_all(conn, &wait);
}

/* ---- what is queued ---- */

bool vfui_conn_is_watched(struct vfui_conn *conn)
{
	/* In a callback under process: its loop comes again. */
	if (vfui_conn_has_role(conn) && !conn->may_block)
		return true;
	return atomic_load(&conn->serving) > 0 || conn->is_armed;
}

static bool is_watched(struct vfui_conn *conn)
{
	bool is;

	vfui_os_lock(&conn->lock);
	is = vfui_conn_is_watched(conn);
	vfui_os_unlock(&conn->lock);
	return is;
}

struct mark {
	struct vfui_conn *conn;
	uint64_t end, twin_end; /* of what is queued for each socket */
};

/* All up to the mark is sent, or never will be. */
static bool is_sent(void *arg)
{
	const struct mark *mark = arg;
	struct vfui_conn *conn = mark->conn;
	bool is;

	vfui_os_lock(&conn->lock);
	vfui_conn_flush_locked(conn);
	is = conn->main.out.gone >= mark->end &&
	     (conn->twin == NULL || conn->twin->out.gone >= mark->twin_end);
	is = is || conn->out_status != 0;
	conn->is_room_awaited |= !is;
	vfui_conn_unlock(conn);
	return is;
}

/* The deadline of requests is that of bytes, too. */
static int wait_until_sent(struct vfui_conn *conn, size_t left)
{
	uint64_t timeout = conn->options.set.values[VFU_OPT_TIMEOUT_MS];
	struct mark mark = {.conn = conn};
	struct wait wait = {.ready = is_sent,
			    .arg = &mark,
			    .deadline = vfui_clock_deadline(&conn->options.clock,
							    timeout != 0 ? (int64_t)timeout : -1),
			    .is_patient = true};

	vfui_os_lock(&conn->lock);
	mark.end =
		conn->main.out.gone + conn->main.out.bytes - vfui_min(left, conn->main.out.bytes);
	if (conn->twin != NULL)
		mark.twin_end = conn->twin->out.gone + conn->twin->out.bytes;
	vfui_os_unlock(&conn->lock);
	return wait_for(conn, &wait);
}

VFUI_APART static int drain(struct vfui_conn *conn, size_t left)
{
	int r;

	if (is_watched(conn))
		return 0;
	r = wait_until_sent(conn, left);
	if (r < 0)
		return r;
	vfui_os_lock(&conn->lock);
	r = conn->out_status;
	vfui_os_unlock(&conn->lock);
	return r;
}

int vfui_conn_drain(struct vfui_conn *conn, size_t left)
{
	if (vfui_conn_is_child(conn))
		return -EOWNERDEAD;
	return atomic_load(&conn->is_unsent) ? drain(conn, left) : 0;
}
