/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-out.c - the queue of what goes out, and the end of a connection.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/os.h"
#include "transport/conn-inside.h"
#include "transport/conn-out.h"
#include "transport/sock.h"

/* Descriptors that go with replies and wait for a client who does not read them. */
#define REPLY_FDS 64

static inline bool is_out_full(const struct vfui_conn *conn)
{
	return (atomic_load_explicit(&conn->full, memory_order_relaxed) & VFUI_FULL_OUT) != 0;
}

bool vfui_conn_is_out_full(const struct vfui_conn *conn)
{
	return is_out_full(conn);
}

void vfui_conn_stop_reading(struct vfui_conn *conn, bool stop)
{
	unsigned bit = stop ? VFUI_FULL_OWNER : 0;

	if ((atomic_load_explicit(&conn->full, memory_order_relaxed) & VFUI_FULL_OWNER) != bit)
		atomic_fetch_xor(&conn->full, VFUI_FULL_OWNER);
}

VFUI_APART void vfui_conn_count_twin(struct vfui_conn *conn)
{
	struct vfui_outq *out = &conn->twin->out;

	conn->stats->batches += out->batches;
	conn->stats->bytes_out += out->sent;
	out->batches = 0;
	out->sent = 0;
}

/* What others are told of the queue. */
VFUI_APART static void tell_queue(struct vfui_conn *conn, size_t unsent)
{
	bool is_full = unsent > conn->options.set.values[VFU_OPT_QUEUE_BYTES] + conn->oversize ||
		       (conn->main.out.fds > REPLY_FDS && conn->is_server);
	bool is_unsent = unsent > 0;

	if (is_unsent != atomic_load_explicit(&conn->is_unsent, memory_order_relaxed))
		atomic_store(&conn->is_unsent, is_unsent);
	if (is_full != is_out_full(conn))
		atomic_fetch_xor(&conn->full, VFUI_FULL_OUT);
	if (unsent == 0 && conn->is_room_awaited) {
		conn->is_room_awaited = false;
		atomic_fetch_add(&conn->events, 1);
		vfui_os_cond_broadcast(&conn->cond);
	}
}

void vfui_conn_account(struct vfui_conn *conn)
{
	size_t unsent = vfui_conn_unsent(conn);

	conn->stats->batches += conn->main.out.batches;
	conn->stats->bytes_out += conn->main.out.sent;
	conn->main.out.batches = 0;
	conn->main.out.sent = 0;
	if (unsent > 0 || atomic_load_explicit(&conn->is_unsent, memory_order_relaxed) ||
	    is_out_full(conn) || conn->is_room_awaited)
		tell_queue(conn, unsent);
}

const char *vfui_conn_note_closed(struct vfui_conn *conn, const struct vfui_chan *chan)
{
	if (conn->closed == NULL)
		conn->closed = chan == conn->twin ? "the peer closed the twin socket"
						  : "the peer closed the connection";
	return conn->closed;
}

int vfui_conn_end_out(struct vfui_conn *conn, const struct vfui_chan *chan)
{
	if (chan != NULL)
		vfui_conn_note_closed(conn, chan);
	conn->out_status = -ENOTCONN;
	vfui_outq_fini(&conn->main.out);
	if (conn->twin != NULL)
		vfui_outq_fini(&conn->twin->out);
	vfui_conn_account(conn);
	vfui_sock_shutdown(conn->main.fd);
	if (conn->twin != NULL)
		vfui_sock_shutdown(conn->twin->fd);
	return -ENOTCONN;
}

static inline int flush_chan(struct vfui_conn *conn, struct vfui_chan *chan)
{
	int r;

	if (chan->out.bytes == 0)
		return 0;
	r = chan->is_sending ? -EAGAIN : vfui_outq_flush(&chan->out, chan->fd);
	vfui_conn_account(conn);
	return r < 0 && r != -EAGAIN ? vfui_conn_end_out(conn, chan) : r;
}

