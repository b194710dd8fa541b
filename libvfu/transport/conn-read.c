/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-read.c - what is received: commands to the owner, replies to whoever waits.
 *
 *	vfui_conn_receive       bytes, once; a message may end anywhere in them, or not at all
 *	     |
 *	vfui_conn_handle_one    one message that is complete
 *	     +-- command: why_refused? an error reply; else ops->command, which answers now or later
 *	     +-- reply: its request is pending   --> checked against it, then done()
 *	     |          it was given up          --> dropped; its id may be used again
 *	     |          there is none            --> a stray, of which a peer may send some
 *	     +-- head of a large reply: try_direct, the rest is received where the request wants it
 *	     +-- of a large command: place_rest, the same where ops->sink says
 *
 * All for the thread that has the reader role (take_role, drop_role). Whoever gives it up tells those who
 * sleep, and an event loop, that nobody reads now. Callbacks (command, done) run here and with no lock
 * held: they may send, wait (which comes back into handle_one; messages handed out stay valid) and fail
 * the connection, but not free it. So after one returns nothing that was looked up before still holds.
 *
 * A request ends once, whichever comes first: its reply, its deadline (expire), the connection's end
 * (end_pending), or its caller gives it up (conn-call.c). Who takes it out of the table does so with the
 * lock, and runs done() without. A header that makes no sense, or a reply that its spec refuses, ends the
 * connection; a command that is refused does not.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "transport/conn-out.h"
#include "transport/conn-read.h"
#include "transport/conn-send.h"
#include "transport/trace.h"

/* Messages larger than this go straight to their sink. */
#define DIRECT 16384

/* Replies that nobody asked for before the peer is held to be broken. */
#define STRAYS_MAX 64

/* ---- requests that get no reply ---- */

/* No lock is held. */
static inline void tell_end(const struct vfui_end *end, int status, struct vfui_msg *reply)
{
	if (status != 0)
		reply = NULL;
	if (end->told != NULL)
		end->told(end, status, reply);
	else
		end->done(end->user, status, reply);
}

/* Who waits for another thread's request, or its place, looks again. */
static void give_up(struct vfui_conn *conn, const struct vfui_end *end, int status)
{
	tell_end(end, status, NULL);
	vfui_conn_event(conn);
}

void vfui_conn_end_pending(struct vfui_conn *conn)
{
	for (;;) {
		struct vfui_pend *pend;
		struct vfui_end end;

		vfui_os_lock(&conn->lock);
		pend = vfui_pend_first(&conn->pending);
		if (pend == NULL) {
			vfui_os_unlock(&conn->lock);
			return;
		}
		end = pend->end;
		vfui_pend_remove(&conn->pending, pend);
		conn->is_direct = false;
		vfui_os_unlock(&conn->lock);
		give_up(conn, &end, -ENOTCONN);
	}
}

void vfui_conn_expire(struct vfui_conn *conn)
{
	uint64_t now = vfui_clock_now(&conn->options.clock);

	conn->may_be_late = false;
	for (;;) {
		struct vfui_pend *pend;
		struct vfui_end end;

		vfui_os_lock(&conn->lock);
		vfui_conn_settle(conn);
		pend = vfui_pend_first(&conn->pending);
		if (pend == NULL || pend->deadline > now) {
			vfui_os_unlock(&conn->lock);
			return;
		}
		end = pend->end;
		if (conn->is_direct && conn->direct_id == pend->id) {
			vfui_in_drop_direct(&conn->ask_by->in);
			conn->is_direct = false;
		}
		vfui_pend_reserve(&conn->pending, pend);
		vfui_os_unlock(&conn->lock);
		give_up(conn, &end, -ETIMEDOUT);
	}
}

/* ---- the reader role ---- */

bool vfui_conn_take_role(struct vfui_conn *conn, bool is_loop)
{
	bool is_taken;

	vfui_os_lock(&conn->lock);
	is_taken = vfui_conn_take_role_locked(conn, is_loop);
	vfui_os_unlock(&conn->lock);
	return is_taken;
}

