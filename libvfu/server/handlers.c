/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * handlers.c - what a server does for each message.
 *
 *	order.c: its turn, gate passed --> generated check --> vfui_server_handlers.NAME(srv, req, in, tail)
 *	                                                             |
 *	   0, nothing sent        an empty answer <------------------+
 *	   0, is_replied          it has answered, by reply() or with descriptors
 *	   VFU_LATER              the device has deferred it, or with is_again it is to be called again from req->step on
 *	   -errno                 an error, with req->err if that says more: vfui_server_fail
 *
 * What may be true here: the payload has passed its check, so that fields, lengths and descriptors are lawful; in is an aligned copy
 * of its fixed part, tail points into what was received, at any alignment, and is gone when the handler returns. Indices are
 * the client's: each is looked up. Descriptors belong to the message until they are taken. A handler runs on the owner, up to
 * VFUI_SERVER_DEPTH of them inside of one another: callbacks of the device wait for DMA in them, and meanwhile others run.
 *
 * Reads and writes are the hot path: plain memory is read in its place and sent from there, all else goes
 * through a buffer of this depth (scratch). A large write to plain memory was received in its place (vfui_server_place_write).
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/sigbus.h"
#include "server/handlers.h"
#include "parts-region.h"
#include "wire.h"

static const struct vfui_policy *policy_of(const struct vfu_server *srv)
{
	return vfui_conn_policy(srv->conn);
}

static int reply(struct vfu_server *srv, struct vfui_request *req, const struct iovec *iov,
		 int niov)
{
	req->is_replied = true;
	if (!(req->msg->hdr.flags & VFU_WIRE_HEADER_NO_REPLY))
		vfui_conn_reply(srv->conn, &req->msg->hdr, 0, iov, niov, NULL, 0);
	return 0;
}

static int reply_fixed(struct vfu_server *srv, struct vfui_request *req, const void *out,
		       size_t len)
{
	const struct iovec iov = {.iov_base = (void *)out, .iov_len = len};

	return reply(srv, req, &iov, 1);
}

static int no_such(struct vfui_request *req, const char *what, uint32_t index)
{
	return vfui_err_set(req->err, -EINVAL, NULL, 0, "there is no %s %u", what, index);
}

/* ---- asking about the device ---- */

static int get_info(void *ctx, struct vfui_request *req, const struct vfu_wire_get_info_request *in,
		    const void *tail, size_t tail_len)
{
	struct vfu_server *srv = ctx;
	const struct vfu_wire_get_info_reply out = {
		.argsz = sizeof(out),
		.flags = VFU_WIRE_DEVICE_INFO_RESET | VFU_WIRE_DEVICE_INFO_PCI,
		.num_regions = srv->dev->regions.n,
		.num_irqs = VFU_IRQS,
	};

	(void)in, (void)tail, (void)tail_len;
	return reply_fixed(srv, req, &out, sizeof(out));
}

static int get_region_info(void *ctx, struct vfui_request *req,
			   const struct vfu_wire_get_region_info_request *in, const void *tail,
			   size_t tail_len)
{
	struct vfu_server *srv = ctx;
	struct vfui_region_reply out;
	struct iovec iov;
	int rc;

	(void)tail, (void)tail_len;
	if (!vfui_region_at(&srv->dev->regions, in->index))
		return no_such(req, "region", in->index);
	rc = vfui_region_info(&srv->dev->regions, in->index, in->argsz,
			      vfui_conn_peer_limits(srv->conn), policy_of(srv), &out);
	if (rc < 0)
		return rc;
	iov = (struct iovec){.iov_base = out.payload, .iov_len = out.len};
	req->is_replied = true;
	vfui_conn_reply(srv->conn, &req->msg->hdr, 0, &iov, 1, out.fds.fd, out.fds.n);
	vfui_os_free(out.payload);
	return 0;
}

