/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-inside.h - what a connection is made of; for the files of the connection alone.
 */
#ifndef VFUI_CONN_INSIDE_H
#define VFUI_CONN_INSIDE_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/os.h"
#include "transport/chan-in.h"
#include "transport/chan-out.h"
#include "transport/conn-state.h"
#include "transport/pend.h"

/* What the thread that reads does; others look, to know how to reach it. */
enum { VFUI_AWAKE, VFUI_IN_RECV, VFUI_IN_POLL };

/* Why nothing more is read: so much is queued to be sent; the owner said so. */
enum { VFUI_FULL_OUT = 1, VFUI_FULL_OWNER = 2 };

/* A sleep at least this long may be a receive that ends with the tick, instead of a poll and a receive. */
#define VFUI_LONG_NS (200 * VFUI_MS)

/* One socket of a connection. */
struct vfui_chan {
	int fd;
	bool is_sending; /* a thread has sent part of a message and waits for room, unlocked. Under the lock */
	struct vfui_outq out; /* likewise */
	short events;         /* of a twin: what of it ends a sleep. The reader's, */
	struct vfui_in in;    /* as this is; what is rare in it comes last */
};

/* The message at the end of the queue that posted writes may join, see conn-gather.c. */
struct vfui_gather {
	uint64_t at; /* where it begins, as vfui_outq_grow has it */
	size_t len;
	unsigned n;      /* writes in it; 0: there is none that could be joined */
	bool is_crowded; /* so much is queued that those who post leave theirs there */
	bool is_untold;  /* whoever sends what is queued may not know of all of it */
};

/*
 * In the order of use: first what each message touches, in a few lines of the cache, for a process may have
 * thousands of connections, each of which has left it when its turn comes again.
 */
struct vfui_conn {
	int wake_fd;
	const struct vfui_conn_ops *ops;
	void *ctx;
	const volatile uint8_t *fork_mark;
	struct vfu_stats *stats;
	/* Where commands of this side and the peer's replies go, and where the peer's and our replies: one is the twin. */
	struct vfui_chan *ask_by, *serve_by;
	struct vfui_chan *twin; /* NULL: none. All are set once, by the reader with the lock */
	bool is_server;
	bool owns_wake_fd;

	/* Only the thread that holds the reader role. */
	bool has_batch;   /* it queued something that was not sent yet */
	bool may_be_late; /* when it last looked, the time of some request might be up */
	bool may_block;   /* inside a call that may sleep */
	bool has_recv_timeout;
	const char *ending;   /* one socket has ended, and why: what is there already is handled */
	uint64_t batch_since; /* since when, at the latest; 0: not known */
	unsigned batch_turns; /* messages handled since then, */
	unsigned batch_look;  /* and at how many to look at the clock */
	unsigned turns;       /* messages handled in waits */
	bool has_news;        /* since it had the lock: to be told (vfui_conn_settle) */
	struct vfui_list
		spent;        /* requests it has ended since then: their memory may be used again */
	uint64_t requests_in; /* not added to the counters yet */
	uint64_t received_counted; /* bytes that were */

	/* The reader role: taken and given back under the lock. */
	_Atomic(pthread_t) reader; /* means something while is_reading */
	atomic_bool is_reading;
	atomic_bool is_unsent; /* something is queued */
	atomic_bool is_poked;  /* our own wake_fd was written to */
	atomic_int sleeping;   /* VFUI_AWAKE, ... */
	atomic_uint sleepers;  /* threads that sleep in waits */
	atomic_uint full;      /* why nothing may be added by reading more: VFUI_FULL_... */
	/* Threads that only serve, which send it at the latest when they leave. */
	atomic_uint serving;
	atomic_uint events; /* rises whenever a wait should look at its condition again, */
	atomic_uint told;   /* and this, which the reader alone changes, with the lock */

	pthread_mutex_t lock;
	/* Under the lock. */
	struct vfui_pend_table pending;
	atomic_int status;    /* written under the lock */
	int out_status;       /* not 0: nothing can be sent any more, */
	const char *closed;   /* and by which socket that, or its end, was seen first */
	bool is_room_awaited; /* somebody may wait until the queue is empty */
	bool has_send_timeout;
	bool is_slow; /* a send that slept was not read in time: the peer may wait for us to read */
	bool is_direct;  /* the reply to direct_id goes straight to its sink, by ask_by */
	bool is_filling; /* at this moment, in a receive that ends with the tick at the latest */
	bool is_left;    /* and then no more: somebody waits for his memory, see vfui_conn_cancel */
	bool is_ready;   /* complete messages are buffered; true to fact while nobody reads */
	bool is_armed;   /* an event loop may sleep on what it learnt from pollfds or timeout, */
	bool is_put_off; /* and that was to leave the socket alone while another thread reads */
	bool is_owned;   /* the role is for this thread alone: */
	pthread_t owner;
	uint16_t direct_id;
	unsigned strays;              /* replies that nobody asked for, */
	struct vfu_wire_header stray; /* and the last of them */
	size_t oversize; /* of a message larger than the queue, which it does not make full */

	struct vfui_gather gather;

	struct vfui_limits mine, peers; /* the reader's */
	struct vfui_conn_options options;
	struct vfui_chan main;
	pthread_cond_t cond;
	struct vfu_err cause;       /* under the lock */
	struct vfu_stats own_stats; /* likewise, unless somebody lends others */
};