void vfui_conn_count_in(struct vfui_conn *conn)
{
	uint64_t received = conn->main.in.received;

	if (conn->twin != NULL)
		received += conn->twin->in.received;
	conn->stats->bytes_in += received - conn->received_counted;
	conn->stats->requests_in += conn->requests_in;
	conn->received_counted = received;
	conn->requests_in = 0;
}

/*
 * Whether an event loop that sleeps has something to do, now that nobody reads. The lock is held.
 */
static bool must_wake_loop(const struct vfui_conn *conn)
{
	return conn->is_armed && (conn->is_ready || conn->is_put_off ||
				  vfui_conn_unsent(conn) > 0 || conn->pending.nwaiting > 0);
}

/* A complete message, or the end, is here. */
static bool is_buffered(struct vfui_conn *conn)
{
	return vfui_in_is_ready(&conn->main.in) || conn->ending != NULL ||
	       (conn->twin != NULL && vfui_in_is_ready(&conn->twin->in));
}

void vfui_conn_drop_role(struct vfui_conn *conn)
{
	bool wake;

	if (atomic_load_explicit(&conn->status, memory_order_relaxed) != 0)
		vfui_conn_end_pending(conn);
	vfui_os_lock(&conn->lock);
	vfui_conn_settle(conn);
	vfui_conn_flush_locked(conn);
	vfui_conn_end_batch(conn);
	vfui_conn_count_in(conn);
	conn->is_ready = is_buffered(conn);
	atomic_store_explicit(&conn->is_reading, false, memory_order_release);
	wake = must_wake_loop(conn);
	conn->is_put_off = false;
	if (atomic_load(&conn->sleepers) > 0) {
		atomic_fetch_add(&conn->events, 1);
		vfui_os_cond_broadcast(&conn->cond);
	}
	vfui_conn_unlock(conn);
	if (wake)
		vfui_conn_poke(conn);
}

/* ---- commands ---- */

/* Who owns the connection may know commands that the table lacks. */
static bool is_known(struct vfui_conn *conn, struct vfui_msg *msg)
{
	if (msg->info == NULL && conn->ops->knows != NULL &&
	    conn->ops->knows(conn->ctx, msg->hdr.command))
		msg->info = &vfui_message_unknown;
	return msg->info != NULL;
}

/* A message that is always answered says that it wants no reply (E68). */
static bool is_odd_post(const struct vfui_msg *msg)
{
	return (msg->hdr.flags & VFU_WIRE_HEADER_NO_REPLY) != 0 && msg->info != NULL &&
	       !msg->info->post;
}

static const char odd_post[] = "header.flags: no_reply is for messages that may be posted";

/* The same of a command whose flags are not those of its kind. */
VFUI_APART static int why_odd(struct vfui_conn *conn, const struct vfui_msg *msg)
{
	const struct vfui_policy *policy = &conn->options.policy;
	uint32_t known = VFU_WIRE_HEADER_TYPE_MASK | VFU_WIRE_HEADER_NO_REPLY;

	if ((msg->hdr.flags & ~known) != 0 && policy->unknown_flags == VFUI_UNKNOWN_FLAGS_REJECT)
		return -EINVAL;
	if (!is_odd_post(msg))
		return 0;
	if (policy->no_reply == VFUI_NO_REPLY_REFUSE)
		return -EINVAL;
	vfui_log(&conn->options.log, VFU_LOG_WARN, "%s: %s; it is done, and not answered",
		 vfui_msg_label(&msg->hdr).text, odd_post);
	return 0;
}

/* The peer may send such commands, and on this socket. */
static inline bool is_for(struct vfui_conn *conn, const struct vfui_chan *chan,
			  const struct vfui_message *info)
{
	uint8_t from = conn->is_server ? VFUI_FROM_CLIENT : VFUI_FROM_SERVER;

	return info->from == from && chan == conn->serve_by;
}

/* Why a command with a sound header is refused without asking anybody: 0 or -errno. */
static VFUI_INLINE int why_refused(struct vfui_conn *conn, const struct vfui_chan *chan,
				   struct vfui_msg *msg)
{
	const struct vfui_policy *policy = &conn->options.policy;
	uint32_t odd = msg->hdr.flags & ~VFU_WIRE_HEADER_TYPE_MASK;

