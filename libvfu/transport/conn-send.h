/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-send.h - requests and replies on their way out.
 */
#ifndef VFUI_CONN_SEND_H
#define VFUI_CONN_SEND_H

#include <sys/uio.h>

#include "transport/chan-out.h"
#include "transport/conn-state.h"
#include "transport/pend.h"

/*
 * Answers request: status 0 with a payload, or -errno (header only). Nothing is sent if it asked
 * for no reply. Bytes are copied or sent, descriptors copied, before this returns. On the reading
 * thread replies are batched, from others they go at once. 0; -ENOTCONN; -ENOMEM, -EMFILE, -EBADF
 * and the like: the peer got that as an error reply instead.
 */
int vfui_conn_reply(struct vfui_conn *conn, const struct vfu_wire_header *request, int status,
		    const struct iovec *iov, int niov, const int *fds, unsigned nfds);

/*
 * The same where the last iov is lent: it may wait where it is. It is given back once, on whichever thread sends the
 * last of it or ends the connection, in this call if that can be; not in the child of a fork.
 */
int vfui_conn_reply_lent(struct vfui_conn *conn, const struct vfu_wire_header *request,
			 const struct iovec *iov, unsigned niov, struct vfui_lent *lent);

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
	 * data from there on, at which their checks do not look. Written before done runs, and only if the
	 * reply keeps all rules; payload then holds only the first sink_skip bytes.
	 */
	void *sink;
	size_t sink_skip, sink_len;
	int timeout_ms; /* -1: VFU_OPT_TIMEOUT_MS; 0: none */
	vfui_done_fn *done;
	void *user;
	const struct vfui_end *end; /* copied; in place of done and user: the request has a name */
};

/*
 * 0: done runs exactly once, not inside this call. -errno: it never runs. -ENOBUFS: the queue is
 * full, or too many requests are pending; -ENOTCONN. Payload is copied or sent, descriptors copied.
 */
int vfui_conn_send(struct vfui_conn *conn, const struct vfui_out *out);
/* The same, of one with an end, and tells its name, for vfui_conn_cancel: never that of another, nor 0. */
int vfui_conn_start(struct vfui_conn *conn, const struct vfui_out *out, uint64_t *name);

/*
 * Sends what is queued, as far as it goes, and wakes who sends the rest: 0, or why nothing can be sent. Never waits
 * for longer than a thread sleeps in a receive.
 */
int vfui_conn_send_queue(struct vfui_conn *conn);

/* ---- for the files of the connection ---- */

/* vfui_conn_send_queue, of who has the lock and gives it up. */
int vfui_conn_send_and_unlock(struct vfui_conn *conn);

struct vfui_chan;

/* Answers a command on the socket that it came from with an error: it may be the wrong one. */
void vfui_conn_refuse(struct vfui_conn *conn, struct vfui_chan *chan,
		      const struct vfu_wire_header *request, int error);

/*
 * Whether a message of size bytes may be sent now: 0, -ENOBUFS, -ENOTCONN. One that is larger than the queue goes
 * alone, and does not make it full. With the lock.
 */
int vfui_conn_may_send(struct vfui_conn *conn, size_t size);
/*
 * vfui_conn_send; *takes_role (NULL: the caller does not wait for the reply itself) becomes true if he has got the reader
 * role with it, for vfui_conn_wait_as_reader.
 */
int vfui_conn_submit(struct vfui_conn *conn, const struct vfui_out *out, bool *takes_role,
		     uint64_t *name);

#endif
