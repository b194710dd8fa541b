/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-message.c - sends what ops have to send, and takes the answers.
 *
 *     unsent:  [ op 7 ]--[ op 8 ]--[ op 9 ]
 *                 | cut_chunk: at a map's end, at max_data_xfer_size, at the bytes of reads allowed
 *                 v
 *     window:  [ chunk of 5 ][ chunk of 7 ][ chunk of 7 ][ free ]    dma->chunks, made once a connection
 *                 |
 *                 v reply, of any chunk in any order: chunk_done frees it, and pumps again
 *
 * One thread at a time pumps: it cuts and sends until the window is full, without the lock while it sends,
 * because the connection's locks come first. One that finds a pump at work sets "again" and goes, so a
 * reply that comes in while we send is seen by the one who sends. Who wants the pump to have ended (the
 * connection goes away), or the buffer of an op not to be sent from (it goes away), waits for "quiet".
 *
 * Ops start in order and their chunks too; replies may overtake. That is order enough among messages, for a
 * client does those of one socket one after the other. What needs none takes effect as soon as it is copied:
 * an op with such parts waits until nothing is in flight, copies them, and then sends the rest. A full socket (-ENOBUFS) is no failure as
 * long as something is in flight: its reply pumps again. An op whose map went away is cancelled here.
 */
#include "device/dma-message.h"

#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "device/dma-table.h"
#include "transport/conn.h"
#include "parts-dma.h"

struct vfui_dma_chunk {
	struct vfui_dma_chunk *next_free;
	struct vfui_dma *dma;
	struct vfui_dma_op *op;
	size_t offset, len;
	uint64_t seq; /* the last op that was started before this was sent */
};

/* DMA_READ and DMA_WRITE begin alike, and so do their replies. */
struct head {
	uint64_t address, count;
};

_Static_assert(sizeof(struct head) == sizeof(struct vfu_wire_dma_read_request),
	       "one head for both");
_Static_assert(sizeof(struct head) == sizeof(struct vfu_wire_dma_write_request),
	       "one head for both");

int vfui_dma_messages_open(struct vfui_dma *dma, struct vfui_conn *conn,
			   const struct vfui_dma_limits *limits)
{
	struct vfui_dma_chunk *chunks;

	if (!conn || !limits->max_xfer || !limits->window || !limits->read_bytes)
		return -EINVAL;
	if (dma->conn || dma->inflight)
		return -EBUSY;
	chunks = vfui_os_calloc(limits->window, sizeof(*chunks));
	if (!chunks)
		return -ENOMEM;
	for (uint32_t i = 0; i < limits->window; i++) {
		chunks[i].dma = dma;
		chunks[i].next_free = i ? &chunks[i - 1] : NULL;
	}
	vfui_os_lock(&dma->lock);
	vfui_os_free(dma->chunks);
	dma->chunks = chunks;
	dma->free_chunks = &chunks[limits->window - 1];
	if (limits->account)
		vfui_account_ref(limits->account);
	vfui_account_unref(dma->limits.account);
	dma->limits = *limits;
	dma->conn = conn;
	vfui_os_unlock(&dma->lock);
	return 0;
}

void vfui_dma_messages_close(struct vfui_dma *dma)
{
	vfui_os_lock(&dma->lock);
	dma->conn = NULL;
	dma->awaiting++;
	while (dma->pumping)
		vfui_os_cond_wait(&dma->quiet, &dma->lock, -1);
	dma->awaiting--;
	vfui_os_unlock(&dma->lock);
}

/* The buffer of an op was used without the lock, and is no more. Lock held. */
static void busy_no_more(struct vfui_dma *dma)
{
	dma->sending = 0;
	if (dma->awaiting)
		vfui_os_cond_broadcast(&dma->quiet);
}

/* ---- chunks ------------------------------------------------------------------------------------ */

static void put_chunk(struct vfui_dma *dma, struct vfui_dma_chunk *chunk)
{
	if (!chunk->op->what.write)
		dma->read_inflight -= chunk->len;
	dma->inflight--;
	chunk->op->inflight--;
	chunk->op = NULL;
	chunk->next_free = dma->free_chunks;
	dma->free_chunks = chunk;
}

/* The next message of an op, cut to what the limits allow; NULL: none fits now. Lock held. */
static struct vfui_dma_chunk *cut_chunk(struct vfui_dma *dma, struct vfui_dma_op *op, uint64_t len)
{
	struct vfui_dma_chunk *chunk = dma->free_chunks;

