/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma.c - the client's memory: which ranges the device may reach, and serving it by message.
 */
#include <errno.h>
#include <string.h>

#include "client/handle.h"
#include "base/os.h"
#include "vfu-calls.h"

/* ---- the table; all with the lock held ---- */

static struct vfui_client_range *range_of(struct vfui_range *range)
{
	return range ? vfui_container_of(range, struct vfui_client_range, range) : NULL;
}

/* Gone from the table; freed once nobody waits for its reply. */
static void drop(struct vfu_client *cl, struct vfui_client_range *r)
{
	vfui_ranges_remove(&cl->ranges, &r->range);
	if (r->is_pending)
		r->is_gone = true;
	else
		vfui_os_free(r);
}

/* Drops all ranges that lie whole in [first, last]. */
static void drop_inside(struct vfu_client *cl, uint64_t first, uint64_t last)
{
	struct vfui_range *range = vfui_ranges_from(&cl->ranges, first);

	while (range && range->last <= last) {
		uint64_t end = range->last;

		if (range->first >= first)
			drop(cl, range_of(range));
		range = end < last ? vfui_ranges_from(&cl->ranges, end + 1) : NULL;
	}
}

void vfui_client_forget_ranges(struct vfu_client *cl)
{
	while (cl->ranges.root)
		drop(cl, range_of(cl->ranges.root));
}

static int insert(struct vfu_client *cl, struct vfui_client_range *r)
{
	struct vfui_range *next = vfui_ranges_from(&cl->ranges, r->range.first);

	if (next && next->first <= r->range.last)
		return -EEXIST;
	vfui_ranges_insert(&cl->ranges, &r->range);
	return 0;
}

/* ---- mapping ---- */

/*
 * Puts a range into the table. That comes before the message: the device may use the range before
 * its answer is here.
 */
static int add_range(struct vfu_client *cl, const struct vfu_wire_dma_map_request *in, void *host,
		     struct vfui_client_range **out, struct vfu_err *err)
{
	struct vfui_client_range *r;
	int ret;

	if (!in->size || in->size - 1 > UINT64_MAX - in->address)
		return vfui_err_set(err, -EINVAL, "dma_map.size", 24,
				    "the range is empty or passes the end of 64 bits");
	if (in->flags & ~(uint32_t)(VFU_DMA_READ | VFU_DMA_WRITE))
		return vfui_err_set(err, -EINVAL, "dma_map.flags", 4, "unknown flags");
	r = vfui_os_calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	*r = (struct vfui_client_range){.range = {.first = in->address,
						  .last = in->address + (in->size - 1)},
					.cl = cl,
					.host = host,
					.flags = in->flags,
					.is_pending = true};
	vfui_os_lock(&cl->lock);
	ret = insert(cl, r);
	vfui_os_unlock(&cl->lock);
	if (ret) {
		vfui_os_free(r);
		return vfui_err_set(err, ret, "dma_map.address", 16, "overlaps another range");
	}
	*out = r;
	return 0;
}

/* The map of a range was answered, or could not be sent. It may have been unmapped meanwhile. */
static void settle_range(struct vfu_client *cl, struct vfui_client_range *r, int status)
{
	vfui_os_lock(&cl->lock);
	r->is_pending = false;
	if (r->is_gone)
		vfui_os_free(r);
	else if (status)
		drop(cl, r);
	vfui_os_unlock(&cl->lock);
}

static struct vfu_wire_dma_map_request map_request(uint64_t iova, uint64_t size, unsigned flags,
						   int fd, uint64_t fd_offset)
{
	return (struct vfu_wire_dma_map_request){.argsz = sizeof(struct vfu_wire_dma_map_request),
						 .flags = flags,
						 .offset = fd >= 0 ? fd_offset : 0,
						 .address = iova,
						 .size = size};
}