	if (!is_known(conn, msg) || !is_for(conn, chan, msg->info))
		return policy->unknown_command == VFUI_UNKNOWN_COMMAND_EINVAL ? -EINVAL : -ENOSYS;
	if (odd != 0 && (odd != VFU_WIRE_HEADER_NO_REPLY || !msg->info->post))
		return why_odd(conn, msg);
	return 0;
}

VFUI_APART static void refuse(struct vfui_conn *conn, struct vfui_chan *chan,
			      const struct vfui_msg *msg, int error)
{
	if (conn->ops->stranger != NULL && conn->ops->stranger(conn->ctx, conn, msg))
		return;
	vfui_log(&conn->options.log, VFU_LOG_WARN, "%s (flags 0x%x) refused: %s%s%s",
		 vfui_msg_label(&msg->hdr).text, msg->hdr.flags, strerror(-error),
		 is_odd_post(msg) ? "; " : "", is_odd_post(msg) ? odd_post : "");
	vfui_conn_count_drop(conn);
	vfui_conn_refuse(conn, chan, &msg->hdr, error);
}

/* The owner may take his time for the command. */
VFUI_APART static void tell_news(struct vfui_conn *conn)
{
	vfui_os_lock(&conn->lock);
	vfui_conn_settle(conn);
	vfui_os_unlock(&conn->lock);
}

static VFUI_INLINE void handle_command(struct vfui_conn *conn, struct vfui_chan *chan,
				       struct vfui_msg *msg)
{
	int r = why_refused(conn, chan, msg);

	conn->requests_in++;
	if (conn->has_news)
		tell_news(conn);
	if (r == 0)
		conn->ops->command(conn->ctx, conn, msg);
	else
		refuse(conn, chan, msg, r);
}

/* ---- replies ---- */

/* The peer's answer as a status: an error without a number is EIO (E26). */
static int reply_status(const struct vfu_wire_header *hdr)
{
	if ((hdr->flags & VFU_WIRE_HEADER_ERROR) == 0)
		return 0;
	return hdr->error == 0 || hdr->error > 4095 ? -EIO : -(int)hdr->error;
}

/* Copies what the sink is for, unless it was received there. -ECANCELED: it was taken away. */
static int fill_sink(const struct vfui_pend *pend, const struct vfui_msg *msg)
{
	if (pend->sink == NULL)
		return pend->sink_len > 0 ? -ECANCELED : 0;
	if (msg->placed == 0 && msg->len > pend->sink_skip)
		memcpy(pend->sink, msg->payload + pend->sink_skip,
		       vfui_min(msg->len - pend->sink_skip, pend->sink_len));
	return 0;
}

/* More descriptors than it was told that we take. They are closed with the message. */
VFUI_APART static int refuse_fds(struct vfui_conn *conn, const struct vfui_msg *msg)
{
	return vfui_conn_violation(
		conn,
		"%s.fds: a reply with %u descriptors breaks the rule: is at most "
		"max_msg_fds, which is %u",
		msg->info->name, msg->nfds, (unsigned)conn->mine.max_msg_fds);
}

/* Ends a request that was answered. The lock is not held, and it is not in the table any more. */
static int finish(struct vfui_conn *conn, const struct vfui_pend *pend, struct vfui_msg *msg)
{
	struct vfui_fault fault = {0};
	int status = reply_status(&msg->hdr);
	int r = 1;

	if (msg->nfds > conn->mine.max_msg_fds) {
		status = r = refuse_fds(conn, msg);
	} else if (status == 0) {
		if (pend->info->check_reply(msg->payload, msg->len, msg->nfds, &conn->mine,
					    &conn->options.policy, pend->request, &fault) < 0) {
			r = vfui_conn_violation_at(conn, &fault);
			status = -EPROTO;
		} else {
			status = fill_sink(pend, msg);
		}
	}
	tell_end(&pend->end, status, msg);
	return r;
}

