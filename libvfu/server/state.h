/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * state.h - the state of a server: one device, one client at a time. What stands on it, upwards:
 *	handlers   what each message does
 *	greet	   VERSION, before anything else
 *	held	   requests held back, and room for more
 *	order	   when a request may start, gates
 *	watch	   what to sleep on, and waking who sleeps
 *	connection start and end
 *	listener   who comes next
 *	handle	   life and settings
 *	run	   one round, and the loop
 *
 * All on the owner, unless said otherwise.
 */
#ifndef VFUI_SERVER_STATE_H
#define VFUI_SERVER_STATE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "device/handle.h"
#include "base/list.h"
#include "transport/sock.h"
#include "vfu-calls.h"

/* vfu_dma_read inside a callback inside vfu_dma_read ...: how deep. */
#define VFUI_SERVER_DEPTH 8
#define VFUI_SERVER_PFDS 4
/* Requests after which the listener is looked at, whatever else there is to do. */
#define VFUI_TICK_REQUESTS 1024

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
	size_t size; /* as it counts */
	uint64_t step;
	bool asked;
	bool is_config_write;
	int status; /* what the gate said */
};

/* A buffer that grows. */
struct vfui_scratch {
	void *data;
	size_t size;
};

/* In the order of use: first what each round touches, in a few lines of the cache, for there may be thousands. */
struct vfu_server {
	struct vfu_device *dev;
	const volatile uint8_t *fork_mark;
	_Atomic(pthread_t) owner;
	bool is_processing; /* callbacks may be running */
	bool is_given_up;   /* one of them has freed the server: whoever is left last does it */
	bool is_running;    /* in vfu_server_run, which stop is for */
	bool is_asking;     /* the device is asked about a client */

	/* waiting */
	bool is_wake_suspect; /* wake_fd may be readable although woken is not set */
	atomic_bool woken, stop;
	int wake_fd;
	int epoll_fd; /* -1: nobody asked for it */
	struct pollfd watched[VFUI_SERVER_PFDS];
	unsigned nwatched;

	/* the listener */
	int listen_fd;
	unsigned unlooked;   /* requests since the last look at it */
	uint64_t rest_until; /* no client could be taken: when to try again; 0: it can */
	uint64_t looked_at;

	/* the connection */
	enum vfui_server_state state;
	bool was_up;
	bool is_agreed; /* what stands in agreed, under conn_lock */
	bool is_done; /* VFU_OPT_ONE_CLIENT, and that client has come: the listener is to be closed */
	struct vfui_conn *conn;
	struct vfui_session *session;
	struct vfui_account *account; /* of all as well: what an old client left is still there */
	uint64_t greet_by;            /* when VERSION must have come */
	struct vfu_stats stats;       /* of all connections; the present one adds to it */

	/* the order of requests */
	struct vfui_list held; /* vfui_held in order of arrival */
	unsigned waits;        /* vfu_dma_read calls on the stack */
	struct vfui_scratch scratch[VFUI_SERVER_DEPTH + 1];

	/* what is rare */
	pthread_mutex_t conn_lock; /* the owner changes conn with it, others need it to use conn */
	struct vfu_err
		ended; /* how the last connection did, under the same lock; code 0: as it should */
	struct vfui_caps agreed;
	struct vfui_sock_file file; /* the listener's */
	bool interruptible;
	int (*interrupt)(void *user);
	void *interrupt_user;
	struct vfui_policy policy;
	struct vfui_options options;
	struct vfu_err err;
};

/* No request may start, nor the next of the writes in one: the device thinks, or too much is unanswered. */
static inline bool vfui_server_is_held_up(const struct vfu_server *srv)
{
	return srv->dev->gate.is_open || atomic_load(&srv->session->fences) ||
	       vfui_account_is_half(srv->account);
}

/* -EOWNERDEAD in the child of a fork. Any thread. */
static inline int vfui_server_check(const struct vfu_server *srv)
{
	return *srv->fork_mark ? 0 : -EOWNERDEAD;
}

#endif
