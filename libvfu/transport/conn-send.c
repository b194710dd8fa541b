/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * conn-send.c - requests and replies on their way out.
 *
 * The socket takes what fits; who may block waits for more room: in the send itself, for a peer that reads all in time,
 * else in poll, which sees when the peer waits for us to read. A message goes one of these ways:
 *
 *	small                       --> copied to the queue, which is sent: at once, or if it is of the
 *	                                thread that reads, when that is large or old, and before the
 *	                                thread sleeps or gives the role up
 *	large, or with descriptors  --> alone: behind what is queued, from where it lies
 *	                                      | the socket does not take all of it
 *	    the caller may block  ------------+--> patience: as long as the peer reads on
 *	    it may not, or no more  ----------+--> the rest is copied to the queue
 *	    memory of it is lent    ----------+--> and that stays where it is, until the socket has it
 *
 * What was lent is given back without the lock (vfui_conn_unlock), by the thread that sent the last of it, or that reads
 * when the connection has ended. What was not lent may change as soon as the call that sends it returns.
 *
 * A connection with a twin socket (conn.h) has a queue for each; what a message is says which it goes to.
 *
 * The queue is under conn->lock, which patience gives up: a slow peer holds up only who talks to it. Part
 * of a message may be out then (is_sending), so until its end nobody else sends a byte; what they say is
 * queued. Back under the lock anything may have happened: the connection failed, the request was
 * answered. A message that was begun and cannot be ended ends the connection.
 *
 * What stays in the queue is sent by the thread that reads, once the socket has room (conn-wait.c), or by
 * an event loop, which is woken for it; while the reader sleeps in a receive, by the sender (send_rest).
 * Where nobody is sure to stay, vfui_conn_drain waits.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "transport/conn-inside.h"
#include "transport/conn-out.h"
#include "transport/conn-send.h"
#include "transport/sock.h"
#include "transport/trace.h"

/* Larger messages go from where they lie instead of being copied to the queue. */
#define IN_PLACE 16384

/* Replies collected before they are sent. */
#define BATCH_BYTES 65536

/*
 * How long a call that may block waits for the peer to read more of a large message before the rest
 * is copied, and how long in all.
 */
#define PATIENCE_NS (10 * (int64_t)VFUI_MS)
#define PATIENCE_MAX_NS (250 * VFUI_MS)

/*
 * What a send that sleeps is given at most: it may do so for each 32 KiB or so, and each time as long as patience lasts.
 * 1 MiB of data goes in one.
 */
#define ASLEEP ((size_t)5 << 18)

/* More than a socket takes at once. */
#define ALL_AT_ONCE (256u << 10)

/* The message could not be sent for a reason of its own: the connection is none the worse. */
static bool is_harmless(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EBADF ||
	       error == -EMSGSIZE || error == -ETOOMANYREFS;
}

/* Queues a small message, and sends it, but for those of the reading thread, which go together. */
static int send_small(struct vfui_conn *conn, struct vfui_chan *chan,
		      const struct vfu_wire_header *hdr, const struct iovec *iov, unsigned niov,
		      bool is_reader)
{
	uint8_t *place = vfui_outq_extend(&chan->out, hdr->size);
	int r = 0;

	if (place == NULL)
		return -ENOMEM;
	memcpy(place, hdr, sizeof(*hdr));
	place += sizeof(*hdr);
	for (unsigned i = 0; i < niov; i++) {
		if (iov[i].iov_len > 0)
			memcpy(place, iov[i].iov_base, iov[i].iov_len);
		place += iov[i].iov_len;
	}
	/* The reader's own: others do not so much as look at it. */
	if (is_reader)
		conn->has_batch = true;
	if (!is_reader || chan->out.bytes >= BATCH_BYTES)
		r = vfui_conn_flush_locked(conn);
	return r == -EAGAIN ? 0 : r;
}

