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
#include "client/dma-later.h"
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

/* The function may answer later; then move->data is another place, with the same bytes so far. */
static int call_function(struct vfu_client *cl, const struct vfui_client_piece *piece,
			 struct vfui_client_move *move)
{
	int ret;

	move->is_later = false;
	cl->move = move;
	cl->is_in_dma_fn = true;
	ret = piece->fn(piece->user, move->is_write, move->what.address + move->at,
			move->data + move->at, piece->len);
	cl->is_in_dma_fn = false;
	cl->move = NULL;
	if (move->is_later)
		return 0;
	return ret == VFU_LATER ? -EIO : ret < 0 ? ret : 0;
}

static int move_piece(struct vfu_client *cl, const struct vfui_client_piece *piece,
		      struct vfui_client_move *move)
{
	uint8_t *data = move->data + move->at;

	if (!piece->host)
		return call_function(cl, piece, move);
	if (move->is_write)
		vfui_shared_write(piece->host, data, piece->len);
	else
		vfui_shared_read(data, piece->host, piece->len);
	return check_lost(cl, piece, move->what.address + move->at);
}

static int move_pieces(struct vfu_client *cl, struct vfui_client_move *move)
{
	uint32_t access = move->is_write ? VFU_DMA_WRITE : VFU_DMA_READ;
	uint64_t iova = move->what.address;
	size_t len = (size_t)move->what.count;
	int ret = check_pieces(cl, iova, len, access);
	struct vfui_client_piece piece;

	for (move->at = 0; move->at < len && !ret; move->at += piece.len) {
		ret = vfui_client_table_use(cl, iova + move->at, len - move->at, access, &piece);
		if (!ret)
			ret = move_piece(cl, &piece, move);
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

static int serve_read(struct vfu_client *cl, struct vfui_client_move *move)
{
	uint64_t iova = move->what.address;
	size_t len = (size_t)move->what.count;
	struct vfui_client_piece piece;
	int ret;

	if (!len)
		return 0;
	ret = vfui_client_table_use(cl, iova, len, VFU_DMA_READ, &piece);
	if (ret)
		return ret;
	/* An integer goes as one: who knows in which pieces the kernel takes bytes. */
	if (piece.host && piece.len == len && !vfui_shared_unit(piece.host, len)) {
		move->data = piece.host;
		vfui_watch_probe(piece.watch, piece.host, len);
		return check_lost(cl, &piece, iova);
	}
	move->data = bounce(cl, len);
	return move->data ? move_pieces(cl, move) : -ENOMEM;
}

static int serve(struct vfu_client *cl, struct vfui_msg *msg, struct vfui_client_move *move)
{
	const void *bytes;
	size_t len;

	if (!move->is_write)
		return serve_read(cl, move);
	bytes = vfu_wire_dma_write_request_data_parse(msg->payload, msg->len, &len);
	move->data = (uint8_t *)(uintptr_t)bytes;
	return move_pieces(cl, move);
}

static void answer(struct vfu_client *cl, struct vfui_conn *conn, struct vfui_client_move *move,
		   int status)
{
	struct iovec iov[2] = {{&move->what, sizeof(move->what)},
			       {move->data, (size_t)move->what.count}};

	if (move->transfer) {
		vfui_client_later_end(move->transfer, status);
		return;
	}
	vfui_conn_reply(conn, move->hdr, status, iov, !move->is_write && move->data ? 2 : 1, NULL,
			0);
	vfui_client_count_served(cl, move->hdr, status);
}

void vfui_client_command(void *ctx, struct vfui_conn *conn, struct vfui_msg *msg)
{
	struct vfu_client *cl = ctx;
	struct vfui_client_move move = {.hdr = &msg->hdr,
					.is_write = msg->hdr.command == VFU_WIRE_CMD_DMA_WRITE};
	struct vfu_err err;
	int ret = vfui_conn_check(conn, msg, &err);

	if (ret) {
		vfui_log(vfui_conn_log(conn), VFU_LOG_WARN, "the device's %s is refused: %s: %s",
			 vfui_msg_label(&msg->hdr).text, err.field, err.text);
		vfui_conn_reply(conn, &msg->hdr, ret, NULL, 0, NULL, 0);
		return;
	}
	memcpy(&move.what, msg->payload, sizeof(move.what));
	ret = serve(cl, msg, &move);
	answer(cl, conn, &move, ret);
	vfui_client_table_unuse(cl);
}