/* A reply that matches no request. Some servers answer posted ones (E27): they may go on. */
static int handle_stray(struct vfui_conn *conn, const struct vfui_msg *msg)
{
	bool is_broken;

	if (conn->ops->stranger != NULL && conn->ops->stranger(conn->ctx, conn, msg))
		return 1;
	vfui_log(&conn->options.log, VFU_LOG_WARN, "reply to %s, which was not sent",
		 vfui_msg_label(&msg->hdr).text);
	vfui_conn_count_drop(conn);
	if (msg->hdr.id == VFUI_PEND_POSTED)
		return 1;
	vfui_os_lock(&conn->lock);
	conn->stray = msg->hdr;
	is_broken = ++conn->strays > STRAYS_MAX;
	vfui_os_unlock(&conn->lock);
	if (is_broken)
		return vfui_conn_violation(conn, "too many replies that nobody asked for");
	return 1;
}

VFUI_APART static int handle_reply(struct vfui_conn *conn, const struct vfui_chan *chan,
				   struct vfui_msg *msg)
{
	struct vfui_pend *pend;
	int r = 1;

	vfui_os_lock(&conn->lock);
	vfui_conn_settle(conn);
	conn->stats->replies_in++;
	pend = vfui_pend_find(&conn->pending, msg->hdr.id);
	if (pend == NULL || pend->command != msg->hdr.command || chan != conn->ask_by) {
		vfui_os_unlock(&conn->lock);
		return handle_stray(conn, msg);
	}
	conn->is_direct = false;
	vfui_pend_take(&conn->pending, pend);
	if (pend->is_reserved)
		conn->stats->late_replies++;
	vfui_os_unlock(&conn->lock);
	msg->info = pend->info;
	if (!pend->is_reserved)
		r = finish(conn, pend, msg);
	/* Also of a late one: somebody may wait for it before the next is sent (E70). */
	vfui_list_push(&conn->spent, &pend->node);
	conn->has_news = true;
	return r;
}

/*
 * The rest of this reply belongs in its request's sink: that wants it, it fits, and what is here of it keeps all
 * rules. Else it is received as any other, and refused whole.
 */
static bool is_for_sink(struct vfui_conn *conn, const struct vfui_pend *pend,
			const struct vfu_wire_header *hdr)
{
	const struct vfui_buf *buf = &conn->ask_by->in.block->buf;
	size_t len = hdr->size - sizeof(*hdr);

	return pend != NULL && !pend->is_reserved && pend->sink != NULL &&
	       pend->command == hdr->command && len >= pend->sink_skip &&
	       len - pend->sink_skip <= pend->sink_len &&
	       pend->sink_skip >= pend->info->reply_size &&
	       vfui_buf_len(buf) >= sizeof(*hdr) + pend->sink_skip &&
	       pend->info->check_reply(buf->data + buf->start + sizeof(*hdr), len, 0, &conn->mine,
				       &conn->options.policy, pend->request, NULL) >= 0;
}

/* Has the rest of a large reply received where its request wants it. */
static void try_direct(struct vfui_conn *conn, struct vfui_chan *chan,
		       const struct vfu_wire_header *hdr)
{
	struct vfui_pend *pend;

	if (chan != conn->ask_by || chan->in.is_direct || vfui_in_is_ready(&chan->in) ||
	    chan->in.nmarks > 0 || (hdr->flags & VFU_WIRE_HEADER_ERROR) != 0)
		return;
	vfui_os_lock(&conn->lock);
	pend = vfui_pend_find(&conn->pending, hdr->id);
	if (is_for_sink(conn, pend, hdr) &&
	    vfui_in_set_direct(&chan->in, pend->sink_skip, pend->sink)) {
		conn->is_direct = true;
		conn->direct_id = hdr->id;
	}
	vfui_os_unlock(&conn->lock);
}

/* ---- any message ---- */

/* The fixed part of a command that is arriving, if that is here and nothing speaks against it so far. */
static bool head_of(struct vfui_conn *conn, const struct vfui_chan *chan, struct vfui_msg *msg)
{
	const struct vfui_buf *buf = &chan->in.block->buf;
	size_t fixed;

	msg->info = vfui_message(msg->hdr.command);
	if (msg->info == NULL || !is_for(conn, chan, msg->info) || chan->in.nmarks > 0 ||
	    (msg->hdr.flags & ~(uint32_t)VFU_WIRE_HEADER_NO_REPLY) != 0)
		return false;
	fixed = sizeof(msg->hdr) + msg->info->request_size;
	if (msg->hdr.size < fixed || vfui_buf_len(buf) < fixed)
		return false;
	msg->payload = buf->data + buf->start + sizeof(msg->hdr);
	msg->len = msg->hdr.size - sizeof(msg->hdr);
	msg->placed = msg->hdr.size - fixed;
	msg->nfds = 0;
	return true;
}

