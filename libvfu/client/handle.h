/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * handle.h - what the files of the client share: handle.c its life, call.c how calls begin
 * and end, info.c, region.c, irq.c, dma.c, loop.c the calls.
 */
#ifndef VFUI_CLIENT_HANDLE_H
#define VFUI_CLIENT_HANDLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "transport/conn.h"
#include "transport/negotiate.h"
#include "device/ranges.h"

#define VFUI_CLIENT_PFDS 2

/* Threads whose last errors are kept; beyond, the oldest error goes. */
#define VFUI_CLIENT_ERRS 16

struct vfui_client_err {
	pthread_t thread;
	uint64_t serial; /* rises with each failure; 0: free */
	struct vfu_err err;
};

/* One map of client memory. */
struct vfui_client_range {
	struct vfui_range range;
	struct vfu_client *cl;
	uint8_t *host;  /* NULL: the callback's */
	uint32_t flags; /* VFU_DMA_* */
	bool is_pending; /* its reply is still to come: is_gone then says that nobody else knows it */
	bool is_gone;
};

/* An access under way whose end a callback is told. Recycled. */
struct vfui_client_async {
	struct vfui_client_async *next;
	struct vfu_client *cl;
	vfu_client_fn *fn;
	void *user;
	int count;
};

struct vfu_client {
	const volatile uint8_t *fork_mark;
	struct vfui_conn_options options;
	struct vfu_stats stats;

	pthread_mutex_t lock;
	pthread_cond_t cond; /* is_closing became false */
	/* Under the lock. A connection lives until it is closed and the last call has returned. */
	struct vfui_conn *conn;
	unsigned users;
	bool is_connecting;
	bool is_closing;
	bool is_freeing; /* by the thread closer */
	pthread_t closer;
	struct vfui_ranges ranges;
	int map_error; /* first failure of a map that nobody waited for */
	vfu_client_dma_fn *dma_fn;
	void *dma_user;
	struct vfui_client_async *spare;
	struct vfui_client_err errs[VFUI_CLIENT_ERRS];
	uint64_t err_serial;
	int epoll_fd; /* -1: nobody asked for it */
	struct pollfd watched[VFUI_CLIENT_PFDS];
	unsigned nwatched;

	/* Fixed while connected. */
	struct vfui_caps caps;
	uint16_t minor;

	atomic_uint nowait;    /* maps not answered yet */
	atomic_uint served;    /* DMA requests answered */
	atomic_bool is_mapped; /* the device has a region that can be mapped: no posted writes */

	/* Only the thread that reads. */
	bool is_in_dma_fn;
	uint8_t *bounce;
	size_t bounce_size;
};

/* ---- call.c ---- */

/*
 * Begins a call: the connection, which stays until vfui_client_end, and *ret is 0. NULL: it is not
 * possible, *ret says why, and the call has ended. may_wait: it may sleep, which a DMA callback
 * must not.
 */
struct vfui_conn *vfui_client_begin(struct vfu_client *cl, bool may_wait, int *ret);
/* Ends it, keeping *err (of which code may not be set) if ret is negative; returns ret. */
int vfui_client_end(struct vfu_client *cl, int ret, struct vfu_err *err);
/* Keeps what went wrong for the calling thread; err->code may be unset. Returns code. */
int vfui_client_keep(struct vfu_client *cl, int code, struct vfu_err *err);
int vfui_client_fail(struct vfu_client *cl, int code, const char *text);
/* A call with nothing but fixed parts, its errors going to *err. */
struct vfui_call vfui_client_call(struct vfu_err *err);
/* The connection, which stays until vfui_client_end; NULL if there is none. */
struct vfui_conn *vfui_client_hold(struct vfu_client *cl);
/* Closes the connection and ends the caller's call; calls of other threads end by themselves. */
void vfui_client_close(struct vfu_client *cl, struct vfui_conn *conn);
/*
 * Waits until a connection that is being closed is gone, so that what callbacks use, and DMA
 * memory, may be freed. Not in a callback, which can not wait for its own end.
 */
void vfui_client_await_end(struct vfu_client *cl);

/* ---- dma.c ---- */

/* Serves a command of the device. */
void vfui_client_command(void *ctx, struct vfui_conn *conn, struct vfui_msg *msg);
void vfui_client_forget_ranges(struct vfu_client *cl);

/* ---- loop.c ---- */

/* Keeps the epoll descriptor, if there is one, in step with conn (NULL: nothing is to be watched). */
void vfui_client_sync_epoll(struct vfu_client *cl, struct vfui_conn *conn);

#endif
