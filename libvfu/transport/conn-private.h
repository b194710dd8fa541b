/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-private.h - what the files of the connection share: conn.c its life, conn-send.c,
 * conn-read.c, conn-wait.c.
 */
#ifndef VFUI_CONN_PRIVATE_H
#define VFUI_CONN_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "transport/chan.h"
#include "transport/conn.h"
#include "transport/pend.h"

/* What the thread that reads does; others look, to know how to reach it. */
enum { VFUI_AWAKE, VFUI_IN_RECV, VFUI_IN_POLL };

struct vfui_conn {
	int fd;
	bool is_server;
	const struct vfui_conn_ops *ops;
	void *ctx;
	struct vfui_conn_options options;
	const volatile uint8_t *fork_mark;
	int wake_fd;
	bool owns_wake_fd;
	struct vfui_limits mine, peers;

	/* Only the thread that holds the reader role. */
	struct vfui_in in;
	unsigned strays;      /* replies that nobody asked for */
	bool has_batch;       /* it queued something that was not sent yet */
	uint64_t batch_since; /* since when, at the latest; 0: not known */
	unsigned batch_turns; /* messages handled since then, */
	unsigned batch_look;  /* and at how many to look at the clock */
	bool may_be_late;     /* when it last looked, the time of some request might be up */
	bool may_block;       /* inside a call that may sleep */
	bool has_recv_timeout;
	unsigned turns;            /* messages handled in waits */
	uint64_t requests_in;      /* not added to the counters yet */
	uint64_t received_counted; /* bytes that were */

	/* The reader role: taken and given back under the lock. */
	_Atomic(pthread_t) reader; /* means something while is_reading */
	atomic_bool is_reading;
	atomic_int sleeping;  /* VFUI_AWAKE, ... */
	atomic_uint sleepers; /* threads that sleep in waits */
	atomic_bool is_full;  /* so much is queued that nothing may be added by reading more */
	atomic_bool is_poked; /* our own wake_fd was written to */
	atomic_uint events;   /* rises whenever a wait should look at its condition again */

	pthread_mutex_t lock;
	pthread_cond_t cond;
	/* Under the lock. */
	struct vfui_outq out;
	struct vfui_pend_table pending;
	atomic_int status; /* written under the lock */
	struct vfu_err cause;
	int out_status;       /* not 0: nothing can be sent any more */
	size_t oversize;      /* of a message larger than the queue, which it does not make full */
	bool is_room_awaited; /* somebody may wait until the queue is empty */
	bool is_direct;       /* the reply to direct_id goes straight to its sink */
	uint16_t direct_id;
	bool is_ready;   /* complete messages are buffered; true to fact while nobody reads */
	bool is_armed;   /* an event loop may sleep on what it learnt from pollfds or timeout, */
	bool is_put_off; /* and that was to leave the socket alone while another thread reads */
	struct vfu_stats own_stats, *stats;
};

/* vfui_conn_is_forked, for what runs with each message. */
static inline bool vfui_conn_is_child(const struct vfui_conn *conn)
{
	return conn->fork_mark != NULL && *conn->fork_mark == 0;
}

/* ---- conn.c ---- */

/* Fails the connection because the peer broke the protocol. Returns -EPROTO. Without the lock. */
int vfui_conn_violation(struct vfui_conn *conn, const char *fmt, ...) VFUI_PRINTF(2, 3);
/* Fails it with a code and a sentence of our own. Returns code. Without the lock. */
int vfui_conn_break(struct vfui_conn *conn, int code, const char *text);
/* Tells all who wait for replies that none will come. The reader's, or when no thread is left. */
void vfui_conn_end_pending(struct vfui_conn *conn);
/* Ends the sleep of whoever polls, and empties wake_fd afterwards. */
void vfui_conn_poke(struct vfui_conn *conn);
void vfui_conn_unpoke(struct vfui_conn *conn);
/* Has all waits look again. */
void vfui_conn_event(struct vfui_conn *conn);

/* ---- conn-send.c ---- */

/*
 * Nothing can be sent any more, but what the peer sent before it left is still to be read. Returns
 * -ENOTCONN. With the lock.
 */
int vfui_conn_end_out(struct vfui_conn *conn);
/* Sends what is queued: 0, -EAGAIN, or why it can not. With the lock. */
int vfui_conn_flush_locked(struct vfui_conn *conn);
/* Gives a request up: its late reply will be dropped. False: done ran, or it is about to run. */
bool vfui_conn_abandon(struct vfui_conn *conn, uint16_t id);
/* vfui_conn_send; is_waiter: the caller is going to wait for the reply itself. */
int vfui_conn_submit(struct vfui_conn *conn, const struct vfui_out *out, bool is_waiter,
		     uint16_t *id);

/* All that was queued is sent, as far as it goes. The reader's. */
static inline void vfui_conn_end_batch(struct vfui_conn *conn)
{
	conn->has_batch = false;
	conn->batch_since = 0;
	conn->batch_turns = 0;
	conn->batch_look = 0;
}

/* ---- conn-read.c ---- */

/*
 * Takes the reader role: false if another thread has it. is_loop: the event loop, which thus is
 * awake.
 */
bool vfui_conn_take_role(struct vfui_conn *conn, bool is_loop);
/* Sends what is queued, ends all requests if the connection failed, and gives the role back. */
void vfui_conn_drop_role(struct vfui_conn *conn);
/* Handles one buffered message: 1, 0 if none is complete, or what failed the connection. */
int vfui_conn_handle_one(struct vfui_conn *conn);
/* Receives once. 1: something came; 0: nothing; -EINTR; or what failed the connection. */
int vfui_conn_receive(struct vfui_conn *conn, bool dontwait);
/* Ends requests whose time is up. */
void vfui_conn_expire(struct vfui_conn *conn);
/* Adds what was received to the counters. The reader's, with the lock. */
void vfui_conn_count_in(struct vfui_conn *conn);

/* ---- conn-wait.c ---- */

/*
 * Sends what is queued, then sleeps at most left nanoseconds (-1: for ever), and no longer than to
 * the next deadline, for something to come, and receives it: as vfui_conn_receive.
 */
int vfui_conn_sleep(struct vfui_conn *conn, int64_t left);

#endif