/* Has the rest of a large command received where it belongs. */
static void place_rest(struct vfui_conn *conn, struct vfui_chan *chan,
		       const struct vfu_wire_header *hdr)
{
	struct vfui_msg msg = {.hdr = *hdr};
	void *sink;

	if (conn->ops->sink == NULL || chan->in.is_direct || vfui_in_is_ready(&chan->in) ||
	    !head_of(conn, chan, &msg))
		return;
	sink = conn->ops->sink(conn->ctx, conn, &msg);
	if (sink != NULL)
		vfui_in_set_direct(&chan->in, msg.info->request_size, sink);
}

static bool is_reply(const struct vfu_wire_header *hdr)
{
	return (hdr->flags & VFU_WIRE_HEADER_TYPE_MASK) == VFU_WIRE_HEADER_TYPE_REPLY;
}

/* Headers after which the stream cannot be trusted (E28, E54). */
static VFUI_INLINE int check_header(struct vfui_conn *conn, const struct vfu_wire_header *hdr)
{
	uint64_t max = conn->mine.max_data_xfer_size;

	if ((hdr->flags & VFU_WIRE_HEADER_TYPE_MASK) > VFU_WIRE_HEADER_TYPE_REPLY)
		return vfui_conn_violation(conn, "message type %u",
					   hdr->flags & VFU_WIRE_HEADER_TYPE_MASK);
	if (hdr->size < sizeof(*hdr))
		return vfui_conn_violation(conn, "message of %u bytes, less than a header",
					   hdr->size);
	if (hdr->size <= VFUI_IN_BLOCK)
		return 0;
	if (is_reply(hdr) && conn->peers.max_data_xfer_size > max)
		max = conn->peers.max_data_xfer_size;
	if (hdr->size > max + VFUI_IN_BLOCK)
		return vfui_conn_violation(conn, "message of %u bytes, more than allowed",
					   hdr->size);
	return 0;
}

VFUI_APART static void trace_got(struct vfui_conn *conn, const struct vfui_msg *msg)
{
	struct iovec payload = {(void *)(uintptr_t)msg->payload, msg->len - msg->placed};

	vfui_trace(&conn->options.log, conn->options.set.values[VFU_OPT_TRACE] > 1, "got",
		   &msg->hdr, &payload, 1, msg->nfds);
}

VFUI_APART static void place_large(struct vfui_conn *conn, struct vfui_chan *chan,
				   const struct vfu_wire_header *hdr)
{
	if (is_reply(hdr))
		try_direct(conn, chan, hdr);
	else
		place_rest(conn, chan, hdr);
}

/* The next message of one socket: as vfui_conn_handle_one. */
static VFUI_INLINE int handle_from(struct vfui_conn *conn, struct vfui_chan *chan)
{
	struct vfui_in_msg m;
	int r;

	if (!vfui_in_head(&chan->in, &m.msg.hdr))
		return 0;
	r = check_header(conn, &m.msg.hdr);
	if (r < 0)
		return r;
	if (m.msg.hdr.size >= DIRECT)
		place_large(conn, chan, &m.msg.hdr);
	if (!vfui_in_take(&chan->in, &m))
		return 0;
	if (conn->options.set.values[VFU_OPT_TRACE] != 0)
		trace_got(conn, &m.msg);
	r = 1;
	if (is_reply(&m.msg.hdr))
		r = handle_reply(conn, chan, &m.msg);
	else
		handle_command(conn, chan, &m.msg);
	vfui_in_release(&chan->in, &m);
	return r;
}

/*
 * One of the sockets has ended, and all that was read is handled: reads more that had come by the other. It is shut
 * first, so that this comes to an end, too. 1: there was more.
 */
