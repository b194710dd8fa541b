/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-call.c - a request, and a sleep until its reply; or one that wants none, until it is gone.
 *
 *	submit (conn-send) --> pending --> done, once: the reply | its deadline | cancel | the end of the connection
 *
 * The caller sleeps as any wait does (conn-wait.c): it reads, or somebody else reads for it. done runs on the thread that reads; at
 * the end of a connection that nobody reads, on the one that leaves it last. The end is told as -ENOTCONN, whatever
 * ended it: vfui_conn_status knows that.
 *
 * Cancel is of who gave the request its name. Where it finds the request it is no more, and what it answers is
 * drained. But a reply may be going into the caller's buffer at that moment (its sink), which the caller wants back: then cancel
 * waits until the reader has left the buffer.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/os.h"
#include "transport/conn-call.h"
#include "transport/conn-inside.h"
#include "transport/conn-out.h"
#include "transport/conn-send.h"
#include "transport/conn-wait.h"

struct waiter {
	struct vfui_call *call;
	void *out;
	size_t out_len;
	int status;
	atomic_bool is_done; /* the last thing that is written */
};

static void take_reply(struct waiter *waiter, struct vfui_msg *reply)
{
	struct vfui_call *call = waiter->call;
	size_t fixed = vfui_min(reply->len, waiter->out_len);

	if (fixed > 0)
		memcpy(waiter->out, reply->payload, fixed);
	if (fixed < waiter->out_len)
		memset((uint8_t *)waiter->out + fixed, 0, waiter->out_len - fixed);
	call->reply_len = reply->len - fixed;
	if (!call->plain_tail && call->reply_room > 0 && call->reply_len > 0)
		memcpy(call->reply_tail, reply->payload + fixed,
		       vfui_min(call->reply_len, call->reply_room));
	/* Others have no use for them, and do not look. */
	if (!reply->info->reply_takes_fds)
		return;
	for (unsigned i = 0; i < reply->nfds && i < VFUI_ARRAY_SIZE(call->reply_fds); i++)
		call->reply_fds[call->reply_nfds++] = vfui_msg_take_fd(reply, i);
}

static void call_done(void *user, int status, struct vfui_msg *reply)
{
	struct waiter *waiter = user;

	if (reply != NULL && waiter->call->keeps) {
		if (!reply->info->reply_takes_fds)
			vfui_msg_drop_fds(reply);
		waiter->call->kept = vfui_msg_copy(reply);
		status = waiter->call->kept != NULL ? 0 : -ENOMEM;
	} else if (reply != NULL) {
		take_reply(waiter, reply);
	}
	if (waiter->call->settled != NULL)
		waiter->call->settled(waiter->call->user, status);
	waiter->status = status;
	atomic_store_explicit(&waiter->is_done, true, memory_order_release);
}

static bool is_done(void *arg)
{
	struct waiter *waiter = arg;

	return atomic_load_explicit(&waiter->is_done, memory_order_acquire);
}

struct room {
	struct vfui_conn *conn;
	size_t size; /* of the request */
};

/* The request would be queued, or there is no use in waiting. */
static bool has_room(void *arg)
{
	const struct room *room = arg;
	struct vfui_conn *conn = room->conn;
	bool has;

	vfui_os_lock(&conn->lock);
	vfui_conn_flush_locked(conn);
	has = vfui_conn_unsent(conn) == 0 ||
	      vfui_conn_unsent(conn) + room->size <= conn->options.set.values[VFU_OPT_QUEUE_BYTES];
	has = has && vfui_conn_may_ask(conn) && !vfui_conn_is_answer_awaited(conn);
	has = has || conn->status != 0;
	conn->is_room_awaited |= !has;
	vfui_conn_unlock(conn);
	return has;
}

static int timeout_of(const struct vfui_conn *conn, int timeout_ms)
{
	if (timeout_ms < 0)
		timeout_ms = (int)conn->options.set.values[VFU_OPT_TIMEOUT_MS];
	return timeout_ms != 0 ? timeout_ms : -1;
}

/* Waits as long for a place in the queue, however often others take it, as for the reply later. */
VFUI_APART static int submit_later(struct vfui_conn *conn, const struct vfui_out *out,
				   bool *takes_role, uint64_t *name)
{
	uint64_t deadline =
		vfui_clock_deadline(&conn->options.clock, timeout_of(conn, out->timeout_ms));
	struct room room = {.conn = conn, .size = sizeof(struct vfu_wire_header)};
	int r;

	for (int i = 0; i < out->niov; i++)
		room.size += out->iov[i].iov_len;
	do {
		int64_t left = vfui_clock_left(&conn->options.clock, deadline);

		r = vfui_conn_wait(conn, has_room, &room,
				   left < 0 ? -1 : (int)(left / (int64_t)VFUI_MS));
		if (r < 0)
			return r;
		r = vfui_conn_submit(conn, out, takes_role, name);
	} while (r == -ENOBUFS);
	return r;
}

static int submit_in_time(struct vfui_conn *conn, const struct vfui_out *out, bool *takes_role,
			  uint64_t *name)
{
	int r = vfui_conn_submit(conn, out, takes_role, name);

	return r == -ENOBUFS ? submit_later(conn, out, takes_role, name) : r;
}

int vfui_conn_send_in_time(struct vfui_conn *conn, const struct vfui_out *out)
{
	uint64_t name;

	return submit_in_time(conn, out, NULL, &name);
}

int vfui_conn_post(struct vfui_conn *conn, const struct vfui_out *out)
{
	int r = vfui_conn_send_in_time(conn, out);

	return r == 0 ? vfui_conn_drain(conn, 0) : r;
}

