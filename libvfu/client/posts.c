/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * posts.c - writes that want no answer, one by one or in batches.
 *
 *	post_begin      a batch of this thread; other threads go on as ever
 *	region_post     stays in the connection's queue, with those before it in one message
 *	region_post       ... and each HIGH of them the queue is sent, until LOW are left at most
 *	region_read     any other message goes behind them, and takes them along
 *	post_end        what is left is sent
 *
 * A batch owns nothing but a count: its writes are the connection's as soon as they are posted (conn-gather.c), and
 * whatever ends the batch, the thread or the connection finds them there. Posts of a thread without a batch are sent
 * at once; where somebody else sends what the socket does not take, they may gather, too.
 */
#include <errno.h>

#include "base/os.h"
#include "client/call.h"
#include "client/link.h"
#include "client/direct.h"
#include "client/posts.h"
#include "client/region.h"
#include "wire-region.h"

/* The list is under the client's lock; the rest is the thread's. */
struct vfui_client_batch {
	struct vfui_client_batch *next;
	pthread_t thread;
	unsigned depth;      /* begun in one another */
	unsigned n;          /* writes since it was last sent, */
	bool is_used;        /* or ever; */
	unsigned connection; /* the first of them was of that one */
};

/* ---- batches ---- */

/* The place of the calling thread's batch in the list, or its end. With the lock. */
static struct vfui_client_batch **place_of(struct vfu_client *cl)
{
	struct vfui_client_batch **place = &cl->batches;

	while (*place && !pthread_equal((*place)->thread, pthread_self()))
		place = &(*place)->next;
	return place;
}

/* NULL: it has none. It can not go while its thread is here. */
static struct vfui_client_batch *find_batch(struct vfu_client *cl)
{
	struct vfui_client_batch *batch;

	vfui_os_lock(&cl->lock);
	batch = *place_of(cl);
	vfui_os_unlock(&cl->lock);
	return batch;
}

static inline struct vfui_client_batch *batch_of(struct vfu_client *cl)
{
	return atomic_load(&cl->nbatches) ? find_batch(cl) : NULL;
}

bool vfu_client_is_posting(struct vfu_client *cl)
{
	return *cl->fork_mark && batch_of(cl);
}

int vfu_client_post_begin(struct vfu_client *cl)
{
	struct vfui_client_batch *batch;

	if (!*cl->fork_mark)
		return -EOWNERDEAD;
	batch = batch_of(cl);
	if (batch) {
		batch->depth++;
		return 0;
	}
	batch = vfui_os_calloc(1, sizeof(*batch));
	if (!batch)
		return vfui_client_fail(cl, -ENOMEM, "no memory for a batch");
	batch->thread = pthread_self();
	batch->depth = 1;
	vfui_os_lock(&cl->lock);
	batch->next = cl->batches;
	cl->batches = batch;
	vfui_os_unlock(&cl->lock);
	atomic_fetch_add(&cl->nbatches, 1);
	return 0;
}

static void batch_free(struct vfu_client *cl, struct vfui_client_batch *batch)
{
	vfui_os_lock(&cl->lock);
	*place_of(cl) = batch->next;
	vfui_os_unlock(&cl->lock);
	atomic_fetch_sub(&cl->nbatches, 1);
	vfui_os_free(batch);
}

/* Sends what is queued, but may leave so much of it to the next time. */
static int send_batch(struct vfu_client *cl, struct vfui_conn *conn, size_t left)
{
	int ret = vfui_conn_send_queue(conn);

	return ret || vfui_client_is_in_dma(cl, conn) ? ret : vfui_conn_drain(conn, left);
}

/* Ends one level. 1: it was the last, and something may have to be sent on that connection. */
static int end_level(struct vfu_client *cl, unsigned *connection)
{
	struct vfui_client_batch *batch;
	bool is_used;

	if (!*cl->fork_mark)
		return -EOWNERDEAD;
	batch = batch_of(cl);
	if (!batch)
		return vfui_client_fail(cl, -EINVAL, "this thread has begun no batch");
	if (--batch->depth)
		return 0;
	is_used = batch->is_used;
	*connection = batch->connection;
	batch_free(cl, batch);
	return is_used;
}