int vfu_client_dma_map(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
		       void *host, int fd, uint64_t fd_offset)
{
	struct vfu_wire_dma_map_request in = map_request(iova, size, flags, fd, fd_offset);
	struct vfu_err err;
	struct vfui_call call = vfui_client_call(&err);
	struct vfui_client_range *r;
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	ret = add_range(cl, &in, host, &r, &err);
	if (!ret) {
		call.fds = &fd;
		call.nfds = fd >= 0;
		ret = vfui_call_dma_map(conn, &call, &in);
		settle_range(cl, r, ret);
	}
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_dma_unmap(struct vfu_client *cl, uint64_t iova, uint64_t size)
{
	struct vfu_wire_dma_unmap_request in = {.argsz = sizeof(in), .address = iova, .size = size};
	struct vfu_wire_dma_unmap_reply out;
	struct vfu_err err;
	struct vfui_call call = vfui_client_call(&err);
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	ret = vfui_call_dma_unmap(conn, &call, &in, &out);
	if (!ret && size) {
		vfui_os_lock(&cl->lock);
		drop_inside(cl, iova, iova + (size - 1));
		vfui_os_unlock(&cl->lock);
	}
	return vfui_client_end(cl, ret, &err);
}

/* ---- mapping without waiting ---- */

static void map_done(void *user, int status, struct vfui_msg *reply)
{
	struct vfui_client_range *r = user;
	struct vfu_client *cl = r->cl;

	(void)reply;
	settle_range(cl, r, status);
	vfui_os_lock(&cl->lock);
	if (status && !cl->map_error)
		cl->map_error = status;
	vfui_os_unlock(&cl->lock);
	atomic_fetch_sub(&cl->nowait, 1);
}

static bool all_answered(void *cl)
{
	return atomic_load(&((struct vfu_client *)cl)->nowait) == 0;
}

/* The requests have deadlines of their own. */
static int await_maps(struct vfu_client *cl, struct vfui_conn *conn)
{
	return vfui_conn_wait(conn, all_answered, cl, -1);
}

/* One less to wait for, although no reply came: those who wait must be told. */
static void uncount(struct vfu_client *cl, struct vfui_conn *conn)
{
	atomic_fetch_sub(&cl->nowait, 1);
	vfui_conn_wake(conn);
}

static int send_map(struct vfui_conn *conn, const struct vfu_wire_dma_map_request *in,
		    const int *fd, struct vfui_client_range *r)
{
	struct iovec iov = {(void *)(uintptr_t)in, sizeof(*in)};
	struct vfui_out out = {.command = VFU_WIRE_CMD_DMA_MAP,
			       .iov = &iov,
			       .niov = 1,
			       .fds = fd,
			       .nfds = *fd >= 0,
			       .timeout_ms = -1,
			       .done = map_done,
			       .user = r};

	return vfui_conn_send(conn, &out);
}

/* Has so much been sent without waiting that the answers might fill the way back? */
static bool is_storm(struct vfu_client *cl, struct vfui_conn *conn)
{
	size_t each = sizeof(struct vfu_wire_header) + sizeof(struct vfu_wire_dma_map_request);

	return atomic_load(&cl->nowait) * (uint64_t)each >=
	       vfui_conn_option(conn, VFU_OPT_QUEUE_BYTES);
}

int vfu_client_dma_map_nowait(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
			      void *host, int fd, uint64_t fd_offset)
{
	struct vfu_wire_dma_map_request in = map_request(iova, size, flags, fd, fd_offset);
	struct vfu_err err = {0};
	struct vfui_client_range *r = NULL;
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);
	bool may_wait;

	if (!conn)
		return ret;
	may_wait = !(vfui_conn_is_reader(conn) && cl->is_in_dma_fn);
	if (may_wait && is_storm(cl, conn))
		ret = await_maps(cl, conn);
	if (!ret)
		ret = add_range(cl, &in, host, &r, &err);
	if (ret)
		return vfui_client_end(cl, ret, &err);
	atomic_fetch_add(&cl->nowait, 1);
	ret = send_map(conn, &in, &fd, r);
	if (ret == -ENOBUFS && may_wait) {
		uncount(cl, conn);
		ret = await_maps(cl, conn);
		atomic_fetch_add(&cl->nowait, 1);
		if (!ret)
			ret = send_map(conn, &in, &fd, r);
	}
	if (ret) {
		uncount(cl, conn);
		settle_range(cl, r, ret);
	}
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_fence(struct vfu_client *cl)
{
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	ret = await_maps(cl, conn);
	if (!ret) {
		vfui_os_lock(&cl->lock);
		ret = cl->map_error;
		cl->map_error = 0;
		vfui_os_unlock(&cl->lock);
	}
	return vfui_client_end(cl, ret, &err);
}

void vfu_client_set_dma(struct vfu_client *cl, vfu_client_dma_fn *fn, void *user)
{
	if (!*cl->fork_mark)
		return;
	vfui_os_lock(&cl->lock);
	cl->dma_fn = fn;
	cl->dma_user = user;
	vfui_os_unlock(&cl->lock);
}

/* ---- serving the device ---- */

/* The part of an access that lies in one range. */
struct piece {
	uint8_t *host; /* NULL: fn serves it */
	vfu_client_dma_fn *fn;
	void *user;
	size_t len;
};

/* The beginning of [iova, iova + len), which is allowed only if it may be accessed so. */
static int find_piece(struct vfu_client *cl, uint64_t iova, size_t len, uint32_t access,
		      struct piece *out)
{
	struct vfui_client_range *r;
	int ret = 0;

	vfui_os_lock(&cl->lock);
	r = range_of(vfui_ranges_from(&cl->ranges, iova));
	if (!r || r->range.first > iova) {
		ret = -EFAULT;
	} else if (!(r->flags & access)) {
		ret = -EACCES;
	} else if (!r->host && !cl->dma_fn) {
		ret = -EFAULT;
	} else {
		*out = (struct piece){.fn = cl->dma_fn, .user = cl->dma_user, .len = len};
		if (len - 1 > r->range.last - iova)
			out->len = (size_t)(r->range.last - iova) + 1;
		if (r->host)
			out->host = r->host + (iova - r->range.first);
	}
	vfui_os_unlock(&cl->lock);
	return ret;
}

/* All of it may be accessed: a transfer is done whole or not at all (E2). */
static int check_pieces(struct vfu_client *cl, uint64_t iova, size_t len, uint32_t access)
{
	struct piece piece;

	for (size_t done = 0; done < len; done += piece.len) {
		int ret = find_piece(cl, iova + done, len - done, access, &piece);

		if (ret)
			return ret;
	}
	return 0;
}

static int move_piece(struct vfu_client *cl, const struct piece *piece, uint64_t iova,
		      bool is_write, uint8_t *data)
{
	int ret;

	if (piece->host) {
		memcpy(is_write ? piece->host : data, is_write ? data : piece->host, piece->len);
		return 0;
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
	struct piece piece;

	for (size_t done = 0; done < len && !ret; done += piece.len) {
		ret = find_piece(cl, iova + done, len - done, access, &piece);
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
	struct piece piece;
	int ret;

	if (!len)
		return 0;
	ret = find_piece(cl, iova, len, VFU_DMA_READ, &piece);
	if (ret)
		return ret;
	if (piece.host && piece.len == len) {
		*data = piece.host;
		return 0;
	}
	*data = bounce(cl, len);
	return *data ? move_pieces(cl, iova, len, false, cl->bounce) : -ENOMEM;
}

static int serve(struct vfu_client *cl, struct vfui_conn *conn, struct vfui_msg *msg)
{
	struct vfu_wire_dma_read_reply
		reply; /* as DMA_WRITE's, and as both requests: 16 bytes (E1) */
	const uint8_t *data = NULL;
	struct iovec iov[2] = {{&reply, sizeof(reply)}};
	int ret;

	memcpy(&reply, msg->payload, sizeof(reply));
	if (msg->hdr.command == VFU_WIRE_CMD_DMA_READ) {
		ret = serve_read(cl, reply.address, reply.count, &data);
		iov[1] = (struct iovec){(void *)(uintptr_t)data, reply.count};
	} else {
		ret = move_pieces(cl, reply.address, reply.count, true,
				  (uint8_t *)(uintptr_t)msg->payload + sizeof(reply));
	}
	vfui_conn_reply(conn, &msg->hdr, ret, iov, data ? 2 : 1, NULL, 0);
	return ret;
}

void vfui_client_command(void *ctx, struct vfui_conn *conn, struct vfui_msg *msg)
{
	struct vfu_client *cl = ctx;
	struct vfu_err err;
	int ret = vfui_conn_check(conn, msg, &err);

	if (ret) {
		vfui_log(vfui_conn_log(conn), VFU_LOG_WARN, "the device's %s is refused: %s: %s",
			 msg->info->name, err.field, err.text);
		vfui_conn_reply(conn, &msg->hdr, ret, NULL, 0, NULL, 0);
		return;
	}
	ret = serve(cl, conn, msg);
	if (ret)
		vfui_log(vfui_conn_log(conn), VFU_LOG_INFO, "the device's %s failed: %s",
			 msg->info->name, strerror(-ret));
	atomic_fetch_add(&cl->served, 1);
}
