/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn.h - a connection: requests and replies in both directions, negotiated limits, one reading
 * thread at a time.
 */
#ifndef VFUI_CONN_H
#define VFUI_CONN_H

#include <poll.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "transport/msg.h"
#include "policy.h"

/*
 * Threads: any thread may call, unless said otherwise. Callbacks (command, done) run on the thread
 * that reads just now, never with a lock held. After fork() all but vfui_conn_free answer
 * -EOWNERDEAD.
 */
struct vfui_conn;

struct vfui_conn_ops {
	/*
	 * A known command of the right direction; header checked, payload not (vfui_conn_check).
	 * It is answered with vfui_conn_reply, now or later.
	 */
	void (*command)(void *ctx, struct vfui_conn *conn, struct vfui_msg *msg);
	/*
	 * Asked in vfui_conn_process_wait after it has handled messages, so many by now: true to go
	 * on with the next, without a look at anything else. NULL: never.
	 */
	bool (*stay)(void *ctx, unsigned handled);
};

/* Start from vfui_conn_options_init. All is copied. */
struct vfui_conn_options {
	struct vfui_policy policy;
	uint64_t values[VFU_OPTIONS];
	struct vfui_log log;
	struct vfui_clock clock;
	/*
	 * Counters to add to, NULL: the connection's own. Changed only under its lock: read them
	 * with vfui_conn_stats.
	 */
	struct vfu_stats *stats;
	/*
	 * Asked when a signal interrupts a wait: non-zero ends it with -EINTR. NULL: waits go on.
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

/* The most that VFU_OPT_MAX_DATA_XFER_SIZE can be; a peer that says more is given no more. */
#define VFUI_XFER_MAX (UINT64_C(16) << 20)

/* Values of VFU_OPT_*: defaults, and a checked setter (-EINVAL). */
void vfui_options_init(uint64_t values[VFU_OPTIONS]);
int vfui_options_set(uint64_t values[VFU_OPTIONS], enum vfu_option option, uint64_t value);

void vfui_conn_options_init(struct vfui_conn_options *options);

/* Takes the connected socket fd, also on failure (NULL: out of memory or descriptors). */
struct vfui_conn *vfui_conn_new(int fd, bool server, const struct vfui_conn_options *options,
				const struct vfui_conn_ops *ops, void *ctx);
/*
 * First ends all pending requests with -ENOTCONN. Not from a callback, nor while another thread is
 * in a call.
 */
void vfui_conn_free(struct vfui_conn *conn);

/* Ends the connection for the reason cause (the first is kept): the socket is shut down at once. */
void vfui_conn_fail(struct vfui_conn *conn, const struct vfu_err *cause);
/* 0 while alive, else the code of the cause, and the cause in *err (may be NULL). */
int vfui_conn_status(struct vfui_conn *conn, struct vfu_err *err);

/* What this side accepts, and what the peer does. Set at VERSION time by vfui_negotiate_*. */
struct vfui_limits *vfui_conn_limits(struct vfui_conn *conn);
struct vfui_limits *vfui_conn_peer_limits(struct vfui_conn *conn);
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
 * Answers request: status 0 with a payload, or -errno (header only). Nothing is sent if it asked
 * for no reply. Bytes are copied or sent, descriptors copied, before this returns. On the reading
 * thread replies are batched, from others they go at once. 0; -ENOTCONN; -ENOMEM, -EMFILE, -EBADF
 * and the like: the peer got that as an error reply instead.
 */
int vfui_conn_reply(struct vfui_conn *conn, const struct vfu_wire_header *request, int status,
		    const struct iovec *iov, int niov, const int *fds, unsigned nfds);

/* Runs exactly once. reply: NULL on failure; else checked, borrowed until this returns. */
typedef void vfui_done_fn(void *user, int status, struct vfui_msg *reply);

/* A request to send. */
struct vfui_out {
	unsigned command;
	const struct iovec *iov; /* payload; the fixed part must lie whole in iov[0] */
	int niov;
	const int *fds; /* stay the caller's */
	unsigned nfds;
	bool no_reply; /* done is not used */
	/*
	 * Room for the reply's payload from byte sink_skip on, for messages whose payload is plain
	 * data from there on. Written before done runs; payload then holds only the first
	 * sink_skip bytes.
	 */
	void *sink;
	size_t sink_skip, sink_len;
	int timeout_ms; /* -1: VFU_OPT_TIMEOUT_MS; 0: none */
	vfui_done_fn *done;
	void *user;
};

/*
 * 0: done runs exactly once, not inside this call. -errno: it never runs. -ENOBUFS: the queue is
 * full, or too many requests are pending; -ENOTCONN. Payload is copied or sent, descriptors copied.
 */
int vfui_conn_send(struct vfui_conn *conn, const struct vfui_out *out);

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
	int timeout_ms;
	struct vfu_err *err; /* may be NULL */
};

/*
 * Sends a request and waits for its reply, serving the peer's commands meanwhile. in_len and
 * out_len are the fixed parts' sizes; out is zeroed where the reply is shorter. The peer's error
 * reply is its -errno. -ETIMEDOUT, -ENOTCONN, -EINTR, -EDEADLK: see vfui_conn_wait.
 */
int vfui_conn_call(struct vfui_conn *conn, unsigned command, struct vfui_call *call, const void *in,
		   size_t in_len, void *out, size_t out_len);

/*
 * Waits until ready(arg), called without a lock, is true; serves commands meanwhile. It may be
 * called in a callback: messages received there stay valid. timeout_ms < 0: for ever. -ETIMEDOUT;
 * -EINTR: the interrupt hook said so; -EDEADLK: the outgoing queue is full (the connection lives
 * on); -ENOTCONN or what failed it.
 */
int vfui_conn_wait(struct vfui_conn *conn, bool (*ready)(void *arg), void *arg, int timeout_ms);
/* Has waits look at their ready() again. */
void vfui_conn_wake(struct vfui_conn *conn);

/*
 * Handles at most max messages (0: a fair batch) and never blocks. Commands and replies handled, 0
 * if another thread reads; -ENOTCONN or what failed the connection, once all that came before is
 * handled.
 */
int vfui_conn_process(struct vfui_conn *conn, unsigned max);
/*
 * The same, but sleeps up to timeout_ms (-1: for ever) for the first message; and all that as long
 * as ops->stay wants. -EINTR: a signal came, maybe after messages that were handled.
 */
int vfui_conn_process_wait(struct vfui_conn *conn, unsigned max, int timeout_ms);
/* Fills at most n entries and returns how many are needed (1, or 2 without options.wake_fd). */
int vfui_conn_pollfds(struct vfui_conn *conn, struct pollfd *pfds, unsigned n);
/* Milliseconds until vfui_conn_process should run even if nothing polls ready; -1: for ever. */
int vfui_conn_timeout(struct vfui_conn *conn);
/* Sends what is queued as far as the socket takes it: 0, -EAGAIN if some is left, -ENOTCONN. */
int vfui_conn_flush(struct vfui_conn *conn);
int vfui_conn_fd(const struct vfui_conn *conn);
/* Requests sent that are not answered yet. */
unsigned vfui_conn_pending(struct vfui_conn *conn);
/* True on the thread that reads now: in a callback. */
bool vfui_conn_is_reader(struct vfui_conn *conn);
bool vfui_conn_is_forked(const struct vfui_conn *conn);

#endif