static int get_region_io_fds(void *ctx, struct vfui_request *req,
			     const struct vfu_wire_get_region_io_fds_request *in, const void *tail,
			     size_t tail_len)
{
	struct vfu_server *srv = ctx;
	struct vfui_region *region = vfui_region_at(&srv->dev->regions, in->index);
	struct vfui_io_fds out;
	struct iovec iov;
	int rc;

	(void)tail, (void)tail_len;
	if (!region)
		return no_such(req, "region", in->index);
	rc = vfui_ioevents_reply(&region->ioevents, in->index, in->argsz,
				 vfui_conn_peer_limits(srv->conn)->max_msg_fds,
				 policy_of(srv)->io_fd_layout == VFUI_IO_FD_LAYOUT_LONGER, &out);
	if (rc < 0)
		return rc;
	iov = (struct iovec){.iov_base = out.payload, .iov_len = out.len};
	req->is_replied = true;
	vfui_conn_reply(srv->conn, &req->msg->hdr, 0, &iov, 1, out.fds, out.nfds);
	vfui_os_free(out.payload);
	vfui_os_free(out.fds);
	return 0;
}

static int get_irq_info(void *ctx, struct vfui_request *req,
			const struct vfu_wire_get_irq_info_request *in, const void *tail,
			size_t tail_len)
{
	struct vfu_server *srv = ctx;
	struct vfu_wire_get_irq_info_reply out = {.argsz = sizeof(out), .index = in->index};
	int rc = vfui_irqs_info(&srv->dev->irqs, in->index, &out.flags, &out.count);

	(void)tail, (void)tail_len;
	return rc < 0 ? no_such(req, "interrupt index", in->index)
		      : reply_fixed(srv, req, &out, sizeof(out));
}

static int set_irqs(void *ctx, struct vfui_request *req, const struct vfu_wire_set_irqs_request *in,
		    const void *tail, size_t tail_len)
{
	struct vfu_server *srv = ctx;
	struct vfui_irqs *irqs = &srv->dev->irqs;
	unsigned n = req->msg->nfds;
	int rc;

	(void)tail_len;
	if (n) {
		n += vfui_irqs_eventfds(irqs, in);
		rc = vfui_account_set_eventfds(srv->account, n);
		if (rc < 0)
			return vfui_err_set(req->err, rc, "set_irqs.fds", 0,
					    "too many descriptors are kept already");
	}
	rc = vfui_irqs_set(irqs, in, tail, req->msg->fds, req->msg->nfds, policy_of(srv), req->err);
	if (srv->account->eventfds)
		vfui_account_set_eventfds(srv->account, vfui_irqs_eventfds(irqs, NULL));
	return rc;
}

/* ---- accesses ---- */

/* Between handlers it is worth a look whether memory serves so much alone. */
#define LARGE 4096

/* Where a region's bytes lie if nobody has to be asked for them, else NULL. needs: VFU_REGION_*. */
static void *plain_memory(const struct vfui_region *region, uint64_t offset, uint32_t count,
			  uint32_t needs)
{
	if (!region->memory || region->def.access || region->def.widths ||
	    (region->nhandlers &&
	     (count < LARGE || vfui_region_is_handled(region, offset, count))) ||
	    !(region->def.flags & needs) || !vfui_is_inside(offset, count, region->def.size) ||
	    (region->watch && vfui_watch_probe(region->watch, region->memory + offset, count)))
		return NULL;
	return region->memory + offset;
}

/* A large one. Clears too: what a callback leaves alone must not hold what an earlier message left there. */
VFUI_APART static void *large_scratch(struct vfui_scratch *buf, size_t size, bool clear)
{
	void *data;

	if (!buf->data || size > buf->size) {
		size_t room = vfui_max(size, 4096);

		data = vfui_os_realloc(buf->data, room);
		if (!data)
			return NULL;
		buf->data = data;
		buf->size = room;
	}
	return clear ? memset(buf->data, 0, size) : buf->data;
}