	if (len > dma->limits.max_xfer)
		len = dma->limits.max_xfer;
	if (!op->what.write && len > dma->limits.read_bytes)
		len = dma->limits.read_bytes;
	if (!chunk || (!op->what.write && dma->read_inflight &&
		       dma->read_inflight + len > dma->limits.read_bytes))
		return NULL;
	dma->free_chunks = chunk->next_free;
	chunk->op = op;
	chunk->offset = op->next;
	chunk->len = (size_t)len;
	chunk->seq = dma->seq;
	op->next += (size_t)len;
	op->inflight++;
	dma->inflight++;
	if (!op->what.write)
		dma->read_inflight += len;
	return chunk;
}

/* What of an op needs no messages, copied with the lock free; meanwhile it counts as in flight. Lock held. */
static void copy_direct(struct vfui_dma *dma, struct vfui_dma_op *op)
{
	int rc;

	op->has_direct = false;
	op->inflight++;
	dma->sending = op->seq;
	vfui_os_unlock(&dma->lock);
	rc = vfui_dma_copy_direct(dma, &op->what, NULL, true);
	vfui_os_lock(&dma->lock);
	busy_no_more(dma);
	op->inflight--;
	if (!op->status)
		op->status = rc;
}

/* The next message of all ops, in the order they were started. Lock held. */
static struct vfui_dma_chunk *next_chunk(struct vfui_dma *dma, struct vfui_list *done)
{
	while (!vfui_list_is_empty(&dma->unsent)) {
		struct vfui_dma_op *op =
			vfui_container_of(dma->unsent.next, struct vfui_dma_op, unsent);
		uint32_t needs = op->what.write ? VFU_DMA_WRITE : VFU_DMA_READ;
		uint64_t len;

		if (op->has_direct && !op->status) {
			/* Its turn is when all that was sent is answered: everything before it was. */
			if (dma->inflight)
				return NULL;
			copy_direct(dma, op);
		}
		while (!op->status && (len = vfui_dma_copy_run(&op->what, &op->next))) {
			uint64_t at = op->what.iova + op->next;
			const struct vfui_dma_map *map = vfui_dma_find(dma, at);

			if (!map || !(map->flags & needs)) {
				op->status = -ECANCELED;
				break;
			}
			if (len - 1 > map->range.last - at)
				len = map->range.last - at + 1;
			if (map->memory.kind == VFUI_DMA_MESSAGE)
				return cut_chunk(dma, op, len);
			/* Is copied already. */
			op->next += (size_t)len;
		}
		vfui_list_remove(&op->unsent);
		vfui_dma_op_end(dma, op, done);
	}
	return NULL;
}

/* ---- messages ---------------------------------------------------------------------------------- */

/* How many bytes the peer says it has moved. E1: in a DMA_WRITE reply that has 8, 4 or no bytes. */
static uint64_t count_of(const struct vfui_dma_chunk *chunk, const struct vfui_msg *reply)
{
	struct vfu_wire_dma_write_reply_narrow narrow;
	struct head head = {0};

	if (chunk->op->what.write && vfu_wire_is_dma_write_reply_bare(reply->len))
		return chunk->len;
	if (chunk->op->what.write &&
	    vfu_wire_dma_write_reply_narrow_parse(&narrow, reply->payload, reply->len))
		return narrow.count;
	if (reply->len >= sizeof(head))
		memcpy(&head, reply->payload, sizeof(head));
	return head.count;
}

/* How the peer answered: 0 or negative errno. What our policy takes was checked before. */
static int check_reply(const struct vfui_dma_chunk *chunk, int status, const struct vfui_msg *reply)
{
	if (status < 0 || !reply)
		return status == -ENOTCONN || !status ? -ECANCELED : status;
	/* E2: fewer bytes are an answer, but not what we asked for. */
	return count_of(chunk, reply) == chunk->len ? 0 : -EIO;
}

/*
 * The client has let a message's time pass. What was there when that was sent, and has not begun, has
 * waited as long, and is not to wait for more: a deadline is for an op, wherever it stands. Lock held.
 */
VFUI_APART static void expire(struct vfui_dma *dma, uint64_t seq, struct vfui_list *done)
{
	struct vfui_list *link, *after;

	vfui_list_for_each_safe(link, after, &dma->unsent) {
		struct vfui_dma_op *op = vfui_container_of(link, struct vfui_dma_op, unsent);

		if (op->seq > seq)
			return;
		if (op->next)
			continue;
		op->status = -ETIMEDOUT;
		vfui_dma_op_end(dma, op, done);
	}
}

static void pump_and_unlock(struct vfui_dma *dma, struct vfui_list *done);