/* Waits for the peer to read. Not longer than that it sends: then it may wait for us to read. */
static bool is_reading(const struct vfui_conn *conn, const struct vfui_chan *chan)
{
	const struct vfui_chan *other = chan == &conn->main ? conn->twin : &conn->main;
	struct pollfd pfds[2] = {{.fd = chan->fd, .events = POLLIN | POLLOUT},
				 {.fd = other != NULL ? other->fd : -1, .events = POLLIN}};

	return vfui_os_poll(pfds, 2, PATIENCE_NS) > 0 && pfds[0].revents == POLLOUT &&
	       pfds[1].revents == 0;
}

/*
 * Whether a send may sleep for the peer to read: half as many calls, but it does not see that the peer sends. With
 * two sockets it would look at neither.
 */
static bool may_send_asleep(struct vfui_conn *conn, const struct vfui_rest *rest)
{
	if (conn->is_slow || conn->twin != NULL || rest->nfds > 0 ||
	    (!rest->is_begun && conn->main.out.bytes > 0))
		return false;
	if (!conn->has_send_timeout)
		conn->has_send_timeout =
			vfui_sock_set_send_timeout(conn->main.fd, PATIENCE_NS / (int64_t)VFUI_MS) ==
			0;
	return conn->has_send_timeout;
}

/* Sends more of a message, or begins it. 0: the peer sends. */
static ssize_t send_asleep(const struct vfui_conn *conn, const struct vfui_rest *rest)
{
	struct pollfd pfd = {.fd = conn->main.fd, .events = POLLIN};
	struct iovec iov[VFUI_OUT_IOV];
	unsigned niov = 0;

	for (size_t len = 0; niov < rest->niov && len < ASLEEP; len += iov[niov++].iov_len)
		iov[niov] = (struct iovec){rest->iov[niov].iov_base,
					   vfui_min(rest->iov[niov].iov_len, ASLEEP - len)};
	return vfui_os_poll(&pfd, 1, 0) == 0 ? vfui_sock_send_wait(conn->main.fd, iov, niov) : 0;
}

/*
 * Goes on sending a large message from where it lies while the peer reads. The lock is given up
 * meanwhile. 0, -EAGAIN: what is left is to be queued, or why nothing can be sent any more.
 */
static int send_patiently(struct vfui_conn *conn, struct vfui_chan *chan, struct vfui_rest *rest)
{
	uint64_t until = vfui_os_now() + PATIENCE_MAX_NS;
	int r = -EAGAIN;

	while (r == -EAGAIN && !chan->is_sending && vfui_os_now() < until) {
		bool is_asleep = may_send_asleep(conn, rest);
		bool is_ours = is_asleep || rest->is_begun;
		ssize_t n;

		chan->is_sending = is_ours;
		vfui_os_unlock(&conn->lock);
		n = is_asleep ? send_asleep(conn, rest) : is_reading(conn, chan);
		vfui_os_lock(&conn->lock);
		chan->is_sending = chan->is_sending && !is_ours;
		if (conn->out_status != 0)
			return conn->out_status;
		if (n == 0)
			break;
		if (is_asleep)
			r = vfui_outq_sent(&chan->out, rest, n);
		else if (!chan->is_sending)
			r = vfui_outq_send(&chan->out, chan->fd, rest);
		/* It may wait for us to read: from now on we look. */
		conn->is_slow |= is_asleep && r == -EAGAIN && n < (ssize_t)ASLEEP;
	}
	return r;
}

/* Sends a message by itself, from where it lies, or queues it. */
VFUI_APART static int send_alone(struct vfui_conn *conn, struct vfui_chan *chan,
				 struct vfu_wire_header *hdr, const struct iovec *iov,
				 unsigned niov, const int *fds, unsigned nfds, bool may_block,
				 struct vfui_lent *lent)
{
	struct vfui_rest rest = {.iov = {{hdr, sizeof(*hdr)}},
				 .niov = niov + 1,
				 .fds = fds,
				 .nfds = nfds,
				 .lent = lent};
	int r = -EAGAIN;

