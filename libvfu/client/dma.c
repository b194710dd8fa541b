/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma.c - which memory the device may reach, and when it no longer does.
 *
 * The table of ranges (dma-table.c) is what the device's messages are served from. Callers change
 * it, the thread that reads uses it; often that is another one, so a caller that sleeps learns of
 * an answer late, when messages behind it may have been served.
 *
 *     caller            thread that reads                                server
 *     map: add range -- DMA_MAP ---------------------------------------> may use it at once
 *       |               DMA_READ, DMA_WRITE: served <-------------------
 *       |               the answer: refused? the range leaves <---------
 *     unmap ----------- DMA_UNMAP -------------------------------------> may use it till here
 *       |               DMA_READ, DMA_WRITE: still served <-------------
 *       |               the answer: the range leaves <------------------
 *     free(memory)      DMA_READ, DMA_WRITE: -EFAULT <------------------
 *
 * So a range leaves where the answer is read, in settled and done callbacks, before the next
 * message is looked at. Where no answer comes (time is up, Ctrl-C, the connection is lost) nobody
 * knows what the server did, and the caller will hardly keep the memory: the range leaves as well.
 * If then another thread is copying from it, the caller waits for the end of that copy. Only a
 * server's refusal, or a request that was never sent, keeps what it should unmap.
 */
#include <errno.h>

#include "base/os.h"
#include "client/call.h"
#include "client/dma-table.h"
#include "client/link.h"
#include "client/master.h"
#include "client/refusal.h"
#include "vfu-calls.h"
#include "wire-dma.h"

/* ---- mapping ---- */

/* *fd is -1 from then on if the device does not get files: nor is it told how to use one. */
static struct vfu_wire_dma_map_request map_request(struct vfui_conn *conn, uint64_t iova,
						   uint64_t size, unsigned flags, int *fd,
						   uint64_t fd_offset)
{
	if (!vfui_conn_option(conn, VFU_OPT_DMA_SHARE)) {
		*fd = -1;
		flags &= ~(VFU_WIRE_DMA_MAP_MMAP | VFU_WIRE_DMA_MAP_FILE_IO);
	}
	return (struct vfu_wire_dma_map_request){.argsz = sizeof(struct vfu_wire_dma_map_request),
						 .flags = flags,
						 .offset = *fd >= 0 ? fd_offset : 0,
						 .address = iova,
						 .size = size};
}

/* Before the range is in the table, where it must make sense. */
static int check_map(struct vfui_conn *conn, const struct vfu_wire_dma_map_request *in, bool has_fd,
		     struct vfu_err *err)
{
	struct iovec iov = {(void *)(uintptr_t)in, sizeof(*in)};

	return vfui_conn_check_own(conn, VFU_WIRE_CMD_DMA_MAP, &iov, 1, has_fd, err);
}

static void map_settled(void *user, int status)
{
	struct vfui_client_range **r = user;

	vfui_client_table_settle(*r, status);
	*r = NULL;
}