static void chunk_done(void *user, int status, struct vfui_msg *reply)
{
	struct vfui_dma_chunk *chunk = user;
	struct vfui_dma *dma = chunk->dma;
	struct vfui_dma_op *op = chunk->op;
	struct vfui_list done;

	vfui_list_init(&done);
	status = check_reply(chunk, status, reply);
	vfui_os_lock(&dma->lock);
	if (!op->status)
		op->status = status;
	put_chunk(dma, chunk);
	vfui_dma_op_end(dma, op, &done);
	if (status == -ETIMEDOUT && !reply)
		expire(dma, chunk->seq, &done);
	pump_and_unlock(dma, &done);
	vfui_dma_settle(dma, &done);
}

static int send_chunk(struct vfui_conn *conn, struct vfui_dma_chunk *chunk)
{
	struct vfui_dma_op *op = chunk->op;
	struct head head = {op->what.iova + chunk->offset, chunk->len};
	struct iovec iov[2] = {{&head, sizeof(head)},
			       {vfui_dma_copy_data(&op->what, chunk->offset), chunk->len}};
	struct vfui_out out = {
		.command = op->what.write ? VFU_WIRE_CMD_DMA_WRITE : VFU_WIRE_CMD_DMA_READ,
		.iov = iov,
		.niov = op->what.write ? 2 : 1,
		.timeout_ms = -1,
		.done = chunk_done,
		.user = chunk,
	};

	if (!op->what.write) {
		out.sink = op->what.buf + chunk->offset;
		out.sink_skip = sizeof(head);
		out.sink_len = chunk->len;
	}
	return vfui_conn_send(conn, &out);
}

/* A message that did not go out: the op fails, or tries again once there is room. True: try later. Lock held. */
static bool unsent(struct vfui_dma *dma, struct vfui_dma_chunk *chunk, int rc,
		   struct vfui_list *done)
{
	struct vfui_dma_op *op = chunk->op;
	size_t offset = chunk->offset;
	bool later;

	put_chunk(dma, chunk);
	later = rc == -ENOBUFS && dma->inflight;
	if (later)
		op->next = offset;
	else if (!op->status)
		op->status = rc == -ENOTCONN ? -ECANCELED : rc;
	vfui_dma_op_end(dma, op, done);
	return later;
}

/* Sends until the window is full. Lock held, but not while sending: the connection's locks come first. */
static void pump_window(struct vfui_dma *dma, struct vfui_list *done)
{
	struct vfui_conn *conn = dma->conn;
	struct vfui_dma_chunk *chunk;
	bool later = false;

	while (dma->conn && !later && (chunk = next_chunk(dma, done))) {
		int rc;

		dma->sending = chunk->op->seq;
		vfui_os_unlock(&dma->lock);
		rc = send_chunk(conn, chunk);
		vfui_os_lock(&dma->lock);
		busy_no_more(dma);
		if (rc < 0)
			later = unsent(dma, chunk, rc, done);
	}
}

/* A blocking call, perhaps of another thread, waits for one of these. */
static bool is_awaited(const struct vfui_list *done)
{
	struct vfui_list *link;

	vfui_list_for_each(link, done) {
		if (vfui_dma_op_of(link)->what.waited)
			return true;
	}
	return false;
}

/* Sends what may be sent; what is over goes to done. Gives the lock back. */
static void pump_and_unlock(struct vfui_dma *dma, struct vfui_list *done)
{
	struct vfui_conn *conn = dma->conn;

	dma->again = true;
	if (dma->pumping || !conn) {
		vfui_os_unlock(&dma->lock);
		return;
	}
	dma->pumping = true;
	while (dma->again) {
		dma->again = false;
		pump_window(dma, done);
	}
	if (is_awaited(done)) {
		vfui_os_unlock(&dma->lock);
		vfui_conn_wake(conn);
		vfui_os_lock(&dma->lock);
	}
	dma->pumping = false;
	if (dma->awaiting)
		vfui_os_cond_broadcast(&dma->quiet);
	vfui_os_unlock(&dma->lock);
}

int vfui_dma_start_and_unlock(struct vfui_dma *dma, struct vfui_dma_op *op)
{
	struct vfui_list done;

	if (!dma->conn) {
		vfui_dma_discharge(dma, &op->charge);
		vfui_os_unlock(&dma->lock);
		vfui_dma_op_free(dma, op);
		return -ENOTCONN;
	}
	vfui_dma_op_push(dma, op);
	vfui_list_init(&done);
	pump_and_unlock(dma, &done);
	vfui_dma_settle(dma, &done);
	return 0;
}
