/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * posts.c - writes that want no answer.
 */
#include <errno.h>

#include "base/os.h"
#include "client/call.h"
#include "client/direct.h"
#include "client/region.h"
#include "wire-region.h"

static bool may_post(struct vfu_client *cl, struct vfui_conn *conn)
{
	return vfui_conn_option(conn, VFU_OPT_POSTED) && !atomic_load(&cl->is_mapped) &&
	       !vfui_client_is_one_by_one(conn);
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
	for (size_t done = 0; done < len && !ret;) {
		size_t n = vfui_min(len - done, vfui_client_piece_max(conn));

		ret = post_piece(cl, conn, index, offset + done, (const uint8_t *)buf + done,
				 (uint32_t)n, &err);
		done += n;
	}
	return vfui_client_end(cl, ret, &err);
}
