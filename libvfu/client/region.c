/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * region.c - reading and writing regions: waiting, posted, or with a callback at the end.
 */
#include <errno.h>

#include "base/os.h"
#include "client/call.h"
#include "vfu-calls.h"
#include "wire-region.h"

static int read_piece(struct vfui_conn *conn, struct vfui_call *call, unsigned index,
		      uint64_t offset, void *buf, uint32_t count)
{
	struct vfu_wire_region_read_request in = {offset, index, count};
	struct vfu_wire_region_read_reply out;

	call->reply_tail = buf;
	call->reply_room = count;
	call->plain_tail = true;
	return vfui_call_region_read(conn, call, &in, &out);
}

static int write_piece(struct vfui_conn *conn, struct vfui_call *call, unsigned index,
		       uint64_t offset, const void *buf, uint32_t count)
{
	struct vfu_wire_region_write_request in = {offset, index, count};
	struct vfu_wire_region_write_reply out;

	call->tail = buf;
	call->tail_len = count;
	return vfui_call_region_write(conn, call, &in, &out);
}

/* The most that one access moves: what we accept for reads, what the peer accepts for both. */
static size_t piece_max(struct vfui_conn *conn)
{
	return vfui_min(vfui_conn_limits(conn)->max_data_xfer_size,
			vfui_conn_peer_limits(conn)->max_data_xfer_size);
}

int vfu_client_region_read(struct vfu_client *cl, unsigned index, uint64_t offset, void *buf,
			   size_t len)
{
	struct vfu_err err;
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	for (size_t done = 0; done < len && !ret;) {
		struct vfui_call call = vfui_client_new_call(&err);
		size_t n = vfui_min(len - done, piece_max(conn));

		ret = read_piece(conn, &call, index, offset + done, (uint8_t *)buf + done,
				 (uint32_t)n);
		done += n;
	}
	return vfui_client_end(cl, ret, &err);
}

static int write_all(struct vfui_conn *conn, unsigned index, uint64_t offset, const void *buf,
		     size_t len, struct vfu_err *err)
{
	int ret = 0;

	for (size_t done = 0; done < len && !ret;) {
		struct vfui_call call = vfui_client_new_call(err);
		size_t n = vfui_min(len - done, piece_max(conn));

		ret = write_piece(conn, &call, index, offset + done, (const uint8_t *)buf + done,
				  (uint32_t)n);
		done += n;
	}
	return ret;
}

int vfu_client_region_write(struct vfu_client *cl, unsigned index, uint64_t offset, const void *buf,
			    size_t len)
{
	struct vfu_err err;
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	ret = write_all(conn, index, offset, buf, len, &err);
	return vfui_client_end(cl, ret, &err);
}

/* ---- posted writes ---- */

static bool may_post(struct vfu_client *cl, struct vfui_conn *conn)
{
	return vfui_conn_option(conn, VFU_OPT_POSTED) && !atomic_load(&cl->is_mapped);
}

/* A full socket or queue is waited for, where one may wait: the writer is as fast as the device. */
static int post_piece(struct vfu_client *cl, struct vfui_conn *conn, unsigned index,
		      uint64_t offset, const void *buf, uint32_t count, struct vfu_err *err)
{
	struct vfu_wire_region_write_request in = {offset, index, count};
	struct iovec iov[] = {{&in, sizeof(in)}, {(void *)(uintptr_t)buf, count}};
	struct vfui_out out = {.command = VFU_WIRE_CMD_REGION_WRITE,
			       .iov = iov,
			       .niov = 2,
			       .no_reply = true,
			       .timeout_ms = -1};
	int ret = vfui_conn_check_own(conn, out.command, iov, out.niov, 0, err);

	if (ret)
		return ret;
	if (vfui_conn_is_reader(conn) && cl->is_in_dma_fn)
		return vfui_conn_send(conn, &out);
	return vfui_conn_post(conn, &out);
}

int vfu_client_region_post(struct vfu_client *cl, unsigned index, uint64_t offset, const void *buf,
			   size_t len)
{
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (!conn)
		return ret;
	if (!may_post(cl, conn)) {
		vfui_client_end(cl, 0, NULL);
		return vfu_client_region_write(cl, index, offset, buf, len);
	}
	for (size_t done = 0; done < len && !ret;) {
		size_t n = vfui_min(len - done, piece_max(conn));

		ret = post_piece(cl, conn, index, offset + done, (const uint8_t *)buf + done,
				 (uint32_t)n, &err);
		done += n;
	}
	return vfui_client_end(cl, ret, &err);
}

/* ---- with a callback ---- */

static struct vfui_client_async *async_new(struct vfu_client *cl, vfu_client_fn *fn, void *user)
{
	struct vfui_client_async *op;

	vfui_os_lock(&cl->lock);
	op = cl->spare;
	if (op)
		cl->spare = op->next;
	vfui_os_unlock(&cl->lock);
	if (!op)
		op = vfui_os_malloc(sizeof(*op));
	if (op)
		*op = (struct vfui_client_async){.cl = cl, .fn = fn, .user = user};
	return op;
}

static void async_free(struct vfui_client_async *op)
{
	struct vfu_client *cl = op->cl;

	vfui_os_lock(&cl->lock);
	op->next = cl->spare;
	cl->spare = op;
	vfui_os_unlock(&cl->lock);
}

static void async_done(void *user, int status, struct vfui_msg *reply)
{
	struct vfui_client_async op = *(struct vfui_client_async *)user;

	(void)reply;
	async_free(user);
	op.fn(op.user, status ? status : op.count);
}

static int start(struct vfu_client *cl, struct vfui_out *out, size_t len, vfu_client_fn *fn,
		 void *user)
{
	int ret;
	struct vfu_err err = {0};
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);
	struct vfui_client_async *op;

	if (!conn)
		return ret;
	if (len > piece_max(conn))
		ret = vfui_err_set(&err, -EINVAL, "region_access.count", 12,
				   "%zu bytes are more than one message moves", len);
	else
		ret = vfui_conn_check_own(conn, out->command, out->iov, out->niov, 0, &err);
	if (ret)
		return vfui_client_end(cl, ret, &err);
	op = async_new(cl, fn, user);
	if (!op)
		return vfui_client_end(cl, -ENOMEM, &err);
	op->count = (int)len;
	out->timeout_ms = -1;
	out->done = async_done;
	out->user = op;
	ret = vfui_conn_send(conn, out);
	if (ret)
		async_free(op);
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_region_read_async(struct vfu_client *cl, unsigned index, uint64_t offset, void *buf,
				 size_t len, vfu_client_fn *fn, void *user)
{
	struct vfu_wire_region_read_request in = {offset, index, (uint32_t)len};
	struct iovec iov = {&in, sizeof(in)};
	struct vfui_out out = {.command = VFU_WIRE_CMD_REGION_READ,
			       .iov = &iov,
			       .niov = 1,
			       .sink = buf,
			       .sink_skip = sizeof(in),
			       .sink_len = len};

	return start(cl, &out, len, fn, user);
}

int vfu_client_region_write_async(struct vfu_client *cl, unsigned index, uint64_t offset,
				  const void *buf, size_t len, vfu_client_fn *fn, void *user)
{
	struct vfu_wire_region_write_request in = {offset, index, (uint32_t)len};
	struct iovec iov[] = {{&in, sizeof(in)}, {(void *)(uintptr_t)buf, len}};
	struct vfui_out out = {.command = VFU_WIRE_CMD_REGION_WRITE, .iov = iov, .niov = 2};

	return start(cl, &out, len, fn, user);
}
