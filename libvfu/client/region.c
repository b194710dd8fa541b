/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * region.c - reading and writing regions, and waiting for it.
 */
#include <errno.h>

#include "base/os.h"
#include "client/async.h"
#include "client/call.h"
#include "client/link.h"
#include "client/direct.h"
#include "client/refusal.h"
#include "client/region.h"
#include "vfu-calls.h"
#include "wire-region.h"

size_t vfui_client_piece_max(struct vfui_conn *conn)
{
	return vfui_min(vfui_conn_limits(conn)->max_data_xfer_size,
			vfui_conn_peer_limits(conn)->max_data_xfer_size);
}

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

/* The first len bytes of an access from done on that one message moves. */
static int move(struct vfui_conn *conn, const struct vfu_client_access *a, size_t done, size_t len,
		struct vfu_err *err)
{
	struct vfui_call call = vfui_client_new_call(err);
	uint8_t *buf = (uint8_t *)a->buf + done;

	call.timeout_ms = vfui_client_answer_time(a->timeout_ms);
	if (a->is_write)
		return write_piece(conn, &call, a->index, a->offset + done, buf, (uint32_t)len);
	return read_piece(conn, &call, a->index, a->offset + done, buf, (uint32_t)len);
}

static int move_all(struct vfu_client *cl, const struct vfu_client_access *a)
{
	struct vfu_err err;
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);
	uint64_t posted;

	if (!conn)
		return ret;
	if (vfui_client_may_be_direct(conn)) {
		ret = vfui_client_direct(cl, conn, a);
		if (ret)
			return vfui_client_end(cl, ret < 0 ? ret : 0, NULL);
	}
	posted = vfui_link_posted(cl);
	for (size_t done = 0; done < a->len && !ret;) {
		size_t n = vfui_min(a->len - done, vfui_client_piece_max(conn));

		ret = move(conn, a, done, n, &err);
		done += n;
	}
	if (!ret)
		vfui_link_seen(cl, posted);
	else if (ret == -EINVAL)
		vfui_refusal_of_access(cl, a, &err);
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_region_read(struct vfu_client *cl, unsigned index, uint64_t offset, void *buf,
			   size_t len)
{
	const struct vfu_client_access a = {
		.index = index, .offset = offset, .buf = buf, .len = len};

	return move_all(cl, &a);
}

int vfu_client_region_write(struct vfu_client *cl, unsigned index, uint64_t offset, const void *buf,
			    size_t len)
{
	const struct vfu_client_access a = {.is_write = true,
					    .index = index,
					    .offset = offset,
					    .buf = (void *)(uintptr_t)buf,
					    .len = len};

	return move_all(cl, &a);
}

int vfu_client_region_access(struct vfu_client *cl, struct vfu_client_access *access)
{
	if (access->size != sizeof(*access))
		return *cl->fork_mark
			       ? vfui_client_fail(cl, -EINVAL,
						  "vfu_client_region_access: size is not that of "
						  "struct vfu_client_access")
			       : -EOWNERDEAD;
	return access->fn ? vfui_client_start(cl, access) : move_all(cl, access);
}
