/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-copy.c - copies between client memory and the device: at once where it is reachable, else by messages.
 *
 * An op is one copy that needs messages, a chunk one message of it. One thread at a time pumps: it cuts
 * chunks off the ops, in order, as far as the window allows. An op ends when nothing of it is in flight.
 */
#include "device/dma.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "transport/conn.h"
#include "device/dma-table.h"
#include "base/os.h"
#include "wire.h"

/* A thread that waits for an op of its own. */
struct waiter {
	atomic_bool done;
	int status;
};

struct vfui_dma_op {
	struct vfui_list link;   /* in ops, or over */
	struct vfui_list unsent; /* in unsent, or in no list */
	uint64_t seq, iova;
	uint8_t *buf;
	size_t len, next; /* next: what is not sent yet begins here */
	uint32_t inflight;
	int status;
	bool write;
	bool waited; /* for a blocking call: waiter, NULL once it has given up, instead of fn */
	struct waiter *waiter;
	vfu_dma_fn *fn;
	void *user;
};

struct vfui_dma_chunk {
	struct vfui_dma_chunk *next_free;
	struct vfui_dma *dma;
	struct vfui_dma_op *op;
	size_t offset, len;
};

struct vfui_dma_fence {
	struct vfui_list link;
	uint64_t seq; /* the last op it is for */
	void (*fn)(void *user, unsigned a, unsigned b);
	void *user;
	unsigned a, b;
};

#define BY_MESSAGE (1u << VFUI_DMA_MESSAGE)

/* DMA_READ and DMA_WRITE begin alike, and so do their replies. */
struct head {
	uint64_t address, count;
};

_Static_assert(sizeof(struct head) == sizeof(struct vfu_wire_dma_read_request),
	       "one head for both");
_Static_assert(sizeof(struct head) == sizeof(struct vfu_wire_dma_write_request),
	       "one head for both");

int vfui_dma_connect(struct vfui_dma *dma, struct vfui_conn *conn,
		     const struct vfui_dma_limits *limits)
{
	struct vfui_dma_chunk *chunks;

	if (!conn || !limits->max_xfer || !limits->window || !limits->read_bytes || !limits->pgsize)
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
	dma->limits = *limits;
	dma->conn = conn;
	vfui_os_unlock(&dma->lock);
	return 0;
}

static struct vfui_dma_op *op_new(struct vfui_dma *dma)
{
	struct vfui_dma_op *op = atomic_exchange(&dma->spare, NULL);

	return op ? op : vfui_os_malloc(sizeof(*op));
}

static void op_free(struct vfui_dma *dma, struct vfui_dma_op *op)
{
	vfui_os_free(atomic_exchange(&dma->spare, op));
}

/* ---- the end of ops ---------------------------------------------------------------------------- */

/* Takes an op that is over out of the list: to done, for settle. Lock held. */
static void finish(struct vfui_dma_op *op, struct vfui_list *done)
{
	vfui_list_remove(&op->link);
	vfui_list_remove(&op->unsent);
	vfui_list_push(done, &op->link);
	if (!op->waiter)
		return;
	op->waiter->status = op->status;
	atomic_store(&op->waiter->done, true);
	op->waiter = NULL;
}

/* Ends an op if nothing of it is in flight, or will be. Lock held. */
static void finish_if_over(struct vfui_dma_op *op, struct vfui_list *done)
{
	if (!op->inflight && (op->status || op->next == op->len))
		finish(op, done);
}

/* A fence that no op holds back any more. */
static struct vfui_dma_fence *next_fence(struct vfui_dma *dma)
{
	struct vfui_dma_fence *fence = NULL;
	uint64_t oldest = UINT64_MAX;

	/* One that came before the last op left the list was counted before, too. */
	if (!atomic_load(&dma->nfences))
		return NULL;
	vfui_os_lock(&dma->lock);
	if (!vfui_list_is_empty(&dma->ops))
		oldest = vfui_container_of(dma->ops.next, struct vfui_dma_op, link)->seq;
	if (!vfui_list_is_empty(&dma->fences)) {
		fence = vfui_container_of(dma->fences.next, struct vfui_dma_fence, link);
		if (fence->seq < oldest) {
			vfui_list_remove(&fence->link);
			atomic_fetch_sub(&dma->nfences, 1);
		} else {
			fence = NULL;
		}
	}
	vfui_os_unlock(&dma->lock);
	return fence;
}

