/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn.h - a connection: requests and replies in both directions, negotiated limits, one reading
 * thread at a time. This is what the rest of the library includes; the files below stand on one
 * another, each on all to its left:
 *
 *                                                                          +-> conn-call
 *     conn-state --> conn-out --> conn-send --> conn-read --> conn-wait ---+   request and reply
 *     options        the queue    requests      messages      sleeping     +-> conn-gather
 *     counters       the end      replies       the role                   |   posted writes
 *                                                                          +-> conn-loop
 *                                                                              batches
 *
 * conn-inside.h has what it is made of, for those files alone. conn.c is its life.
 *
 * A connection has one socket, or two (vfui_conn_set_twin). Each is a struct vfui_chan: what came and is not a
 * message yet, what is queued. All else there is once: lock, reader role, requests that are pending, limits, the end.
 *
 *	        commands of the client   commands of the server     ask_by: where this side's commands go
 *	main    -->     <-- replies      (without twin: both)       serve_by: where the peer's come from
 *	twin                             <--     --> replies
 *
 * The thread that reads receives from both, the main one first, and handles what came by the twin first: so what was
 * in that when the other was looked at is not overtaken. That is all the order there is between them.
 *
 * Threads: any thread may call, unless said otherwise. Callbacks (command, done) run on the thread
 * that reads just now, never with a lock held. After fork() all but vfui_conn_free answer
 * -EOWNERDEAD.
 */
#ifndef VFUI_CONN_H
#define VFUI_CONN_H

#include "transport/conn-call.h"
#include "transport/conn-gather.h"
#include "transport/conn-loop.h"
#include "transport/conn-out.h"
#include "transport/conn-send.h"
#include "transport/conn-state.h"
#include "transport/conn-wait.h"

/* VFU_OPT_* and capabilities: defaults, and a checked setter (-EINVAL, with the rule in err). */
void vfui_options_init(struct vfui_options *options);
int vfui_options_set(struct vfui_options *options, enum vfu_option option, uint64_t value,
		     struct vfu_err *err);
/* Sets one field of a policy, or, without a choice, all of a profile. -ENOENT, -EINVAL, with the names in err. */
int vfui_options_policy(struct vfui_policy *policy, const char *name, const char *choice,
			struct vfu_err *err);

void vfui_conn_options_init(struct vfui_conn_options *options);

/* Takes the connected socket fd, also on failure (NULL: out of memory or descriptors). */
struct vfui_conn *vfui_conn_new(int fd, bool server, const struct vfui_conn_options *options,
				const struct vfui_conn_ops *ops, void *ctx);
/*
 * From now on the commands of the server, and their replies, go by the connected socket fd and by no other way
 * (VERSION agreed on it). Taken, also on failure: -ENOMEM. The reader's, or before anybody else knows of conn; once.
 */
int vfui_conn_set_twin(struct vfui_conn *conn, int fd);
/*
 * First ends all pending requests with -ENOTCONN. Not from a callback, nor while another thread is
 * in a call.
 */
void vfui_conn_free(struct vfui_conn *conn);

#endif