	if (niov >= VFUI_OUT_IOV)
		return -EMSGSIZE;
	if (niov > 0)
		memcpy(rest.iov + 1, iov, niov * sizeof(*iov));
	/* What fits at once; but what cannot is better sent in one go. */
	if (!chan->is_sending &&
	    !(may_block && hdr->size >= ALL_AT_ONCE && may_send_asleep(conn, &rest)))
		r = vfui_outq_send(&chan->out, chan->fd, &rest);
	if (r == -EAGAIN && may_block)
		r = send_patiently(conn, chan, &rest);
	/* What others have queued meanwhile. */
	if (r == 0 && chan->out.bytes > 0)
		vfui_conn_flush_locked(conn);
	if (r == -EAGAIN) {
		r = vfui_outq_push(&chan->out, &rest);
		if (r < 0 && rest.is_begun)
			r = -ECONNABORTED;
	}
	if (chan == conn->twin)
		vfui_conn_count_twin(conn);
	vfui_conn_account(conn);
	return r < 0 && !is_harmless(r) ? vfui_conn_end_out(conn, chan) : r;
}

/* Sends or queues one message. The lock is held. */
static int transmit(struct vfui_conn *conn, struct vfui_chan *chan, struct vfu_wire_header *hdr,
		    const struct iovec *iov, unsigned niov, const int *fds, unsigned nfds,
		    bool is_reader, bool may_block, struct vfui_lent *lent)
{
	if (conn->out_status != 0)
		return conn->out_status;
	if (nfds == 0 && hdr->size < IN_PLACE)
		return send_small(conn, chan, hdr, iov, niov, is_reader);
	return send_alone(conn, chan, hdr, iov, niov, fds, nfds, may_block, lent);
}

/* No lock is held. What a peer sends back may already have been seen on another thread. */
static void trace_sent(struct vfui_conn *conn, const struct vfu_wire_header *hdr,
		       const struct iovec *iov, unsigned niov, unsigned nfds)
{
	if (conn->options.set.values[VFU_OPT_TRACE] != 0)
		vfui_trace(&conn->options.log, conn->options.set.values[VFU_OPT_TRACE] > 1, "sent",
			   hdr, iov, niov, nfds);
}

static uint32_t message_size(const struct iovec *iov, unsigned niov)
{
	uint32_t size = sizeof(struct vfu_wire_header);

	for (unsigned i = 0; i < niov; i++)
		size += (uint32_t)iov[i].iov_len;
	return size;
}

/*
 * The reader sleeps in a receive, which nothing but the peer can end: send what is left ourselves.
 */
static void send_rest(struct vfui_conn *conn)
{
	struct pollfd pfd = {.fd = conn->main.fd, .events = POLLOUT};

	while (conn->main.out.bytes > 0 && !conn->main.is_sending &&
	       atomic_load(&conn->sleeping) == VFUI_IN_RECV) {
		vfui_os_unlock(&conn->lock);
		vfui_os_poll(&pfd, 1, PATIENCE_NS);
		vfui_os_lock(&conn->lock);
		vfui_conn_flush_locked(conn);
	}
}

VFUI_APART static void wake_and_unlock(struct vfui_conn *conn, bool is_earlier)
{
	bool wake = false;

	send_rest(conn);
	if (vfui_conn_unsent(conn) > 0 || is_earlier || conn->is_ready)
		wake = atomic_load(&conn->is_reading) ? atomic_load(&conn->sleeping) == VFUI_IN_POLL
						      : conn->is_armed;
	vfui_conn_unlock(conn);
	if (wake)
		vfui_conn_poke(conn);
}

/*
 * Tells whoever polls of bytes that wait for room in the socket, or of a deadline earlier than
 * those it knew. Not the reader's. Gives back the lock.
 */