int vfui_client_map(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
		    struct vfui_client_memory memory, uint64_t fd_offset)
{
	struct vfu_wire_dma_map_request in;
	struct vfu_err err;
	struct vfui_call call = vfui_client_new_call(&err);
	struct vfui_client_range *r;
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	in = map_request(conn, iova, size, flags, &memory.fd, fd_offset);
	ret = check_map(conn, &in, memory.fd >= 0, &err);
	if (!ret)
		ret = vfui_client_use_master(cl, conn, &err);
	if (!ret)
		ret = vfui_client_table_add(cl, &in, &memory, &r, &err);
	if (!ret) {
		call.fds = &memory.fd;
		call.nfds = memory.fd >= 0;
		call.settled = map_settled;
		call.user = &r;
		ret = vfui_call_dma_map(conn, &call, &in);
		if (r)
			map_settled(&r, ret);
	}
	vfui_conn_explain_fds(VFU_WIRE_CMD_DMA_MAP, ret, &memory.fd, memory.fd >= 0, &err);
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_dma_map(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
		       void *host, int fd, uint64_t fd_offset)
{
	return vfui_client_map(cl, iova, size, flags,
			       (struct vfui_client_memory){.host = host, .fd = fd}, fd_offset);
}

int vfu_client_dma_map_fn(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
			  vfu_client_dma_fn *fn, void *user)
{
	return vfui_client_map(cl, iova, size, flags,
			       (struct vfui_client_memory){.fd = -1, .fn = fn, .user = user}, 0);
}

struct unmap {
	struct vfu_client *cl;
	uint64_t first, last;
	bool is_settled;
};

/* The server has unmapped it, or may have: it neither refused nor was it never asked. */
static bool may_be_unmapped(int status)
{
	return !status || vfui_client_is_unanswered(status);
}

static void unmap_settled(void *user, int status)
{
	struct unmap *unmap = user;

	unmap->is_settled = true;
	if (may_be_unmapped(status))
		vfui_client_table_drop(unmap->cl, unmap->first, unmap->last);
}

/* All that lies whole in what in says. */
static int unmap(struct vfu_client *cl, struct vfui_conn *conn,
		 const struct vfu_wire_dma_unmap_request *in, struct vfu_err *err)
{
	bool is_all = in->flags & VFU_WIRE_DMA_UNMAP_ALL;
	struct unmap unmap = {.cl = cl,
			      .first = in->address,
			      .last = is_all ? UINT64_MAX : in->address + (in->size - 1)};
	struct vfu_wire_dma_unmap_reply out;
	struct vfui_call call = vfui_client_new_call(err);
	int ret;

	call.settled = unmap_settled;
	call.user = &unmap;
	ret = vfui_call_dma_unmap(conn, &call, in, &out);
	if (!unmap.is_settled)
		unmap_settled(&unmap, ret);
	if (ret == -EINVAL && !is_all)
		vfui_refusal_of_unmap(cl, unmap.first, unmap.last, err);
	return ret;
}

/* There is no connection just now: then the next one is not told of the memory. Returns status. */
static int forget_lost(struct vfu_client *cl, uint64_t first, uint64_t last, int status)
{
	if (vfui_link_is_live(cl) && status != -EDEADLK && status != -EOWNERDEAD) {
		vfui_client_table_drop(cl, first, last);
		vfui_link_restart(cl, "memory was unmapped meanwhile");
	}
	return status;
}

int vfu_client_dma_unmap(struct vfu_client *cl, uint64_t iova, uint64_t size)
{
	struct vfu_wire_dma_unmap_request in = {.argsz = sizeof(in), .address = iova, .size = size};
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return size ? forget_lost(cl, iova, iova + (size - 1), ret) : ret;
	ret = unmap(cl, conn, &in, &err);
	return vfui_client_end(cl, ret, &err);
}

size_t vfu_client_dma_ranges(struct vfu_client *cl, struct vfu_dma_range *out, size_t n)
{
	return *cl->fork_mark ? vfui_client_table_list(cl, out, n) : 0;
}

/* ---- without waiting ---- */

/* The first error of a map is kept for whoever waits for all, of whatever thread they are. */
static void keep_map_error(struct vfu_client *cl, int status)
{
	vfui_os_lock(&cl->lock);
	if (status && !cl->map_error)
		cl->map_error = status;
	vfui_os_unlock(&cl->lock);
}

static int take_map_error(struct vfu_client *cl)
{
	int ret;

	vfui_os_lock(&cl->lock);
	ret = cl->map_error;
	cl->map_error = 0;
	vfui_os_unlock(&cl->lock);
	return ret;
}

static void map_done(void *user, int status, struct vfui_msg *reply)
{
	struct vfui_client_range *r = user;
	struct vfu_client *cl = r->cl;

	(void)reply;
	vfui_client_table_settle(r, status);
	keep_map_error(cl, status);
	atomic_fetch_sub(&cl->nowait, 1);
}

static bool all_answered(void *cl)
{
	return atomic_load(&((struct vfu_client *)cl)->nowait) == 0;
}

/*
 * The requests have deadlines of their own, which the thread that reads looks at. It may be in a callback
 * that does not return: this ends when for the time of a request none of them has.
 */
static int await_answers(struct vfu_client *cl, struct vfui_conn *conn)
{
	int timeout = (int)vfui_conn_option(conn, VFU_OPT_TIMEOUT_MS), ret;
	unsigned before;

	do {
		before = atomic_load(&cl->nowait);
		ret = vfui_conn_wait(conn, all_answered, cl, timeout ? timeout : -1);
	} while (ret == -ETIMEDOUT && atomic_load(&cl->nowait) != before);
	return ret;
}

/* Has so much been sent without waiting that the answers might fill the way back? */
static bool is_storm(struct vfu_client *cl, struct vfui_conn *conn)
{
	size_t each = sizeof(struct vfu_wire_header) + sizeof(struct vfu_wire_dma_map_request);

	return atomic_load(&cl->nowait) * (uint64_t)each >=
	       vfui_conn_option(conn, VFU_OPT_QUEUE_BYTES);
}

/* Sends a request that is answered later; for room in the queue it waits, if it may. */
static int send_counted(struct vfu_client *cl, struct vfui_conn *conn, const struct vfui_out *out,
			bool may_wait)
{
	int ret;

	atomic_fetch_add(&cl->nowait, 1);
	ret = may_wait ? vfui_conn_send_in_time(conn, out) : vfui_conn_send(conn, out);
	if (ret) {
		/* One less to wait for, although no reply came: those who wait must be told. */
		atomic_fetch_sub(&cl->nowait, 1);
		vfui_conn_wake(conn);
	}
	return ret;
}

static int send_map(struct vfu_client *cl, struct vfui_conn *conn,
		    const struct vfu_wire_dma_map_request *in, const int *fd,
		    struct vfui_client_range *r, bool may_wait)
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
	int ret = send_counted(cl, conn, &out, may_wait);

	if (ret)
		vfui_client_table_settle(r, ret);
	return ret;
}

