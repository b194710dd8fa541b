/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * handle.h - a server: one device, one client at a time. Internal; shared by
 *	order.c	   when a request may start, gates, requests held back
 *	handlers.c what each message does
 *	handle.c   public functions, the listener, start and end of connections
 *	run.c	   waiting: pollfds, process, run
 *
 * All on the owner, unless said otherwise.
 */
#ifndef VFUI_SERVER_HANDLE_H
#define VFUI_SERVER_HANDLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "device/handle.h"
#include "base/list.h"
#include "transport/sock.h"
#include "vfu-calls.h"

/* vfu_dma_read inside a callback inside vfu_dma_read ...: how deep. */
#define VFUI_SERVER_DEPTH 8
#define VFUI_SERVER_PFDS 4

enum vfui_server_state {
	VFUI_SERVER_IDLE,     /* no client */
	VFUI_SERVER_GREETING, /* connected, no VERSION yet */
	VFUI_SERVER_UP,
	VFUI_SERVER_ENDING /* connection over, the device is asked */
};

/* A request that waits for its turn. */
struct vfui_held {
	struct vfui_list node;
	struct vfui_msg *msg;
	uint64_t step;
	bool asked;
	int status; /* what the gate said */
};

/* A buffer that grows. */
struct vfui_scratch {
	void *data;
	size_t size;
};

struct vfu_server {
	struct vfu_device *dev;
	struct vfu_err err;
	struct vfui_policy policy;
	uint64_t values[VFU_OPTIONS];
	const volatile uint8_t *fork_mark;
	_Atomic(pthread_t) owner;
	bool interruptible;
	bool is_processing; /* callbacks may be running */

	/* the listener */
	int listen_fd;
	struct vfui_sock_file file;
	unsigned unlooked; /* requests since the last look at it */
	uint64_t looked_at;

	/* the connection */
	enum vfui_server_state state;
	pthread_mutex_t conn_lock; /* the owner changes conn with it, others need it to use conn */
	bool was_up;
	uint64_t greet_by; /* when VERSION must have come */
	struct vfui_conn *conn;
	struct vfui_session *session;
	struct vfu_stats stats; /* of all connections; the present one adds to it */

	/* the order of requests */
	struct vfui_list held; /* vfui_held in order of arrival */
	uint64_t held_bytes;
	uint64_t full_since; /* or since one was read all the same; 0: not full */
	unsigned waits;      /* vfu_dma_read calls on the stack */
	struct vfui_scratch scratch[VFUI_SERVER_DEPTH + 1];

	/* waiting */
	int wake_fd;
	atomic_bool woken, stop;
	bool is_wake_suspect; /* wake_fd may be readable although woken is not set */
	int epoll_fd;         /* -1: nobody asked for it */
	struct pollfd watched[VFUI_SERVER_PFDS];
	unsigned nwatched;
};

/* order.c */
/* The connection's command callback. */
void vfui_server_command(void *ctx, struct vfui_conn *conn, struct vfui_msg *msg);
/* Starts what was held back and may start now. */
void vfui_server_drain(struct vfu_server *srv);
/* The first request held back may start. */
bool vfui_server_can_drain(struct vfu_server *srv);
/* As much is held back as may be: read no more. */
bool vfui_server_is_full(const struct vfu_server *srv);
/* Something may happen that the client's socket does not show. */
bool vfui_server_is_holding(const struct vfu_server *srv);
void vfui_server_drop_held(struct vfu_server *srv);
/* vfui_device_server.wait */
int vfui_server_wait(void *ctx, bool (*ready)(void *arg), void *arg);

/* handlers.c */
extern const struct vfui_handlers vfui_server_handlers;

/* handle.c */
/* VERSION has come: agree and tell the device. */
void vfui_server_greet(struct vfu_server *srv, struct vfui_msg *msg);
/* The connection is over: brings it to its end as far as the device lets it. */
void vfui_server_end(struct vfu_server *srv);
/* Takes a client that waits, or turns it away if there is one. */
void vfui_server_look(struct vfu_server *srv);
/* -EOWNERDEAD in the child of a fork. Any thread. */
int vfui_server_check(const struct vfu_server *srv);

/* run.c */
void vfui_server_wake(void *ctx);
/* The connection's question whether it may go on without a look at anything else. */
bool vfui_server_stay(void *ctx, unsigned handled);
/* Keeps the epoll descriptor, if there is one, in step. closing: nothing is to be watched. */
void vfui_server_sync_epoll(struct vfu_server *srv, bool closing);

#endif