static int end_batch(struct vfu_client *cl, bool waits)
{
	struct vfu_err err = {0};
	struct vfui_conn *conn;
	unsigned connection = 0;
	int ret = end_level(cl, &connection);

	if (ret <= 0)
		return ret;
	conn = vfui_client_begin(cl, false, &ret);
	if (!conn)
		return ret;
	ret = waits ? send_batch(cl, conn, 0) : vfui_conn_send_queue(conn);
	if (!ret && connection != cl->connection)
		ret = vfui_err_set(&err, -ENOTCONN, NULL, 0,
				   "the batch was begun on a connection that has ended");
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_post_end(struct vfu_client *cl)
{
	return end_batch(cl, true);
}

int vfu_client_post_leave(struct vfu_client *cl)
{
	return end_batch(cl, false);
}

void vfui_client_free_batches(struct vfu_client *cl)
{
	struct vfui_client_batch *batch;

	while ((batch = cl->batches)) {
		cl->batches = batch->next;
		vfui_os_free(batch);
	}
}

/* ---- posts ---- */

static bool may_post(struct vfu_client *cl, struct vfui_conn *conn)
{
	return vfui_conn_options(conn)->set.values[VFU_OPT_POSTED] &&
	       !atomic_load(&cl->is_mapped) && !vfui_client_is_one_by_one(conn);
}

/* The connection is held: its number stays. */
static void note_use(struct vfu_client *cl, struct vfui_client_batch *batch)
{
	if (!batch->is_used)
		batch->connection = cl->connection;
	batch->is_used = true;
}

/* A write of a batch. */
static int add_to_batch(struct vfu_client *cl, struct vfui_conn *conn,
			struct vfui_client_batch *batch,
			const struct vfu_wire_region_write_request *in, const void *buf)
{
	int ret = vfui_conn_gather(conn, in, buf, true);

	if (ret || ++batch->n < VFUI_GATHER_HIGH)
		return ret;
	batch->n = 0;
	return send_batch(cl, conn, VFUI_GATHER_SIZE(VFUI_GATHER_LOW));
}

/* A write that goes at once, with what others have left in the queue. */
static int post_now(struct vfu_client *cl, struct vfui_conn *conn,
		    const struct vfu_wire_region_write_request *in, const void *buf)
{
	int ret = vfui_conn_gather(conn, in, buf, false);

	return ret || vfui_client_is_in_dma(cl, conn) ? ret : vfui_conn_drain(conn, 0);
}

/* One that is large, or for which there is no room. A full socket or queue is waited for, where one may wait: the writer is as fast as the device. */
static int post_alone(struct vfu_client *cl, struct vfui_conn *conn, const struct iovec iov[2])
{
	struct vfui_out out = {.command = VFU_WIRE_CMD_REGION_WRITE,
			       .iov = iov,
			       .niov = 2,
			       .no_reply = true,
			       .timeout_ms = -1};

	return vfui_client_is_in_dma(cl, conn) ? vfui_conn_send(conn, &out)
					       : vfui_conn_post(conn, &out);
}

static int post_piece(struct vfu_client *cl, struct vfui_conn *conn,
		      struct vfui_client_batch *batch,
		      const struct vfu_wire_region_write_request *in, const void *buf,
		      struct vfu_err *err)
{
	struct iovec iov[] = {{(void *)(uintptr_t)in, sizeof(*in)},
			      {(void *)(uintptr_t)buf, in->count}};
	int ret = vfui_conn_check_own(conn, VFU_WIRE_CMD_REGION_WRITE, iov, 2, 0, err);

	if (ret)
		return ret;
	ret = -ENOBUFS;
	if (in->count <= VFUI_GATHER_BYTES)
		ret = batch ? add_to_batch(cl, conn, batch, in, buf) : post_now(cl, conn, in, buf);
	return ret == -ENOBUFS ? post_alone(cl, conn, iov) : ret;
}

int vfu_client_region_post(struct vfu_client *cl, unsigned index, uint64_t offset, const void *buf,
			   size_t len)
{
	struct vfu_err err; /* which is large: no more of it is set than is looked at */
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);
	struct vfui_client_batch *batch;

	if (!conn)
		return ret;
	err.code = 0;
	if (vfui_client_may_be_direct(conn)) {
		const struct vfu_client_access a = {.is_write = true,
						    .index = index,
						    .offset = offset,
						    .buf = (void *)(uintptr_t)buf,
						    .len = len};

		ret = vfui_client_direct(cl, conn, &a);
		if (ret)
			return vfui_client_end(cl, ret < 0 ? ret : 0, NULL);
	}
	if (!may_post(cl, conn)) {
		vfui_client_end(cl, 0, NULL);
		return vfu_client_region_write(cl, index, offset, buf, len);
	}
	if (cl->link)
		atomic_fetch_add(&cl->link->posted, 1);
	batch = batch_of(cl);
	if (batch)
		note_use(cl, batch);
	for (size_t done = 0; done < len && !ret;) {
		size_t n = vfui_min(len - done, vfui_client_piece_max(conn));
		struct vfu_wire_region_write_request in = {offset + done, index, (uint32_t)n};

		ret = post_piece(cl, conn, batch, &in, (const uint8_t *)buf + done, &err);
		done += n;
	}
	return vfui_client_end(cl, ret, &err);
}