/* After the main socket's, which said r. */
VFUI_APART static int flush_twin(struct vfui_conn *conn, int r)
{
	int of_twin = conn->out_status;

	if (of_twin == 0) {
		of_twin = flush_chan(conn, conn->twin);
		vfui_conn_count_twin(conn);
	}
	return of_twin != 0 ? of_twin : r;
}

int vfui_conn_flush_queue(struct vfui_conn *conn)
{
	int r;

	if (conn->out_status != 0)
		return conn->out_status;
	r = flush_chan(conn, &conn->main);
	return conn->twin != NULL ? flush_twin(conn, r) : r;
}

int vfui_conn_flush(struct vfui_conn *conn)
{
	int r;

	if (vfui_conn_is_child(conn))
		return -EOWNERDEAD;
	vfui_os_lock(&conn->lock);
	r = vfui_conn_flush_locked(conn);
	vfui_conn_unlock(conn);
	return r;
}

/* While nothing is read nobody would see that the other socket has ended. */
VFUI_APART static void look_for_end(struct vfui_conn *conn)
{
	struct pollfd pfds[2] = {{.fd = conn->main.fd}, {.fd = conn->twin->fd}};
	const char *why;

	if (vfui_os_poll(pfds, 2, 0) <= 0)
		return;
	vfui_os_lock(&conn->lock);
	why = vfui_conn_note_closed(conn, pfds[0].revents != 0 ? &conn->main : conn->twin);
	vfui_os_unlock(&conn->lock);
	vfui_conn_break(conn, -ENOTCONN, why);
}

bool vfui_conn_stays_full(struct vfui_conn *conn)
{
	vfui_conn_flush(conn);
	if (conn->twin != NULL && vfui_conn_is_full(conn))
		look_for_end(conn);
	return vfui_conn_is_full(conn) &&
	       atomic_load_explicit(&conn->status, memory_order_relaxed) == 0;
}

/* ---- the end ---- */

void vfui_conn_fail(struct vfui_conn *conn, const struct vfu_err *cause)
{
	bool is_first;

	if (vfui_conn_is_child(conn))
		return;
	vfui_os_lock(&conn->lock);
	is_first = conn->status == 0;
	if (is_first) {
		conn->cause = *cause;
		if (conn->cause.code >= 0)
			conn->cause.code = -EPROTO;
		/* What was answered before is still good, if it can go at once. */
		vfui_conn_flush_locked(conn);
		vfui_conn_end_out(conn, NULL);
		conn->status = conn->cause.code;
	}
	/* What was lent is left to the thread that reads, or frees it: the caller may hold locks of its own. */
	vfui_os_unlock(&conn->lock);
	if (is_first)
		vfui_conn_wake(conn);
}

int vfui_conn_break(struct vfui_conn *conn, int code, const char *text)
{
	struct vfu_err cause;

	vfui_err_set(&cause, code, NULL, 0, "%s", text);
	vfui_conn_fail(conn, &cause);
	return code;
}

static int violated(struct vfui_conn *conn, const struct vfu_err *cause)
{
	vfui_conn_count_violation(conn);
	vfui_log(&conn->options.log, VFU_LOG_ERROR, "protocol violation: %s", cause->text);
	vfui_conn_fail(conn, cause);
	return -EPROTO;
}

int vfui_conn_violation(struct vfui_conn *conn, const char *fmt, ...)
{
	struct vfu_err cause = {.code = -EPROTO};
	va_list args;

	va_start(args, fmt);
	vsnprintf(cause.text, sizeof(cause.text), fmt, args);
	va_end(args);
	return violated(conn, &cause);
}

int vfui_conn_violation_at(struct vfui_conn *conn, const struct vfui_fault *fault)
{
	struct vfu_err cause;

	vfui_err_fault(&cause, -EPROTO, fault);
	return violated(conn, &cause);
}