static inline bool vfui_conn_is_full(const struct vfui_conn *conn)
{
	return atomic_load_explicit(&conn->full, memory_order_relaxed) != 0;
}

/* The peer reads no command before it has answered the last, and has not yet (E70). The lock is held. */
static inline bool vfui_conn_is_answer_awaited(const struct vfui_conn *conn)
{
	return conn->options.policy.outstanding == VFUI_OUTSTANDING_ONE && conn->pending.used > 0 &&
	       !conn->is_server;
}

/* One more request may wait for its answer. The lock is held. */
static inline bool vfui_conn_may_ask(const struct vfui_conn *conn)
{
	return conn->pending.used < VFUI_PEND_MAX &&
	       (conn->is_server ||
		conn->pending.nwaiting < conn->options.set.values[VFU_OPT_MAX_REQUESTS]);
}

/* The peer may not know this message, and would lose the stream (E71). */
static inline bool vfui_conn_is_withheld(const struct vfui_conn *conn,
					 const struct vfui_message *info)
{
	return conn->options.policy.sent_commands == VFUI_SENT_COMMANDS_BASIC && !info->basic &&
	       !conn->is_server;
}

/* What to poll a socket for. With the lock. */
static inline short vfui_chan_events(const struct vfui_chan *chan, bool is_full)
{
	return (short)((is_full ? 0 : POLLIN) | (chan->out.bytes > 0 ? POLLOUT : 0));
}

/* Bytes that wait for room in a socket. With the lock. */
static inline size_t vfui_conn_unsent(const struct vfui_conn *conn)
{
	return conn->main.out.bytes + (conn->twin != NULL ? conn->twin->out.bytes : 0);
}

/* Sends what is queued, if that is anything: 0, -EAGAIN, or why it can not. With the lock. */
int vfui_conn_flush_queue(struct vfui_conn *conn);
static inline int vfui_conn_flush_locked(struct vfui_conn *conn)
{
	return vfui_conn_unsent(conn) > 0 ? vfui_conn_flush_queue(conn) : conn->out_status;
}

/*
 * Gives up the lock, and then back what was lent and is sent. For who may have changed the queue. True: that was
 * something, and who was told may have said more.
 */
static inline bool vfui_conn_unlock(struct vfui_conn *conn)
{
	struct vfui_out_item *released = conn->main.out.released;

	if (released != NULL)
		conn->main.out.released = NULL;
	vfui_os_unlock(&conn->lock);
	if (released != NULL)
		vfui_outq_release(released, true);
	return released != NULL;
}

/* vfui_conn_is_forked, for what runs with each message. */
static inline bool vfui_conn_is_child(const struct vfui_conn *conn)
{
	return conn->fork_mark != NULL && *conn->fork_mark == 0;
}

/* vfui_conn_is_reader, likewise. */
static inline bool vfui_conn_has_role(const struct vfui_conn *conn)
{
	return atomic_load_explicit(&conn->is_reading, memory_order_acquire) &&
	       pthread_equal(atomic_load_explicit(&conn->reader, memory_order_relaxed),
			     pthread_self());
}

/* vfui_conn_take_role, with the lock. */
static inline bool vfui_conn_take_role_locked(struct vfui_conn *conn, bool is_loop)
{
	bool is_free = !atomic_load_explicit(&conn->is_reading, memory_order_relaxed) &&
		       (!conn->is_owned || pthread_equal(conn->owner, pthread_self()));

	if (is_free) {
		atomic_store_explicit(&conn->reader, pthread_self(), memory_order_relaxed);
		atomic_store_explicit(&conn->is_reading, true, memory_order_release);
		conn->is_armed = conn->is_armed && !is_loop;
		conn->may_be_late = conn->pending.nwaiting > 0;
	}
	return is_free;
}

/* Changes whenever a wait should look at its condition again. */
static inline unsigned vfui_conn_event_number(struct vfui_conn *conn)
{
	return atomic_load(&conn->events) + atomic_load(&conn->told);
}

/* With the lock. */
static inline void vfui_conn_reuse_spent(struct vfui_conn *conn)
{
	while (!vfui_list_is_empty(&conn->spent))
		vfui_pend_reuse(&conn->pending, vfui_pend_of(conn->spent.next));
}

/*
 * What the reader owes others of the requests that it has ended since it had the lock: who waits for one, or for its place, looks
 * again. A wake-up by itself for each would take a lock, too. With the lock: before each callback, sleep, and end of the role.
 */
static inline void vfui_conn_settle(struct vfui_conn *conn)
{
	if (!conn->has_news)
		return;
	conn->has_news = false;
	vfui_conn_reuse_spent(conn);
	atomic_store_explicit(&conn->told,
			      atomic_load_explicit(&conn->told, memory_order_relaxed) + 1,
			      memory_order_release);
	if (atomic_load(&conn->sleepers) > 0)
		vfui_os_cond_broadcast(&conn->cond);
}

/* All that was queued is sent, as far as it goes. The reader's. */
static inline void vfui_conn_end_batch(struct vfui_conn *conn)
{
	conn->has_batch = false;
	conn->batch_since = 0;
	conn->batch_turns = 0;
	conn->batch_look = 0;
}

/* Ends the sleep of whoever polls, and empties wake_fd afterwards. */
void vfui_conn_poke(struct vfui_conn *conn);
void vfui_conn_unpoke(struct vfui_conn *conn);
/* Has all waits look again. */
void vfui_conn_event(struct vfui_conn *conn);

#endif
