/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-state.h - a connection: its options, and what may be asked of it.
 */
#ifndef VFUI_CONN_STATE_H
#define VFUI_CONN_STATE_H

#include <sys/uio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "transport/caps-agree.h"
#include "transport/msg.h"
#include "policy.h"

struct vfui_conn;

struct vfui_conn_ops {
	/*
	 * A known command of the right direction; header checked, payload not (vfui_conn_check).
	 * It is answered with vfui_conn_reply, now or later.
	 */
	void (*command)(void *ctx, struct vfui_conn *conn, struct vfui_msg *msg);
	/*
	 * A command that is not in the table: true if it is one all the same, with the info
	 * vfui_message_unknown. NULL: never.
	 */
	bool (*knows)(void *ctx, unsigned command);
	/*
	 * A message that is no such command, before it is refused, or dropped (a reply to nothing): true
	 * if it was seen to, which needs no answer. msg->info may be NULL. NULL: never.
	 */
	bool (*stranger)(void *ctx, struct vfui_conn *conn, const struct vfui_msg *msg);
	/*
	 * A large command that the table knows is arriving: where the rest is received, from the end of its fixed
	 * part on, or NULL: with the message, as ever. msg has that part alone (msg->placed), and its header is
	 * sound. command gets it in the same way, also if vfui_conn_drop_sink has taken the memory away. NULL:
	 * always with the message.
	 */
	void *(*sink)(void *ctx, struct vfui_conn *conn, const struct vfui_msg *msg);
	/*
	 * Asked in vfui_conn_process_wait after it has handled messages, so many by now: true to go
	 * on with the next, without a look at anything else. NULL: never.
	 */
	bool (*stay)(void *ctx, unsigned handled);
};

/* What a client or a server was told: VFU_OPT_*, and what it says in VERSION. */
struct vfui_options {
	uint64_t values[VFU_OPTIONS];
	struct vfui_caps own;
};

/* Start from vfui_conn_options_init. All is copied. */
struct vfui_conn_options {
	struct vfui_policy policy;
	struct vfui_options set;
	struct vfui_log log;
	struct vfui_clock clock;
	/*
	 * Counters to add to, NULL: the connection's own. Changed only under its lock: read them
	 * with vfui_conn_stats.
	 */
	struct vfu_stats *stats;
	/*
	 * Asked by waits several times a second, and when a signal interrupts them: non-zero ends
	 * the wait with -EINTR. NULL: waits go on.
	 */
	int (*interrupt)(void *user);
	void *interrupt_user;
	/*
	 * Eventfd (non-blocking, borrowed) written to when another thread left something for the
	 * one that polls; whoever wakes from it may read it empty, so look at all work before
	 * sleeping. -1: the connection makes one and names it in vfui_conn_pollfds.
	 */
	int wake_fd;
};

/* 0 while alive, else the code of the cause, and the cause in *err (may be NULL). */
int vfui_conn_status(struct vfui_conn *conn, struct vfu_err *err);

/* What this side accepts, and what the peer does. Set at VERSION time by vfui_negotiate_*. */
struct vfui_limits *vfui_conn_limits(struct vfui_conn *conn);
struct vfui_limits *vfui_conn_peer_limits(struct vfui_conn *conn);
/* Most descriptors of one message to the peer: what it takes, and no more than we do, for who runs us may know better (E69). */
unsigned vfui_conn_max_fds(struct vfui_conn *conn);
/* All it was made with. */
const struct vfui_conn_options *vfui_conn_options(const struct vfui_conn *conn);
/* What this side says in VERSION. */
const struct vfui_caps *vfui_conn_own(const struct vfui_conn *conn);
const struct vfui_policy *vfui_conn_policy(const struct vfui_conn *conn);
uint64_t vfui_conn_option(const struct vfui_conn *conn, enum vfu_option option);
const struct vfui_log *vfui_conn_log(const struct vfui_conn *conn);
void vfui_conn_stats(struct vfui_conn *conn, struct vfu_stats *out);
/* Counts a dropped message or a violation that the caller found. */
void vfui_conn_count_drop(struct vfui_conn *conn);
void vfui_conn_count_violation(struct vfui_conn *conn);

/* The generated check of a command: 0 or -errno with the field at fault in *err. */
int vfui_conn_check(struct vfui_conn *conn, const struct vfui_msg *msg, struct vfu_err *err);

/*
 * The generated check of a request that this side is about to send, against what the peer takes: 0 or -errno with
 * the field at fault in *err, -ENOMEM. iov as in struct vfui_out.
 */
int vfui_conn_check_own(struct vfui_conn *conn, unsigned command, const struct iovec *iov, int niov,
			unsigned nfds, struct vfu_err *err);

/*
 * Memory is about to go that ops->sink has named, or a request: from now on nothing is received there, and a
 * request whose reply was to be ends with -ECANCELED. The reader's, or while nobody reads.
 */
void vfui_conn_drop_sink(struct vfui_conn *conn, const void *memory, size_t len);

/* Has waits look at their ready() again. */
void vfui_conn_wake(struct vfui_conn *conn);

int vfui_conn_fd(const struct vfui_conn *conn);
/* The twin socket, -1: there is none. */
int vfui_conn_twin_fd(struct vfui_conn *conn);
/* Requests sent that are not answered yet. */
unsigned vfui_conn_pending(struct vfui_conn *conn);
/* True on the thread that reads now: in a callback. */
bool vfui_conn_is_reader(struct vfui_conn *conn);
bool vfui_conn_is_forked(const struct vfui_conn *conn);

#endif