static inline void notify_and_unlock(struct vfui_conn *conn, bool is_earlier)
{
	conn->gather.is_untold = false;
	if (vfui_conn_unsent(conn) > 0 || is_earlier || conn->is_ready)
		wake_and_unlock(conn, is_earlier);
	else
		vfui_conn_unlock(conn);
}

/* ---- replies ---- */

static int send_reply(struct vfui_conn *conn, struct vfui_chan *chan,
		      const struct vfu_wire_header *request, int status, const struct iovec *iov,
		      unsigned niov, const int *fds, unsigned nfds, struct vfui_lent *lent)
{
	struct vfu_wire_header hdr = {.id = request->id,
				      .command = request->command,
				      .size = message_size(iov, niov),
				      .flags = VFU_WIRE_HEADER_TYPE_REPLY};
	bool is_reader = vfui_conn_has_role(conn);
	int r;

	if (status < 0) {
		hdr.flags |= VFU_WIRE_HEADER_ERROR;
		hdr.error = (uint32_t)-status;
	}
	vfui_os_lock(&conn->lock);
	r = transmit(conn, chan, &hdr, iov, niov, fds, nfds, is_reader,
		     is_reader && conn->may_block, lent);
	if (r == 0)
		conn->stats->replies_out++;
	if (is_reader)
		vfui_conn_unlock(conn);
	else
		notify_and_unlock(conn, false);
	/* What was lent may have been given back already. */
	if (r == 0)
		trace_sent(conn, &hdr, iov, niov - (lent != NULL && lent->is_taken), nfds);
	return r;
}

/* The peer waits for an answer: the reason why it does not get the real one is one. */
VFUI_APART static int send_reason(struct vfui_conn *conn, struct vfui_chan *chan,
				  const struct vfu_wire_header *request, int reason)
{
	if (send_reply(conn, chan, request, reason, NULL, 0, NULL, 0, NULL) != 0)
		vfui_conn_break(conn, reason, "a reply could not be sent");
	return reason;
}

int vfui_conn_reply_lent(struct vfui_conn *conn, const struct vfu_wire_header *request,
			 const struct iovec *iov, unsigned niov, struct vfui_lent *lent)
{
	struct vfui_chan *chan = conn->serve_by;
	int r = 0;

	if (vfui_conn_is_child(conn))
		return -EOWNERDEAD;
	lent->is_taken = false;
	if ((request->flags & VFU_WIRE_HEADER_NO_REPLY) == 0) {
		r = send_reply(conn, chan, request, 0, iov, niov, NULL, 0, lent);
		if (r != 0 && r != -ENOTCONN)
			send_reason(conn, chan, request, r);
	}
	if (!lent->is_taken && lent->release != NULL)
		lent->release(lent->user, lent->data);
	return r;
}

int vfui_conn_reply(struct vfui_conn *conn, const struct vfu_wire_header *request, int status,
		    const struct iovec *iov, int niov, const int *fds, unsigned nfds)
{
	struct vfui_chan *chan = conn->serve_by;
	int r;

	if (vfui_conn_is_child(conn))
		return -EOWNERDEAD;
	if ((request->flags & VFU_WIRE_HEADER_NO_REPLY) != 0)
		return 0;
	if (status < 0)
		r = send_reply(conn, chan, request, status, NULL, 0, NULL, 0, NULL);
	else
		r = send_reply(conn, chan, request, 0, iov, (unsigned)niov, fds, nfds, NULL);
	return r == 0 || r == -ENOTCONN ? r : send_reason(conn, chan, request, r);
}

void vfui_conn_refuse(struct vfui_conn *conn, struct vfui_chan *chan,
		      const struct vfu_wire_header *request, int error)
{
	int r = 0;

	if ((request->flags & VFU_WIRE_HEADER_NO_REPLY) == 0)
		r = send_reply(conn, chan, request, error, NULL, 0, NULL, 0, NULL);
	if (r != 0 && r != -ENOTCONN)
		send_reason(conn, chan, request, r);
}