/* Tells the callers of ops that are over; then what waited behind them may run. */
static void settle(struct vfui_dma *dma, struct vfui_list *done)
{
	struct vfui_dma_fence *fence;

	for (struct vfui_list *link; (link = vfui_list_pop(done));) {
		struct vfui_dma_op *op = vfui_container_of(link, struct vfui_dma_op, link);

		if (!op->waited)
			op->fn(op->user, op->status);
		op_free(dma, op);
	}
	while ((fence = next_fence(dma))) {
		fence->fn(fence->user, fence->a, fence->b);
		vfui_os_free(fence);
	}
}

void vfui_dma_cancel(struct vfui_dma *dma, uint64_t first, uint64_t last)
{
	struct vfui_list done, *link, *after;

	vfui_list_init(&done);
	vfui_os_lock(&dma->lock);
	vfui_list_for_each_safe(link, after, &dma->ops) {
		struct vfui_dma_op *op = vfui_container_of(link, struct vfui_dma_op, link);

		if (op->iova > last || op->iova + (op->len - 1) < first)
			continue;
		if (!op->status)
			op->status = -ECANCELED;
		finish_if_over(op, &done);
	}
	vfui_os_unlock(&dma->lock);
	settle(dma, &done);
}

/* ---- messages ---------------------------------------------------------------------------------- */

static void put_chunk(struct vfui_dma *dma, struct vfui_dma_chunk *chunk)
{
	if (!chunk->op->write)
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
	if (!op->write && len > dma->limits.read_bytes)
		len = dma->limits.read_bytes;
	if (!chunk ||
	    (!op->write && dma->read_inflight && dma->read_inflight + len > dma->limits.read_bytes))
		return NULL;
	dma->free_chunks = chunk->next_free;
	chunk->op = op;
	chunk->offset = op->next;
	chunk->len = (size_t)len;
	op->next += (size_t)len;
	op->inflight++;
	dma->inflight++;
	if (!op->write)
		dma->read_inflight += len;
	return chunk;
}

/* The next message of all ops, in the order they were started. Lock held. */
static struct vfui_dma_chunk *next_chunk(struct vfui_dma *dma, struct vfui_list *done)
{
	while (!vfui_list_is_empty(&dma->unsent)) {
		struct vfui_dma_op *op =
			vfui_container_of(dma->unsent.next, struct vfui_dma_op, unsent);
		uint32_t needs = op->write ? VFU_DMA_WRITE : VFU_DMA_READ;

		while (!op->status && op->next < op->len) {
			uint64_t at = op->iova + op->next, len = op->len - op->next;
			const struct vfui_dma_map *map = vfui_dma_find(dma, at);

			if (!map || !(map->flags & needs)) {
				op->status = -ECANCELED;
				break;
			}
			if (len - 1 > map->range.last - at)
				len = map->range.last - at + 1;
			if (map->kind == VFUI_DMA_MESSAGE)
				return cut_chunk(dma, op, len);
			/* Was copied before the op began. */
			op->next += (size_t)len;
		}
		vfui_list_remove(&op->unsent);
		finish_if_over(op, done);
	}
	return NULL;
}

/* How the peer answered: 0 or negative errno. */
static int check_reply(const struct vfui_dma_chunk *chunk, int status, const struct vfui_msg *reply)
{
	uint64_t count = 0;
	uint32_t count32;

	if (status < 0 || !reply)
		return status == -ENOTCONN || !status ? -ECANCELED : status;
	/* E1: the count of a DMA_WRITE reply is 8, 4 or no bytes; what our policy takes was checked before. */
	if (chunk->op->write && !reply->len)
		return 0;
	if (reply->len >= sizeof(struct head)) {
		memcpy(&count, reply->payload + offsetof(struct head, count), sizeof(count));
	} else if (chunk->op->write && reply->len >= 12) {
		memcpy(&count32, reply->payload + offsetof(struct head, count), sizeof(count32));
		count = count32;
	}
	/* E2: fewer bytes are an answer, but not what we asked for. */
	return count == chunk->len ? 0 : -EIO;
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
	/* A blocking call may have given up its buffer, so its data came without a sink. */
	if (!status && op->waited && !op->write) {
		if (reply->len - sizeof(struct head) < chunk->len)
			status = -EIO;
		else if (op->waiter)
			memcpy(op->buf + chunk->offset, reply->payload + sizeof(struct head),
			       chunk->len);
	}
	if (!op->status)
		op->status = status;
	put_chunk(dma, chunk);
	finish_if_over(op, &done);
	pump_and_unlock(dma, &done);
	settle(dma, &done);
}

