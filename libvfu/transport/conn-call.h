/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-call.h - a request, and a sleep until its reply; or one that wants none, until it is gone.
 */
#ifndef VFUI_CONN_CALL_H
#define VFUI_CONN_CALL_H

#include <stdbool.h>

#include "transport/conn-send.h"

/* What goes with a blocking call besides the fixed parts; all zero but timeout_ms = -1 will do. */
struct vfui_call {
	const void *tail; /* payload after the fixed part */
	size_t tail_len;
	const int *fds;
	unsigned nfds;
	void *reply_tail; /* room for the reply after its fixed part; the rest is dropped */
	size_t reply_room;
	size_t reply_len; /* of the reply's tail, may be more than the room */
	bool plain_tail;  /* the reply's tail is plain data: may be received in place */
	int reply_fds[8]; /* the caller's, if the reply may have any; more are closed */
	unsigned reply_nfds;
	bool keeps;            /* the reply whole, in place of all the above ... */
	struct vfui_msg *kept; /* ... here: the caller's to free; NULL: there was none */
	int timeout_ms;
	struct vfu_err *err; /* may be NULL */
	/*
	 * Told how it ended on the thread that reads, before that looks at the next message. Not
	 * told of a request that was never sent, or given up by its caller. NULL: nobody is.
	 */
	void (*settled)(void *user, int status);
	void *user;
};

/*
 * Sends a request and waits for its reply, serving the peer's commands meanwhile. in_len and
 * out_len are the fixed parts' sizes; out is zeroed where the reply is shorter. The peer's error
 * reply is its -errno. -ETIMEDOUT, -ENOTCONN, -EINTR, -EDEADLK: see vfui_conn_wait.
 */
int vfui_conn_call(struct vfui_conn *conn, unsigned command, struct vfui_call *call, const void *in,
		   size_t in_len, void *out, size_t out_len);

/* Why a request failed: its own reason, or what ended the connection. err may be NULL. */
void vfui_conn_describe(struct vfui_conn *conn, unsigned command, int code, struct vfu_err *err);
/*
 * If this is why sending a message of that kind was -EBADF: says which of its descriptors is none. Else *err stays as
 * it is; may be NULL.
 */
void vfui_conn_explain_fds(unsigned command, int code, const int *fds, unsigned nfds,
			   struct vfu_err *err);

/*
 * Gives up a request of vfui_conn_start: told does not run, its late reply will be dropped. -ENOENT: it has run, or
 * is about to. It waits for a receive into the request's sink that is under way, of which none is longer than a tick.
 */
int vfui_conn_cancel(struct vfui_conn *conn, uint64_t name);

/* vfui_conn_send, which waits for room in the queue, and for its turn, as long as for a reply. */
int vfui_conn_send_in_time(struct vfui_conn *conn, const struct vfui_out *out);
/*
 * The same of a request that wants no reply, then vfui_conn_drain.
 */
int vfui_conn_post(struct vfui_conn *conn, const struct vfui_out *out);

#endif