/*
 * A cleared buffer, one for each level of callbacks. NULL: out of memory. Most reads are short; a
 * buffer has room for 8 bytes, and those are cleared at once. Where a region wants none cleared,
 * device/region.c does so with what its functions leave.
 */
static void *scratch(struct vfu_server *srv, const struct vfui_region *region, size_t size)
{
	struct vfui_scratch *buf = &srv->scratch[srv->waits];

	if (size > 8 || !buf->data)
		return large_scratch(buf, size, !(region->def.flags & VFU_REGION_UNCLEARED));
	return memset(buf->data, 0, 8);
}

/* Says which access failed; returns rc. */
VFUI_APART static int access_failed(struct vfu_server *srv, struct vfui_request *req,
				    const struct vfu_access *access, int rc)
{
	const struct vfui_region *region = vfui_region_at(&srv->dev->regions, access->region);
	bool fits = !region || vfui_region_takes(region, access);

	if (rc == -EFAULT && region && vfui_watch_tell(region->watch))
		vfui_log(&srv->dev->log, VFU_LOG_WARN,
			 "region %u: its file was cut, it has no memory any more", access->region);
	return vfui_err_set(req->err, rc, NULL, 0, "%s of %u bytes at 0x%llx of region %u%s",
			    access->is_write ? "write" : "read", access->count,
			    (unsigned long long)access->offset, access->region,
			    fits ? "" : ", which has other widths (region.widths)");
}

/* What the reply to an access begins with, answered now or later. */
static void fill_head(struct vfu_request *req, uint64_t offset, uint32_t region, uint32_t count)
{
	const struct vfu_wire_region_read_reply head = {
		.offset = offset, .region = region, .count = count};

	vfui_request_set_head(req, &head, sizeof(head));
}

/* The device has lent memory for a read that is over. */
VFUI_APART static int end_lent(struct vfu_server *srv, struct vfui_request *req, int rc)
{
	if (rc || req->base.is_deferred) {
		vfui_request_drop_lent(&req->base);
		return rc < 0 ? access_failed(srv, req, &req->base.access, rc) : rc;
	}
	req->is_replied = true;
	vfui_request_answer_lent(srv->conn, &req->msg->hdr, &req->base);
	return 0;
}

static int region_read(void *ctx, struct vfui_request *req,
		       const struct vfu_wire_region_read_request *in, const void *tail,
		       size_t tail_len)
{
	struct vfu_server *srv = ctx;
	const struct vfui_region *region = vfui_region_at(&srv->dev->regions, in->region);
	struct iovec iov[2];
	int rc;

	(void)tail, (void)tail_len;
	if (!region)
		return no_such(req, "region", in->region);
	fill_head(&req->base, in->offset, in->region, in->count);
	iov[0] = (struct iovec){.iov_base = req->base.head, .iov_len = req->base.head_len};
	iov[1].iov_len = in->count;
	iov[1].iov_base = plain_memory(region, in->offset, in->count, VFU_REGION_READ);
	if (!iov[1].iov_base) {
		iov[1].iov_base = scratch(srv, region, in->count);
		if (!iov[1].iov_base)
			return -ENOMEM;
		req->base.is_access = true;
		req->base.access = (struct vfu_access){.offset = in->offset,
						       .data = iov[1].iov_base,
						       .count = in->count,
						       .region = in->region};
		rc = vfui_region_access(&srv->dev->regions, &req->base, &req->base.access);
		if (req->base.is_lent)
			return end_lent(srv, req, rc);
		if (rc < 0)
			return access_failed(srv, req, &req->base.access, rc);
		if (rc || req->base.is_deferred)
			return rc;
	}
	return reply(srv, req, iov, in->count ? 2 : 1);
}

void *vfui_server_place_write(struct vfu_server *srv, const struct vfui_msg *msg)
{
	struct vfu_wire_region_write_request in;
	const struct vfui_region *region;

	memcpy(&in, msg->payload, sizeof(in));
	region = vfui_region_at(&srv->dev->regions, in.region);
	return region ? plain_memory(region, in.offset, in.count, VFU_REGION_WRITE) : NULL;
}

