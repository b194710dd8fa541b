/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-serve.c - the device reads and writes our memory by message.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/shared.h"
#include "base/sigbus.h"
#include "client/dma-serve.h"
#include "client/dma-table.h"
#include "parts-dma.h"

/* All of it may be accessed: a transfer is done whole or not at all (E2). */
static int check_pieces(struct vfu_client *cl, uint64_t iova, size_t len, uint32_t access)
{
	struct vfui_client_piece piece;

	for (size_t done = 0; done < len; done += piece.len) {
		int ret = vfui_client_table_use(cl, iova + done, len - done, access, &piece);

		if (ret)
			return ret;
	}
	return 0;
}

/* The device has cut the file behind it, or the filesystem is full. Says so once. */
static int check_lost(struct vfu_client *cl, const struct vfui_client_piece *piece, uint64_t iova)
{
	if (vfui_watch_tell(piece->watch))
		vfui_log(&cl->options.log, VFU_LOG_WARN,
			 "DMA range at %#llx: its file was cut, it has no memory any more",
			 (unsigned long long)iova);
	return vfui_watch_is_lost(piece->watch) ? -EFAULT : 0;
}

static int move_piece(struct vfu_client *cl, const struct vfui_client_piece *piece, uint64_t iova,
		      bool is_write, uint8_t *data)
{
	int ret;

	if (piece->host) {
		if (is_write)
			vfui_shared_write(piece->host, data, piece->len);
		else
			vfui_shared_read(data, piece->host, piece->len);
		return check_lost(cl, piece, iova);
	}
	cl->is_in_dma_fn = true;
	ret = piece->fn(piece->user, is_write, iova, data, piece->len);
	cl->is_in_dma_fn = false;
	return ret < 0 ? ret : 0;
}

static int move_pieces(struct vfu_client *cl, uint64_t iova, size_t len, bool is_write,
		       uint8_t *data)
{
	uint32_t access = is_write ? VFU_DMA_WRITE : VFU_DMA_READ;
	int ret = check_pieces(cl, iova, len, access);
	struct vfui_client_piece piece;

	for (size_t done = 0; done < len && !ret; done += piece.len) {
		ret = vfui_client_table_use(cl, iova + done, len - done, access, &piece);
		if (!ret)
			ret = move_piece(cl, &piece, iova + done, is_write, data + done);
	}
	return ret;
}

/* Room for a transfer that does not lie in one piece; kept, for it will be wanted again. */
static uint8_t *bounce(struct vfu_client *cl, size_t len)
{
	if (len > cl->bounce_size) {
		vfui_os_free(cl->bounce);
		cl->bounce = vfui_os_malloc(len);
		cl->bounce_size = cl->bounce ? len : 0;
	}
	return cl->bounce;
}

static int serve_read(struct vfu_client *cl, uint64_t iova, size_t len, const uint8_t **data)
{
	struct vfui_client_piece piece;
	int ret;

	if (!len)
		return 0;
	ret = vfui_client_table_use(cl, iova, len, VFU_DMA_READ, &piece);
	if (ret)
		return ret;
	/* An integer goes as one: who knows in which pieces the kernel takes bytes. */
	if (piece.host && piece.len == len && !vfui_shared_unit(piece.host, len)) {
		*data = piece.host;
		vfui_watch_probe(piece.watch, piece.host, len);
		return check_lost(cl, &piece, iova);
	}
	*data = bounce(cl, len);
	return *data ? move_pieces(cl, iova, len, false, cl->bounce) : -ENOMEM;
}

static int serve(struct vfu_client *cl, struct vfui_conn *conn, struct vfui_msg *msg)
{
	struct vfu_wire_dma_read_reply
		reply; /* as DMA_WRITE's, and as both requests: 16 bytes (E1) */
	const uint8_t *data = NULL;
	size_t len;
	struct iovec iov[2] = {{&reply, sizeof(reply)}};
	int ret;

	memcpy(&reply, msg->payload, sizeof(reply));
	if (msg->hdr.command == VFU_WIRE_CMD_DMA_READ) {
		ret = serve_read(cl, reply.address, reply.count, &data);
		iov[1] = (struct iovec){(void *)(uintptr_t)data, reply.count};
	} else {
		const void *bytes =
			vfu_wire_dma_write_request_data_parse(msg->payload, msg->len, &len);

		ret = move_pieces(cl, reply.address, len, true, (uint8_t *)(uintptr_t)bytes);
	}
	vfui_conn_reply(conn, &msg->hdr, ret, iov, data ? 2 : 1, NULL, 0);
	vfui_client_table_unuse(cl);
	return ret;
}

void vfui_client_command(void *ctx, struct vfui_conn *conn, struct vfui_msg *msg)
{
	struct vfu_client *cl = ctx;
	struct vfu_err err;
	int ret = vfui_conn_check(conn, msg, &err);

	if (ret) {
		vfui_log(vfui_conn_log(conn), VFU_LOG_WARN, "the device's %s is refused: %s: %s",
			 vfui_msg_label(&msg->hdr).text, err.field, err.text);
		vfui_conn_reply(conn, &msg->hdr, ret, NULL, 0, NULL, 0);
		return;
	}
	ret = serve(cl, conn, msg);
	if (ret)
		vfui_log(vfui_conn_log(conn), VFU_LOG_INFO, "the device's %s failed: %s",
			 vfui_msg_label(&msg->hdr).text, strerror(-ret));
	atomic_fetch_add(&cl->served, 1);
}