VFUI_APART static int read_rest(struct vfui_conn *conn)
{
	uint64_t before = conn->main.in.received + conn->twin->in.received;
	int r;

	vfui_os_lock(&conn->lock);
	if (conn->out_status == 0) {
		vfui_conn_flush_locked(conn);
		vfui_conn_end_out(conn, NULL);
	}
	vfui_conn_unlock(conn);
	r = vfui_conn_receive(conn, &conn->main, true);
	if (r >= 0)
		r = vfui_conn_receive(conn, conn->twin, true);
	if (r >= 0 && conn->main.in.received + conn->twin->in.received == before)
		r = vfui_conn_break(conn, -ENOTCONN, conn->ending);
	return r < 0 ? r : 1;
}

/*
 * What lies in the twin socket is older than what was read with it, or after it, from the main one: DMA that was
 * sent before a reply comes before it. Then, if one of them has ended, so does the connection.
 */
VFUI_APART static int handle_either(struct vfui_conn *conn)
{
	int r;

	do {
		r = handle_from(conn, conn->twin);
		if (r == 0)
			r = handle_from(conn, &conn->main);
		if (r != 0 || conn->ending == NULL)
			return r;
		r = read_rest(conn);
	} while (r > 0);
	return r;
}

int vfui_conn_handle_one(struct vfui_conn *conn)
{
	int r = atomic_load_explicit(&conn->status, memory_order_relaxed);

	if (r != 0)
		return r;
	return conn->twin == NULL ? handle_from(conn, &conn->main) : handle_either(conn);
}

/*
 * Who gives up its request while a sink is being filled waits for the end of that (vfui_conn_cancel). Replies come by
 * ask_by: what is filled from the other socket is a command's, and goes on.
 */
VFUI_APART static ssize_t fill(struct vfui_conn *conn, struct vfui_chan *chan, bool dontwait)
{
	ssize_t n;

	vfui_os_lock(&conn->lock);
	conn->is_filling = conn->is_direct && chan == conn->ask_by;
	vfui_os_unlock(&conn->lock);
	n = vfui_in_read(&chan->in, chan->fd, dontwait);
	vfui_os_lock(&conn->lock);
	conn->is_filling = false;
	if (conn->is_left) {
		vfui_in_drop_direct(&chan->in);
		conn->is_direct = conn->is_left = false;
	}
	vfui_os_unlock(&conn->lock);
	vfui_conn_event(conn);
	return n;
}

/* One of two sockets has ended: so does the connection, once what came by the other is handled. */
VFUI_APART static int begin_end(struct vfui_conn *conn, const struct vfui_chan *chan)
{
	struct vfui_chan *other = chan == &conn->main ? conn->twin : &conn->main;

	if (conn->ending != NULL)
		return 1;
	vfui_os_lock(&conn->lock);
	conn->ending = vfui_conn_note_closed(conn, chan);
	vfui_os_unlock(&conn->lock);
	if (vfui_conn_is_full(conn))
		return vfui_conn_break(conn, -ENOTCONN, conn->ending);
	vfui_conn_receive(conn, other, true);
	return 1;
}

int vfui_conn_receive(struct vfui_conn *conn, struct vfui_chan *chan, bool dontwait)
{
	ssize_t n = chan->in.is_direct ? fill(conn, chan, dontwait)
				       : vfui_in_read(&chan->in, chan->fd, dontwait);

	if (n > 0)
		return 1;
	switch (n) {
	case 0:
	case -ECONNRESET:
		if (conn->twin != NULL)
			return begin_end(conn, chan);
		return vfui_conn_break(conn, -ENOTCONN, "the peer closed the connection");
	case -EAGAIN:
		return 0;
	case -EINTR:
		return dontwait ? 0 : -EINTR;
	case -EBADMSG:
		return vfui_conn_violation(conn, "more descriptors in a message than may be");
	case -EPROTO:
		return vfui_conn_violation(conn, "descriptors strewn over a message");
	default:
		return vfui_conn_break(conn, (int)n, strerror((int)-n));
	}
}

int vfui_conn_receive_all(struct vfui_conn *conn)
{
	int r = vfui_conn_receive(conn, &conn->main, true), of_twin;

	if (conn->twin == NULL || r < 0 || conn->ending != NULL)
		return r;
	of_twin = vfui_conn_receive(conn, conn->twin, true);
	return of_twin != 0 ? of_twin : r;
}