int vfu_client_dma_map_nowait(struct vfu_client *cl, uint64_t iova, uint64_t size, unsigned flags,
			      void *host, int fd, uint64_t fd_offset)
{
	struct vfu_wire_dma_map_request in;
	struct vfui_client_memory memory = {.host = host};
	struct vfu_err err = {0};
	struct vfui_client_range *r = NULL;
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);
	bool may_wait;

	if (!conn)
		return ret;
	if (vfui_client_is_one_by_one(conn)) {
		vfui_client_end(cl, 0, NULL);
		return vfu_client_dma_map(cl, iova, size, flags, host, fd, fd_offset);
	}
	may_wait = !vfui_client_is_in_dma(cl, conn);
	in = map_request(conn, iova, size, flags, &fd, fd_offset);
	memory.fd = fd;
	ret = check_map(conn, &in, fd >= 0, &err);
	if (!ret && may_wait)
		ret = vfui_client_use_master(cl, conn, &err);
	if (!ret && may_wait && is_storm(cl, conn))
		ret = await_answers(cl, conn);
	if (!ret)
		ret = vfui_client_table_add(cl, &in, &memory, &r, &err);
	if (!ret)
		ret = send_map(cl, conn, &in, &fd, r, may_wait);
	vfui_conn_explain_fds(VFU_WIRE_CMD_DMA_MAP, ret, &fd, fd >= 0, &err);
	return vfui_client_end(cl, ret, &err);
}

int vfu_client_fence(struct vfu_client *cl)
{
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	ret = await_answers(cl, conn);
	if (!ret)
		ret = take_map_error(cl);
	return vfui_client_end(cl, ret, &err);
}

/* ---- taking all back ---- */

static void unmap_done(void *user, int status, struct vfui_msg *reply)
{
	struct vfui_client_range *r = user;
	struct vfu_client *cl = r->cl;

	(void)reply;
	vfui_client_table_asked(r, status, may_be_unmapped(status));
	atomic_fetch_sub(&cl->nowait, 1);
}

/* One that is answered later, or where there is no room for that, waited for: as long for its turn as for its answer. */
static int ask_for_one(struct vfu_client *cl, struct vfui_conn *conn, struct vfui_client_range *r,
		       struct vfu_err *err)
{
	struct vfu_wire_dma_unmap_request in = {
		.argsz = sizeof(in), .address = r->map.address, .size = r->map.size};
	struct iovec iov = {&in, sizeof(in)};
	struct vfui_out out = {.command = VFU_WIRE_CMD_DMA_UNMAP,
			       .iov = &iov,
			       .niov = 1,
			       .timeout_ms = -1,
			       .done = unmap_done,
			       .user = r};
	bool waits = vfui_client_is_one_by_one(conn);
	int ret = waits ? 0 : send_counted(cl, conn, &out, false);

	waits = waits || ret == -ENOBUFS;
	if (waits)
		ret = unmap(cl, conn, &in, err);
	if (waits || ret)
		vfui_client_table_asked(r, ret, may_be_unmapped(ret));
	return ret;
}

/*
 * One request for each, none of which waits for the one before. What could not be sent says that there is nobody to
 * ask any more, or stays. What another thread is asking for is waited for, and asked for again if it stays.
 */
static int ask_for_each(struct vfu_client *cl, struct vfui_conn *conn,
			struct vfui_client_asker *asker, struct vfu_err *err)
{
	struct vfui_client_range *r;
	bool is_last = false, is_his;
	uint64_t iova = 0;
	int first = 0, ret = 0;

	while (!is_last && !(ret && may_be_unmapped(ret)) &&
	       (r = vfui_client_table_ask(cl, iova, asker, &is_his))) {
		if (is_his) {
			is_last = r->range.last == UINT64_MAX;
			iova = r->range.last + 1;
			ret = ask_for_one(cl, conn, r, err);
		} else {
			vfui_client_table_release(r);
		}
		if (!ret && (!is_his || is_storm(cl, conn)))
			ret = await_answers(cl, conn);
		if (ret && !first)
			first = ret;
	}
	return first;
}

/* The first error. What the server refuses stays; what it has not answered when nobody waits any more does not. */
static int unmap_each(struct vfu_client *cl, struct vfui_conn *conn, struct vfu_err *err)
{
	struct vfui_client_asker asker = {0};
	int first = ask_for_each(cl, conn, &asker, err);
	int ret = await_answers(cl, conn);

	if (ret)
		vfui_client_table_drop_asked(cl, &asker);
	return asker.error ? asker.error : first ? first : ret;
}

int vfu_client_dma_unmap_all(struct vfu_client *cl)
{
	struct vfu_wire_dma_unmap_request in = {.argsz = sizeof(in),
						.flags = VFU_WIRE_DMA_UNMAP_ALL};
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);
	bool is_done = false;

	if (!conn)
		return forget_lost(cl, 0, UINT64_MAX, ret);
	if (vfui_conn_policy(conn)->unmap_all == VFUI_UNMAP_ALL_FLAG) {
		ret = unmap(cl, conn, &in, &err);
		is_done = may_be_unmapped(ret);
	}
	if (!is_done)
		ret = unmap_each(cl, conn, &err);
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
