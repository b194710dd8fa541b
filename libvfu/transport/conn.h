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
 *     options        the queue    requests      messages      sleeping     +-> conn-loop
 *     counters       the end      replies       the role                       batches
 *
 * conn-inside.h has what it is made of, for those files alone. conn.c is its life.
 *
 * Threads: any thread may call, unless said otherwise. Callbacks (command, done) run on the thread
 * that reads just now, never with a lock held. After fork() all but vfui_conn_free answer
 * -EOWNERDEAD.
 */
#ifndef VFUI_CONN_H
#define VFUI_CONN_H

#include "transport/conn-call.h"
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
 * First ends all pending requests with -ENOTCONN. Not from a callback, nor while another thread is
 * in a call.
 */
void vfui_conn_free(struct vfui_conn *conn);

#endif