/* It is in the memory already: whether that was still there. A region that has gone meanwhile came after it. */
VFUI_APART static int placed_write(struct vfu_server *srv, uint32_t index)
{
	const struct vfui_region *region = vfui_region_at(&srv->dev->regions, index);

	return region && vfui_watch_is_lost(region->watch) ? -EFAULT : 0;
}

static int region_write(void *ctx, struct vfui_request *req,
			const struct vfu_wire_region_write_request *in, const void *tail,
			size_t tail_len)
{
	struct vfu_server *srv = ctx;
	int rc;

	(void)tail_len;
	if (!vfui_region_at(&srv->dev->regions, in->region) && !req->msg->placed)
		return no_such(req, "region", in->region);
	fill_head(&req->base, in->offset, in->region, in->count);
	req->base.is_access = true;
	req->base.access = (struct vfu_access){.offset = in->offset,
					       .data = (void *)tail,
					       .count = in->count,
					       .region = in->region,
					       .is_write = true};
	if (req->msg->placed)
		rc = placed_write(srv, in->region);
	else
		rc = vfui_region_access(&srv->dev->regions, &req->base, &req->base.access);
	if (rc < 0)
		return access_failed(srv, req, &req->base.access, rc);
	if (rc || req->base.is_deferred)
		return rc;
	return reply_fixed(srv, req, req->base.head, req->base.head_len);
}

/* One write of many. Each starts when the one before is done, also if that takes a while. */
static int write_one(struct vfu_server *srv, struct vfui_request *req,
		     const struct vfu_wire_write_multi_entry *entry)
{
	req->base.is_silent = true;
	atomic_init(&req->base.is_told, false);
	req->base.is_access = true;
	req->base.access = (struct vfu_access){.offset = entry->offset,
					       .data = (void *)&entry->data,
					       .count = entry->count,
					       .region = entry->region,
					       .is_write = true};
	return vfui_region_access(&srv->dev->regions, &req->base, &req->base.access);
}

/* One write failed. 0: go on with the next; else what the request ends with. */
static int write_failed(struct vfu_server *srv, struct vfui_request *req, int rc)
{
	access_failed(srv, req, &req->base.access, rc < 0 ? rc : -EIO);
	if (!(req->msg->hdr.flags & VFU_WIRE_HEADER_NO_REPLY))
		return req->err->code;
	vfui_server_fail(srv, req->msg, req->err->code, req->err, atomic_load(&req->base.is_told));
	return 0;
}

/*
 * In order. Posted: each write stands for itself, as if it had come alone. A failure keeps none of the
 * others from being done, and neither does one that is answered later. Else the reply counts the
 * writes done until the first that failed: each waits for the one before, as requests that change
 * things do. One that failed later counts as done; that is logged, as with any posted write.
 */
static int region_write_multi(void *ctx, struct vfui_request *req,
			      const struct vfu_wire_region_write_multi_request *in,
			      const void *tail, size_t tail_len)
{
	struct vfu_server *srv = ctx;
	struct vfu_wire_items writes =
		vfu_wire_region_write_multi_request_writes_parse(req->msg->payload, req->msg->len);
	struct vfu_wire_write_multi_entry entry;
	struct vfu_wire_region_write_multi_reply out;
	int rc = 0;

	(void)in, (void)tail, (void)tail_len;
	vfu_wire_items_skip(&writes, req->step);
	for (; writes.left > 0 && !vfui_server_is_held_up(srv); req->step++) {
		vfu_wire_region_write_multi_request_writes_next(&writes, &entry);
		rc = write_one(srv, req, &entry);
		if (req->base.is_deferred)
			rc = req->base.is_deferred = false;
		else if (rc)
			rc = write_failed(srv, req, rc);
		if (rc)
			break;
	}
	if (rc && !req->step)
		return rc;
	if (!rc && vfui_server_is_held_up(srv)) {
		req->is_again = true;
		return VFU_LATER;
	}
	out.wr_cnt = req->step;
	return reply_fixed(srv, req, &out, sizeof(out));
}

