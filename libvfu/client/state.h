/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * state.h - what a client consists of; each part says who may touch it.
 */
#ifndef VFUI_CLIENT_STATE_H
#define VFUI_CLIENT_STATE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/os.h"
#include "transport/conn.h"
#include "transport/negotiate.h"
#include "device/ranges.h"
#include "client/kept.h"

#define VFUI_CLIENT_PFDS (VFUI_CONN_PFDS + 1)

/* Threads whose last errors are kept; beyond, the oldest error goes. */
#define VFUI_CLIENT_ERRS 16

struct vfui_client_err {
	pthread_t thread;
	uint64_t serial; /* rises with each failure; 0: free */
	struct vfu_err err;
};

/* What the server says to a request is not known: this is no refusal of its. */
static inline bool vfui_client_is_unanswered(int ret)
{
	return ret == -ETIMEDOUT || ret == -EINTR || ret == -EDEADLK || ret == -ENOTCONN ||
	       ret == -EPROTO;
}

struct vfu_client {
	const volatile uint8_t *fork_mark;
	struct vfui_conn_options options;
	struct vfui_log_limit log_limit;
	struct vfu_stats stats;

	pthread_mutex_t lock;
	pthread_cond_t cond; /* is_closing or is_connecting became false, or in_use another */
	/* Under the lock. A connection lives until it is closed and the last call has returned. */
	struct vfui_conn *conn;
	struct vfui_conn *_Atomic usable; /* the same, if calls may use it; else NULL */
	struct vfui_link
		*_Atomic link; /* NULL: it never was to connect again; fixed once there is one */
	atomic_uint
		users; /* who has it for a moment only to see that there is none, too: users.c */
	_Atomic(pthread_t)
		looper;     /* counts once for all calls that it makes in its callbacks; 0: none */
	bool is_connecting; /* the thread connector */
	bool is_given_up;   /* and it is to stop */
	pthread_t connector;
	struct vfui_conn *greeting; /* what it waits on for VERSION */
	atomic_bool is_closing;     /* by who uses it: its last user frees it */
	bool is_freeing;            /* by the thread closer */
	pthread_t closer;
	struct vfui_ranges ranges;
	struct vfui_client_own *left;     /* memory whose ranges went with their connection */
	struct vfui_client_range *in_use; /* by the thread that reads, without the lock */
	unsigned users_awaited;           /* threads that wait until it is not */
	int map_error;                    /* first failure of a map that nobody waited for */
	vfu_client_dma_fn *dma_fn;
	void *dma_user;
	unsigned connection; /* the present one's number */
	vfu_client_link_fn *link_fn;
	void *link_user;
	struct vfui_client_batch *batches;
	atomic_uint nbatches;
	struct vfui_client_err errs[VFUI_CLIENT_ERRS];
	uint64_t err_serial;
	int epoll_fd; /* -1: nobody asked for it */
	struct pollfd watched[VFUI_CLIENT_PFDS];
	unsigned nwatched;
	bool is_owned; /* only the thread owner reads (vfu_client_set_reader) */
	pthread_t owner;

	struct vfui_kept kept; /* of what the device says; see there */

	/* Fixed while connected. */
	struct vfui_caps caps;
	uint16_t minor;

	atomic_uint nowait;        /* maps and unmaps not answered yet */
	atomic_uint served;        /* DMA requests answered */
	atomic_size_t later_bytes; /* what those hold that are answered later */
	atomic_bool
		is_master; /* bus mastering was turned on, since connecting and the last reset */
	atomic_bool is_mapped; /* the device has a region that can be mapped: no posted writes */

	/* Only the thread that reads. */
	bool is_in_dma_fn;
	struct vfui_client_move *move; /* what that is for */
	uint8_t *bounce;
	size_t bounce_size;
};

/* As they are now: they may be set on another thread, for the next connection, while this one makes it. */
static inline struct vfui_conn_options vfui_client_options(struct vfu_client *cl)
{
	struct vfui_conn_options options;

	vfui_os_lock(&cl->lock);
	options = cl->options;
	vfui_os_unlock(&cl->lock);
	return options;
}

static inline uint64_t vfui_client_option(struct vfu_client *cl, enum vfu_option option)
{
	uint64_t value;

	vfui_os_lock(&cl->lock);
	value = cl->options.set.values[option];
	vfui_os_unlock(&cl->lock);
	return value;
}

/* The server reads a command when it has answered the last: nothing is posted, and nothing goes in numbers (E70). */
static inline bool vfui_client_is_one_by_one(const struct vfui_conn *conn)
{
	return vfui_conn_policy(conn)->outstanding == VFUI_OUTSTANDING_ONE;
}

#endif
