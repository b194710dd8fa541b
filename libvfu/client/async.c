/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * async.c - accesses whose end a callback is told, and giving up these and other messages (command.c).
 *
 * The client keeps nothing of them: the connection's request knows the callback (struct vfui_end), and its name, which no
 * other request ever has, is what it is given up by.
 */
#include <errno.h>
#include <string.h>

#include "client/async.h"
#include "client/call.h"
#include "client/refusal.h"
#include "client/region.h"
#include "wire-region.h"

static void ended(const struct vfui_end *end, int status, struct vfui_msg *reply)
{
	(void)reply;
	end->fn(end->user, status ? status : end->number);
}

static int check(struct vfui_conn *conn, const struct vfui_out *out, size_t len,
		 struct vfu_err *err)
{
	if (len > vfui_client_piece_max(conn))
		return vfui_err_set(err, -EINVAL, "region_access.count", 12,
				    "%zu bytes are more than one message moves", len);
	return vfui_conn_check_own(conn, out->command, out->iov, out->niov, 0, err);
}

static int start(struct vfu_client *cl, const struct vfui_out *out, struct vfu_client_access *a)
{
	struct vfu_err err; /* which is large: no more of it is set than is looked at */
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (!conn)
		return ret;
	err.code = 0;
	ret = check(conn, out, a->len, &err);
	if (!ret)
		ret = vfui_conn_start(conn, out, &a->id);
	return vfui_client_end(cl, ret, &err);
}

int vfui_client_start(struct vfu_client *cl, struct vfu_client_access *a)
{
	struct vfu_wire_region_read_request in = {a->offset, a->index,
						  (uint32_t)a->len}; /* a write begins so, too */
	const struct iovec iov[] = {{&in, sizeof(in)}, {a->buf, a->len}};
	const struct vfui_end end = {
		.told = ended, .fn = a->fn, .user = a->user, .number = (int)a->len};
	bool reads = !a->is_write;
	const struct vfui_out out = {.command = reads ? VFU_WIRE_CMD_REGION_READ
						      : VFU_WIRE_CMD_REGION_WRITE,
				     .iov = iov,
				     .niov = reads ? 1 : 2,
				     .fds = NULL,
				     .nfds = 0,
				     .no_reply = false,
				     .sink = reads ? a->buf : NULL,
				     .sink_skip = sizeof(in),
				     .sink_len = reads ? a->len : 0,
				     .timeout_ms = vfui_client_answer_time(a->timeout_ms),
				     .done = NULL,
				     .user = NULL,
				     .end = &end};

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

void vfu_client_explain(struct vfu_client *cl, const struct vfu_client_access *access, int status,
			struct vfu_err *err)
{
	unsigned command = access->is_write ? VFU_WIRE_CMD_REGION_WRITE : VFU_WIRE_CMD_REGION_READ;
	struct vfui_conn *conn = *cl->fork_mark ? vfui_client_hold(cl) : NULL;

	vfui_err_clear(err);
	if (status < 0)
		vfui_err_set(err, status, NULL, 0, "%s", strerror(-status));
	if (!conn)
		return;
	if (status < 0)
		vfui_conn_describe(conn, command, status, err);
	vfui_refusal_of_access(cl, access, err);
	vfui_client_leave(cl);
}

int vfu_client_cancel(struct vfu_client *cl, uint64_t id)
{
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (!conn)
		return ret == -ENOTCONN ? -ENOENT : ret;
	/* The library's own requests have none. */
	ret = id > UINT16_MAX ? vfui_conn_cancel(conn, id) : -ENOENT;
	return vfui_client_end(cl, ret, &err);
}