/* ---- DMA ranges ---- */

static int dma_map(void *ctx, struct vfui_request *req, const struct vfu_wire_dma_map_request *in,
		   const void *tail, size_t tail_len)
{
	struct vfu_server *srv = ctx;

	(void)tail, (void)tail_len;
	return vfui_dma_map(&srv->dev->dma, in->flags, in->offset, in->address, in->size,
			    vfui_msg_take_fd(req->msg, 0), policy_of(srv), req->err);
}

static int dma_unmap(void *ctx, struct vfui_request *req,
		     const struct vfu_wire_dma_unmap_request *in, const void *tail, size_t tail_len)
{
	struct vfu_server *srv = ctx;
	bool all = in->flags & VFU_WIRE_DMA_UNMAP_ALL;
	struct vfui_dma_wait *wait;
	struct vfu_request *later;
	int rc;

	(void)tail, (void)tail_len;
	rc = vfui_dma_check_unmap(&srv->dev->dma, in->address, in->size, all, policy_of(srv),
				  req->err);
	if (rc < 0)
		return rc;
	/* The request comes back as it was. All that takes memory comes first: with -ENOMEM nothing is unmapped. */
	vfui_request_set_head(&req->base, in, sizeof(*in));
	req->base.kept = NULL;
	later = vfu_request_defer(&req->base);
	if (!later)
		return -ENOMEM;
	rc = vfui_dma_unmap(&srv->dev->dma, in->address, in->size, all, policy_of(srv), &wait,
			    req->err);
	if (rc == VFU_LATER)
		vfui_device_answer_after(srv->dev, wait, later);
	else
		vfu_request_done(later, rc);
	return VFU_LATER;
}

/* ---- the rest ---- */

static int reset(void *ctx, struct vfui_request *req, const void *tail, size_t tail_len)
{
	struct vfu_server *srv = ctx;

	(void)tail, (void)tail_len;
	req->base.kept = NULL;
	req->base.head_len = 0;
	return vfui_device_reset_for(srv->dev, &req->base);
}

static int device_feature(void *ctx, struct vfui_request *req,
			  const struct vfu_wire_device_feature_request *in, const void *tail,
			  size_t tail_len)
{
	struct vfu_server *srv = ctx;

	(void)tail, (void)tail_len;
	return vfui_feature_serve(&srv->dev->commands, req, in, policy_of(srv));
}

/* VERSION is none of these: it makes the connection (greet.c). */
const struct vfui_handlers vfui_server_handlers = {
	.get_info = get_info,
	.get_region_info = get_region_info,
	.get_region_io_fds = get_region_io_fds,
	.get_irq_info = get_irq_info,
	.set_irqs = set_irqs,
	.region_read = region_read,
	.region_write = region_write,
	.region_write_multi = region_write_multi,
	.dma_map = dma_map,
	.dma_unmap = dma_unmap,
	.reset = reset,
	.device_feature = device_feature,
};

void vfui_server_fail(struct vfu_server *srv, const struct vfui_msg *msg, int status,
		      const struct vfu_err *err, bool is_told)
{
	bool is_posted = msg->hdr.flags & VFU_WIRE_HEADER_NO_REPLY;
	/* What was cancelled has not failed: a reset, the server's end, somebody at the keyboard. */
	enum vfu_log_level level = is_told || status == -ECANCELED ? VFU_LOG_DEBUG : VFU_LOG_WARN;

	if (is_posted)
		vfui_conn_count_drop(srv->conn);
	vfui_log(&srv->dev->log, level, "%s%s failed: %s%s%s", vfui_msg_label(&msg->hdr).text,
		 is_posted ? " without reply" : "", strerror(-status), err->code ? ": " : "",
		 err->code ? err->text : "");
	vfui_conn_reply(srv->conn, &msg->hdr, status, NULL, 0, NULL, 0);
}
