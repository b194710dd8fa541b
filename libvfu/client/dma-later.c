/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-later.c - transfers of the device that functions of ranges answer later.
 *
 * A command may lie in several ranges, each with memory or a function of its own; each function may
 * take its piece out. The first that does makes a transfer, which has the command's data from then
 * on. It counts what is open, the thread that reads while it goes through the pieces included, and
 * whoever ends the last sends the answer:
 *
 *     DMA_READ 0x0ff0, 0x30 bytes     |  memory  |  fn: later  |  fn: later  |
 *     the thread that reads                copies    open = 2      open = 3      end: open = 2
 *     some thread                                        vfu_client_dma_answer:   open = 1
 *     another                                                          _answer:   open = 0: reply
 *
 * Nobody waits for it: an unmap does not, as the device that asks for one has given up its copies,
 * nor does the end of a connection. What it holds is bounded (VFU_OPT_QUEUE_BYTES), as the device
 * may ask as often as it likes.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "client/call.h"
#include "client/dma-later.h"

struct vfui_transfer {
	struct vfu_client *cl;
	unsigned connection; /* of the client's, by number */
	struct vfu_wire_header hdr;
	struct vfu_wire_dma_read_reply what;
	bool is_write;
	atomic_uint open;
	atomic_int status;   /* the first error */
	atomic_size_t bytes; /* it counts for */
	uint8_t data[];
};

/* A piece. */
struct vfu_client_dma {
	struct vfui_transfer *transfer;
	uint8_t *data;
};

/* One more on top of what waits already is always taken. */
static bool take(struct vfu_client *cl, size_t bytes, uint64_t limit)
{
	if (atomic_load(&cl->later_bytes) >= limit)
		return false;
	atomic_fetch_add(&cl->later_bytes, bytes);
	return true;
}

static struct vfui_transfer *transfer_new(struct vfu_client *cl,
					  const struct vfui_client_move *move)
{
	size_t len = (size_t)move->what.count;
	struct vfui_transfer *t = vfui_os_calloc(1, sizeof(*t) + len);

	if (!t)
		return NULL;
	t->cl = cl;
	t->hdr = *move->hdr;
	t->what = move->what;
	t->is_write = move->is_write;
	vfui_os_lock(&cl->lock);
	t->connection = cl->connection;
	vfui_os_unlock(&cl->lock);
	atomic_init(&t->open, 1);
	memcpy(t->data, move->data, move->is_write ? len : move->at);
	return t;
}

void vfui_client_count_served(struct vfu_client *cl, const struct vfu_wire_header *hdr, int status)
{
	if (status)
		vfui_log(&cl->options.log, VFU_LOG_INFO, "the device's %s failed: %s",
			 vfui_msg_label(hdr).text, strerror(-status));
	atomic_fetch_add(&cl->served, 1);
}

/* Also on one that calls may not use yet: the device may, as soon as it has its memory again. */
static struct vfui_conn *hold(struct vfu_client *cl)
{
	return *cl->fork_mark ? vfui_client_hold_any(cl) : NULL;
}

/* Sends the answer. */
static int finish(struct vfui_transfer *t)
{
	struct vfu_client *cl = t->cl;
	struct iovec iov[2] = {{&t->what, sizeof(t->what)}, {t->data, (size_t)t->what.count}};
	int ret = -ENOTCONN, status = atomic_load(&t->status);
	struct vfui_conn *conn = hold(cl);
	bool is_same = false;

	if (conn) {
		vfui_os_lock(&cl->lock);
		is_same = cl->connection == t->connection;
		vfui_os_unlock(&cl->lock);
		ret = is_same ? vfui_conn_reply(conn, &t->hdr, status, iov, t->is_write ? 1 : 2,
						NULL, 0)
			      : -ENOTCONN;
		if (is_same)
			vfui_client_count_served(cl, &t->hdr, status);
		vfui_client_end(cl, ret, NULL);
	}
	atomic_fetch_sub(&cl->later_bytes, atomic_load(&t->bytes));
	vfui_os_free(t);
	return ret;
}

static int end_piece(struct vfui_transfer *t, int status)
{
	int none = 0;

	if (status < 0)
		atomic_compare_exchange_strong(&t->status, &none, status);
	return atomic_fetch_sub(&t->open, 1) == 1 ? finish(t) : 0;
}

void vfui_client_later_end(struct vfui_transfer *transfer, int status)
{
	end_piece(transfer, status);
}

/* ---- for functions of ranges ---- */

/* What the calling thread's function is in, and can take out; and how much may be out. */
static struct vfui_client_move *move_of(struct vfu_client *cl, uint64_t *limit)
{
	struct vfui_conn *conn = hold(cl);
	struct vfui_client_move *move = NULL;

	if (!conn)
		return NULL;
	*limit = vfui_conn_option(conn, VFU_OPT_QUEUE_BYTES);
	if (vfui_client_is_in_dma(cl, conn) && !cl->move->is_later)
		move = cl->move;
	vfui_client_end(cl, 0, NULL);
	return move;
}

struct vfu_client_dma *vfu_client_dma_later(struct vfu_client *cl)
{
	uint64_t limit = 0;
	struct vfui_client_move *move = move_of(cl, &limit);
	struct vfui_transfer *t = move ? move->transfer : NULL;
	size_t bytes = sizeof(struct vfu_client_dma);
	struct vfu_client_dma *dma;

	if (move && !t)
		bytes += sizeof(*t) + (size_t)move->what.count;
	if (!move || !take(cl, bytes, limit))
		return NULL;
	dma = vfui_os_calloc(1, sizeof(*dma));
	if (dma && !t)
		t = transfer_new(cl, move);
	if (!dma || !t) {
		atomic_fetch_sub(&cl->later_bytes, bytes);
		vfui_os_free(dma);
		return NULL;
	}
	atomic_fetch_add(&t->bytes, bytes);
	atomic_fetch_add(&t->open, 1);
	*dma = (struct vfu_client_dma){.transfer = t, .data = t->data + move->at};
	move->transfer = t;
	move->data = t->data;
	move->is_later = true;
	return dma;
}

void *vfu_client_dma_data(struct vfu_client_dma *dma)
{
	return dma->data;
}

int vfu_client_dma_answer(struct vfu_client_dma *dma, int status)
{
	struct vfui_transfer *t = dma->transfer;

	vfui_os_free(dma);
	return end_piece(t, status);
}