/* ---- requests ---- */

/* Keeps what the reply will be checked against and where it goes. */
static void fill_pending(const struct vfui_conn *conn, struct vfui_pend *pend,
			 const struct vfui_message *info, const struct vfui_out *out)
{
	pend->info = info;
	pend->command = (uint16_t)out->command;
	if (out->end != NULL)
		pend->end = *out->end;
	else
		pend->end = (struct vfui_end){.done = out->done, .user = out->user};
	/* Rises with each request, of all connections that share the counters. */
	pend->tag = out->end != NULL ? conn->stats->requests_out + 1 : 0;
	pend->sink = out->sink;
	pend->sink_skip = out->sink_skip;
	pend->sink_len = out->sink != NULL ? out->sink_len : 0;
	if (out->niov > 0 && out->iov[0].iov_len > 0)
		memcpy(pend->request, out->iov[0].iov_base,
		       vfui_min(info->request_size, out->iov[0].iov_len));
}

/* Milliseconds, 0: none. */
static inline uint64_t timeout_of(const struct vfui_conn *conn, const struct vfui_out *out)
{
	return out->timeout_ms < 0 ? conn->options.set.values[VFU_OPT_TIMEOUT_MS]
				   : (uint64_t)out->timeout_ms;
}

/* A pending entry for the request, unless it wants no reply. The lock is held. */
static int add_pending(struct vfui_conn *conn, const struct vfui_message *info,
		       const struct vfui_out *out, struct vfui_pend **pend)
{
	uint64_t timeout = timeout_of(conn, out);
	int error;

	*pend = NULL;
	if (out->no_reply)
		return 0;
	if (!vfui_conn_may_ask(conn))
		return -ENOBUFS;
	*pend = vfui_pend_add(&conn->pending,
			      vfui_clock_deadline(&conn->options.clock,
						  timeout == 0 ? -1 : (int64_t)timeout),
			      &error);
	if (*pend == NULL)
		return error;
	fill_pending(conn, *pend, info, out);
	return 0;
}

int vfui_conn_may_send(struct vfui_conn *conn, size_t size)
{
	uint64_t max = conn->options.set.values[VFU_OPT_QUEUE_BYTES];

	if (conn->status != 0 || conn->out_status != 0)
		return -ENOTCONN;
	if (vfui_conn_is_answer_awaited(conn))
		return -ENOBUFS;
	if (vfui_conn_unsent(conn) == 0) {
		conn->oversize = size > max ? size : 0;
		return 0;
	}
	return vfui_conn_unsent(conn) + size > max ? -ENOBUFS : 0;
}

/*
 * A request that could not be sent is none, unless it has ended already: while a large one is being
 * sent the lock is not held, and the connection may fail, or the peer answer too early.
 */
static int take_back(struct vfui_conn *conn, uint16_t id, int error)
{
	struct vfui_pend *pend = vfui_pend_find(&conn->pending, id);

	if (pend == NULL || pend->is_reserved)
		return 0;
	vfui_pend_remove(&conn->pending, pend);
	return error;
}

static int submit_locked(struct vfui_conn *conn, const struct vfui_out *out, bool is_reader,
			 bool is_waiter, struct vfu_wire_header *hdr, uint64_t *name)
{
	const struct vfui_message *info = vfui_message(out->command);
	unsigned niov = (unsigned)out->niov;
	struct vfui_pend *pend = NULL;
	int r;

	if (niov >= VFUI_OUT_IOV)
		return -EINVAL;
	if (info == NULL)
		info = &vfui_message_unknown;
	*hdr = (struct vfu_wire_header){.command = (uint16_t)out->command,
					.size = message_size(out->iov, niov)};
	r = vfui_conn_may_send(conn, hdr->size);
	if (r == 0)
		r = add_pending(conn, info, out, &pend);
	if (r == -ENOBUFS)
		conn->is_room_awaited = true;
	if (r < 0)
		return r;
	hdr->id = pend != NULL ? pend->id : VFUI_PEND_POSTED;
	hdr->flags = pend != NULL ? 0 : VFU_WIRE_HEADER_NO_REPLY;
	*name = pend != NULL ? vfui_pend_name(pend) : 0;
	r = transmit(conn, conn->ask_by, hdr, out->iov, niov, out->fds, out->nfds, is_reader,
		     is_waiter || (is_reader && conn->may_block), NULL);
	if (r == 0)
		conn->stats->requests_out++;
	else if (!out->no_reply)
		r = take_back(conn, hdr->id, r);
	return r;
}