static int send_chunk(struct vfui_conn *conn, struct vfui_dma_chunk *chunk)
{
	struct vfui_dma_op *op = chunk->op;
	struct head head = {op->iova + chunk->offset, chunk->len};
	struct iovec iov[2] = {{&head, sizeof(head)}, {op->buf + chunk->offset, chunk->len}};
	struct vfui_out out = {
		.command = op->write ? VFU_WIRE_CMD_DMA_WRITE : VFU_WIRE_CMD_DMA_READ,
		.iov = iov,
		.niov = op->write ? 2 : 1,
		.timeout_ms = -1,
		.done = chunk_done,
		.user = chunk,
	};

	if (!op->write && !op->waited) {
		out.sink = op->buf + chunk->offset;
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
	finish_if_over(op, done);
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

		vfui_os_unlock(&dma->lock);
		rc = send_chunk(conn, chunk);
		vfui_os_lock(&dma->lock);
		if (rc < 0)
			later = unsent(dma, chunk, rc, done);
	}
}

/* A blocking call, perhaps of another thread, waits for one of these. */
static bool is_awaited(const struct vfui_list *done)
{
	const struct vfui_list *link;

	vfui_list_for_each(link, done) {
		if (vfui_container_of(link, struct vfui_dma_op, link)->waited)
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
	vfui_os_cond_broadcast(&dma->quiet);
	vfui_os_unlock(&dma->lock);
}

/* ---- copies ------------------------------------------------------------------------------------ */

/* Copies what needs no messages. The range was checked; what went away since is -ECANCELED. */
static int copy_direct(struct vfui_dma *dma, uint64_t iova, uint8_t *buf, size_t len, bool write)
{
	uint32_t needs = write ? VFU_DMA_WRITE : VFU_DMA_READ;
	int rc = 0;

	while (len && !rc) {
		struct vfui_dma_map *map;
		uint64_t offset;
		size_t n;

		vfui_os_lock(&dma->lock);
		map = vfui_dma_find(dma, iova);
		if (!map || !(map->flags & needs)) {
			vfui_os_unlock(&dma->lock);
			return -ECANCELED;
		}
		map->pins++;
		vfui_os_unlock(&dma->lock);
		offset = iova - map->range.first;
		n = len - 1 < map->range.last - iova ? len : (size_t)(map->range.last - iova + 1);
		if (map->kind == VFUI_DMA_FILE)
			rc = vfui_dma_file_io(map, offset, buf, n, write);
		else if (map->kind == VFUI_DMA_MAPPED)
			memcpy(write ? map->addr + offset : buf, write ? buf : map->addr + offset,
			       n);
		vfui_dma_release(dma, map);
		iova += n;
		buf += n;
		len -= n;
	}
	return rc;
}

static bool is_ready(void *arg)
{
	(void)arg;
	return true;
}

/* A wait that is over at once: who may not wait is told so before anything is sent. */
static int check_wait(struct vfui_dma *dma)
{
	return dma->hooks.wait ? dma->hooks.wait(dma->hooks.ctx, is_ready, NULL) : 0;
}

/* 0: started; VFU_LATER: it is all done already; negative errno. how: fn and user, or waiter. */
static int start(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len, bool write,
		 const struct vfui_dma_op *how)
{
	struct vfui_dma_op *op = NULL;
	struct vfui_list done;
	bool direct;
	unsigned kinds;
	int rc;

	vfui_os_lock(&dma->lock);
	rc = vfui_dma_check(dma, iova, len, write ? VFU_DMA_WRITE : VFU_DMA_READ, &kinds);
	vfui_os_unlock(&dma->lock);
	if (rc)
		return rc;
	direct = !(kinds & BY_MESSAGE);
	if (!direct) {
		rc = how->waited ? check_wait(dma) : 0;
		if (rc)
			return rc;
		op = op_new(dma);
		if (!op)
			return -ENOMEM;
	}
	if (kinds & ~BY_MESSAGE)
		rc = copy_direct(dma, iova, buf, len, write);
	if (rc || direct) {
		vfui_os_free(op);
		return rc ? rc : VFU_LATER;
	}
	*op = *how;
	op->iova = iova;
	op->buf = buf;
	op->len = len;
	op->write = write;
	vfui_os_lock(&dma->lock);
	if (!dma->conn) {
		vfui_os_unlock(&dma->lock);
		vfui_os_free(op);
		return -ENOTCONN;
	}
	op->seq = ++dma->seq;
	vfui_list_push(&dma->ops, &op->link);
	vfui_list_push(&dma->unsent, &op->unsent);
	vfui_list_init(&done);
	pump_and_unlock(dma, &done);
	settle(dma, &done);
	return 0;
}

static int copy_async(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len, bool write,
		      vfu_dma_fn *fn, void *user)
{
	const struct vfui_dma_op how = {.fn = fn, .user = user};
	int rc = start(dma, iova, buf, len, write, &how);

	if (rc == VFU_LATER) {
		fn(user, 0);
		rc = 0;
	}
	return rc;
}

static bool is_done(void *arg)
{
	struct waiter *waiter = arg;

	return atomic_load(&waiter->done);
}

/* The wait ended without the op: from here on nobody touches buf or waiter. */
static void give_up(struct vfui_dma *dma, struct waiter *waiter)
{
	struct vfui_list done, *link, *after;

	vfui_list_init(&done);
	vfui_os_lock(&dma->lock);
	vfui_list_for_each_safe(link, after, &dma->ops) {
		struct vfui_dma_op *op = vfui_container_of(link, struct vfui_dma_op, link);

		if (op->waiter != waiter)
			continue;
		op->waiter = NULL;
		if (!op->status)
			op->status = -ECANCELED;
		finish_if_over(op, &done);
	}
	/* Another thread may be sending from buf. */
	while (dma->pumping)
		vfui_os_cond_wait(&dma->quiet, &dma->lock, -1);
	vfui_os_unlock(&dma->lock);
	settle(dma, &done);
}

static int copy_wait(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len, bool write)
{
	struct waiter waiter = {.status = 0};
	const struct vfui_dma_op how = {.waited = true, .waiter = &waiter};
	int rc = start(dma, iova, buf, len, write, &how);

	if (rc)
		return rc == VFU_LATER ? 0 : rc;
	if (dma->hooks.wait)
		rc = dma->hooks.wait(dma->hooks.ctx, is_done, &waiter);
	else
		rc = vfui_conn_wait(dma->conn, is_done, &waiter, -1);
	if (!is_done(&waiter))
		give_up(dma, &waiter);
	return is_done(&waiter) ? waiter.status : rc;
}

int vfui_dma_read_async(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len, vfu_dma_fn *fn,
			void *user)
{
	return copy_async(dma, iova, buf, len, false, fn, user);
}

int vfui_dma_write_async(struct vfui_dma *dma, uint64_t iova, const void *buf, size_t len,
			 vfu_dma_fn *fn, void *user)
{
	return copy_async(dma, iova, (void *)buf, len, true, fn, user);
}

int vfui_dma_read(struct vfui_dma *dma, uint64_t iova, void *buf, size_t len)
{
	return copy_wait(dma, iova, buf, len, false);
}

int vfui_dma_write(struct vfui_dma *dma, uint64_t iova, const void *buf, size_t len)
{
	return copy_wait(dma, iova, (void *)buf, len, true);
}

/* ---- fences ------------------------------------------------------------------------------------ */

bool vfui_dma_is_busy(struct vfui_dma *dma)
{
	bool busy;

	vfui_os_lock(&dma->lock);
	busy = !vfui_list_is_empty(&dma->ops);
	vfui_os_unlock(&dma->lock);
	return busy;
}

int vfui_dma_after(struct vfui_dma *dma, void (*fn)(void *user, unsigned a, unsigned b), void *user,
		   unsigned a, unsigned b)
{
	struct vfui_dma_fence *fence = vfui_os_malloc(sizeof(*fence));
	bool idle;

	if (!fence)
		return -ENOMEM;
	*fence = (struct vfui_dma_fence){.fn = fn, .user = user, .a = a, .b = b};
	vfui_os_lock(&dma->lock);
	idle = vfui_list_is_empty(&dma->ops);
	fence->seq = dma->seq;
	if (!idle) {
		vfui_list_push(&dma->fences, &fence->link);
		atomic_fetch_add(&dma->nfences, 1);
	}
	vfui_os_unlock(&dma->lock);
	if (idle) {
		vfui_os_free(fence);
		fn(user, a, b);
	}
	return 0;
}