/*
 * Takes the memory away that the reply goes to. What is being received there at this moment is waited for, but not for
 * the thread that reads to pause: it may be at it again before anybody sees that. With the lock.
 */
static void leave_sink(struct vfui_conn *conn, uint16_t id)
{
	if (!conn->is_direct || conn->direct_id != id)
		return;
	if (!conn->is_filling) {
		vfui_in_drop_direct(&conn->ask_by->in);
		conn->is_direct = false;
		return;
	}
	conn->is_left = true;
	atomic_fetch_add(&conn->sleepers, 1);
	while (conn->is_left && conn->direct_id == id)
		vfui_os_cond_wait(&conn->cond, &conn->lock, -1);
	atomic_fetch_sub(&conn->sleepers, 1);
}

int vfui_conn_cancel(struct vfui_conn *conn, uint64_t name)
{
	uint16_t id = (uint16_t)name;
	struct vfui_pend *pend;
	int r = -ENOENT;

	if (vfui_conn_is_child(conn))
		return -EOWNERDEAD;
	vfui_os_lock(&conn->lock);
	pend = vfui_pend_find(&conn->pending, id);
	if (pend != NULL && !pend->is_reserved && vfui_pend_name(pend) == name) {
		vfui_pend_reserve(&conn->pending, pend);
		leave_sink(conn, id);
		r = 0;
	}
	vfui_os_unlock(&conn->lock);
	/* Somebody may wait for its place. */
	if (r == 0)
		vfui_conn_wake(conn);
	return r;
}

static int submit_and_wait(struct vfui_conn *conn, const struct vfui_out *out,
			   struct waiter *waiter)
{
	bool has_role = false;
	uint64_t name = 0;
	int r = submit_in_time(conn, out, &has_role, &name);

	if (r < 0)
		return r;
	r = has_role ? vfui_conn_wait_as_reader(conn, is_done, waiter)
		     : vfui_conn_wait(conn, is_done, waiter, timeout_of(conn, out->timeout_ms));
	for (;;) {
		unsigned event = vfui_conn_event_number(conn);

		if (is_done(waiter))
			return waiter->status;
		if (vfui_conn_cancel(conn, name) == 0)
			return atomic_load(&conn->status) != 0 ? -ENOTCONN : r;
		/* It is being answered just now. */
		vfui_conn_nap(conn, event, -1);
	}
}

static const struct vfui_message *info_of(unsigned command)
{
	const struct vfui_message *info = vfui_message(command);

	return info != NULL ? info : &vfui_message_unknown;
}

void vfui_conn_explain_fds(unsigned command, int code, const int *fds, unsigned nfds,
			   struct vfu_err *err)
{
	char field[sizeof(err->field)];
	struct stat st;

	for (unsigned i = 0; i < nfds && code == -EBADF; i++) {
		if (vfui_os_fstat(fds[i], &st) != -EBADF)
			continue;
		snprintf(field, sizeof(field), "%s.fds", info_of(command)->name);
		vfui_err_set(err, code, field, 0, "%s: %d is no open descriptor here", field,
			     fds[i]);
		return;
	}
}

/* What is known of one that had no answer: another came in its place. */
static void explain_silence(struct vfui_conn *conn, struct vfu_err *err)
{
	unsigned strays;
	struct vfu_wire_header last;
	size_t len = strlen(err->text);

	vfui_os_lock(&conn->lock);
	strays = conn->strays;
	last = conn->stray;
	vfui_os_unlock(&conn->lock);
	if (strays > 0)
		snprintf(err->text + len, sizeof(err->text) - len,
			 "; but %u repl%s to what was not asked, at last %s", strays,
			 strays > 1 ? "ies came" : "y came", vfui_msg_label(&last).text);
}

void vfui_conn_describe(struct vfui_conn *conn, unsigned command, int code, struct vfu_err *err)
{
	if (err == NULL)
		return;
	if ((code == -ENOTCONN || code == -EPROTO) && vfui_conn_status(conn, err) != 0)
		err->code = code;
	else
		vfui_err_set(err, code, NULL, 0, "%s: %s", info_of(command)->name, strerror(-code));
	if (code == -ETIMEDOUT)
		explain_silence(conn, err);
}

int vfui_conn_call(struct vfui_conn *conn, unsigned command, struct vfui_call *call, const void *in,
		   size_t in_len, void *out, size_t out_len)
{
	struct iovec iov[2] = {{(void *)(uintptr_t)in, in_len},
			       {(void *)(uintptr_t)call->tail, call->tail_len}};
	bool has_sink = call->plain_tail && call->reply_room > 0;
	struct waiter waiter = {.call = call, .out = out, .out_len = out_len};
	struct vfui_out request = {.command = command,
				   .iov = iov,
				   .niov = call->tail_len > 0 ? 2 : 1,
				   .fds = call->fds,
				   .nfds = call->nfds,
				   .no_reply = false,
				   .sink = has_sink ? call->reply_tail : NULL,
				   .sink_skip = out_len,
				   .sink_len = call->reply_room,
				   .timeout_ms = call->timeout_ms,
				   .done = call_done,
				   .user = &waiter,
				   .end = NULL};
	int r;

	call->reply_len = 0;
	call->reply_nfds = 0;
	r = submit_and_wait(conn, &request, &waiter);
	if (r < 0)
		vfui_conn_describe(conn, command, r, call->err);
	if (r == -EBADF)
		vfui_conn_explain_fds(command, r, call->fds, call->nfds, call->err);
	return r;
}
