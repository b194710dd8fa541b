/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * async.c - accesses whose end a callback is told, and giving up these and other messages (command.c).
 *
 *	access --> op --> request, whose user the op is --> its end: the op goes back to spare, then fn
 *	           tag    message id                    --> cancel: the op goes back to spare
 *
 * Message ids are used again, so an access is named by both: the tag, which the client never uses again, and
 * below it the message id, under which the connection finds it at once.
 */
#include <errno.h>

#include "base/os.h"
#include "client/async.h"
#include "client/call.h"
#include "client/region.h"
#include "wire-region.h"

#define ID_BITS 16

struct vfui_client_async *vfui_client_async_new(struct vfu_client *cl,
						const struct vfui_client_async *said)
{
	struct vfui_client_async *op;
	uint64_t tag;

	vfui_os_lock(&cl->lock);
	op = cl->spare;
	if (op)
		cl->spare = op->next;
	tag = ++cl->tags;
	vfui_os_unlock(&cl->lock);
	if (!op)
		op = vfui_os_malloc(sizeof(*op));
	if (op) {
		*op = *said;
		op->cl = cl;
		op->tag = tag;
	}
	return op;
}

void vfui_client_async_free(struct vfui_client_async *op)
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
	vfui_client_async_free(user);
	op.fn(op.user, status ? status : op.count);
}

static int check(struct vfui_conn *conn, const struct vfui_out *out, size_t len,
		 struct vfu_err *err)
{
	if (len > vfui_client_piece_max(conn))
		return vfui_err_set(err, -EINVAL, "region_access.count", 12,
				    "%zu bytes are more than one message moves", len);
	return vfui_conn_check_own(conn, out->command, out->iov, out->niov, 0, err);
}

int vfui_client_async_send(struct vfui_conn *conn, struct vfui_out *out,
			   struct vfui_client_async *op, uint64_t *id)
{
	uint64_t tag = op->tag;
	uint16_t low;
	int ret;

	out->user = op;
	out->tag = tag;
	ret = vfui_conn_start(conn, out, &low);
	if (ret)
		vfui_client_async_free(op);
	else
		*id = tag << ID_BITS | low;
	return ret;
}

static int start(struct vfu_client *cl, struct vfui_out *out, struct vfu_client_access *a)
{
	const struct vfui_client_async said = {.fn = a->fn, .user = a->user, .count = (int)a->len};
	struct vfu_err err; /* which is large: no more of it is set than is looked at */
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);
	struct vfui_client_async *op;

	if (!conn)
		return ret;
	err.code = 0;
	ret = check(conn, out, a->len, &err);
	if (ret)
		return vfui_client_end(cl, ret, &err);
	op = vfui_client_async_new(cl, &said);
	ret = op ? vfui_client_async_send(conn, out, op, &a->id) : -ENOMEM;
	return vfui_client_end(cl, ret, &err);
}

int vfui_client_start(struct vfu_client *cl, struct vfu_client_access *a)
{
	struct vfu_wire_region_read_request in = {a->offset, a->index,
						  (uint32_t)a->len}; /* a write begins so, too */
	struct iovec iov[] = {{&in, sizeof(in)}, {a->buf, a->len}};
	struct vfui_out out = {.iov = iov,
			       .niov = 1,
			       .timeout_ms = vfui_client_timeout(a->timeout_ms),
			       .done = async_done};

	if (a->is_write) {
		out.command = VFU_WIRE_CMD_REGION_WRITE;
		out.niov = 2;
	} else {
		out.command = VFU_WIRE_CMD_REGION_READ;
		out.sink = a->buf;
		out.sink_skip = sizeof(in);
		out.sink_len = a->len;
	}
	return start(cl, &out, a);
}

int vfu_client_region_read_async(struct vfu_client *cl, unsigned index, uint64_t offset, void *buf,
				 size_t len, vfu_client_fn *fn, void *user)
{
	struct vfu_client_access a = {
		.index = index, .offset = offset, .buf = buf, .len = len, .fn = fn, .user = user};

	return vfui_client_start(cl, &a);
}

int vfu_client_region_write_async(struct vfu_client *cl, unsigned index, uint64_t offset,
				  const void *buf, size_t len, vfu_client_fn *fn, void *user)
{
	struct vfu_client_access a = {.is_write = true,
				      .index = index,
				      .offset = offset,
				      .buf = (void *)(uintptr_t)buf,
				      .len = len,
				      .fn = fn,
				      .user = user};

	return vfui_client_start(cl, &a);
}

int vfu_client_cancel(struct vfu_client *cl, uint64_t id)
{
	struct vfu_err err = {0};
	void *op;
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (!conn)
		return ret == -ENOTCONN ? -ENOENT : ret;
	ret = id ? vfui_conn_cancel(conn, (uint16_t)id, id >> ID_BITS, &op) : -ENOENT;
	if (!ret)
		vfui_client_async_free(op);
	return vfui_client_end(cl, ret, &err);
}