int vfui_conn_send_and_unlock(struct vfui_conn *conn)
{
	int r = vfui_conn_flush_locked(conn);

	if (vfui_conn_has_role(conn))
		vfui_conn_unlock(conn);
	else
		notify_and_unlock(conn, false);
	return r == -EAGAIN ? 0 : r;
}

int vfui_conn_send_queue(struct vfui_conn *conn)
{
	if (vfui_conn_is_child(conn))
		return -EOWNERDEAD;
	vfui_os_lock(&conn->lock);
	return vfui_conn_send_and_unlock(conn);
}

/* Its deadline is earlier than those that whoever sleeps knows of. */
static bool is_first(const struct vfui_conn *conn, uint16_t id)
{
	const struct vfui_pend *first = vfui_pend_first(&conn->pending);

	return first != NULL && first->id == id;
}

/*
 * Takes the reader role with a request, if it is free. If the request is all there is to wait for, the thread is going to
 * sleep in a receive, and says so while it has the lock. With the lock.
 */
static bool take_role(struct vfui_conn *conn, uint64_t timeout_ms)
{
	bool is_alone = conn->pending.nwaiting == 1 && !conn->is_ready &&
			!vfui_conn_is_full(conn) && conn->main.out.bytes == 0 && conn->twin == NULL;
	bool is_long = timeout_ms == 0 || timeout_ms >= VFUI_LONG_NS / VFUI_MS;

	if (!vfui_conn_take_role_locked(conn, false))
		return false;
	if (is_alone && is_long && conn->has_recv_timeout &&
	    conn->options.set.values[VFU_OPT_BUSY_POLL_US] == 0)
		atomic_store_explicit(&conn->sleeping, VFUI_IN_RECV, memory_order_release);
	return true;
}

int vfui_conn_submit(struct vfui_conn *conn, const struct vfui_out *out, bool *takes_role,
		     uint64_t *name)
{
	bool is_waiter = takes_role != NULL, is_reader, is_earlier;
	struct vfu_wire_header hdr;
	int r;

	if (vfui_conn_is_child(conn))
		return -EOWNERDEAD;
	is_reader = vfui_conn_has_role(conn);
	vfui_os_lock(&conn->lock);
	r = submit_locked(conn, out, is_reader, is_waiter, &hdr, name);
	if (is_waiter && !is_reader && r == 0)
		is_reader = *takes_role = take_role(conn, timeout_of(conn, out));
	if (is_reader) {
		vfui_conn_unlock(conn);
		conn->ask_by->in.expects_large |= out->sink_len > VFUI_IN_BLOCK;
	} else {
		is_earlier = r == 0 && !out->no_reply && !is_waiter && is_first(conn, hdr.id);
		notify_and_unlock(conn, is_earlier);
	}
	if (r == 0)
		trace_sent(conn, &hdr, out->iov, (unsigned)out->niov, out->nfds);
	return r;
}

int vfui_conn_send(struct vfui_conn *conn, const struct vfui_out *out)
{
	uint64_t name;

	return vfui_conn_start(conn, out, &name);
}

int vfui_conn_start(struct vfui_conn *conn, const struct vfui_out *out, uint64_t *name)
{
	return vfui_conn_submit(conn, out, NULL, name);
}
