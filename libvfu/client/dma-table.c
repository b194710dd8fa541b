/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-table.c - the ranges that the device may reach.
 */
#include <errno.h>

#include "base/os.h"
#include "base/sigbus.h"
#include "client/dma-table.h"
#include "client/link.h"
#include "wire-dma.h"

static struct vfui_client_range *range_of(struct vfui_range *range)
{
	return range ? vfui_container_of(range, struct vfui_client_range, range) : NULL;
}

/* r (NULL: none) is what the thread that reads uses from now on. With the lock. */
static void set_in_use(struct vfu_client *cl, struct vfui_client_range *r)
{
	cl->in_use = r;
	if (cl->users_awaited)
		vfui_os_cond_broadcast(&cl->cond);
}

/* With the lock. */
static void release(struct vfui_client_range *r)
{
	if (--r->holders)
		return;
	if (r->file)
		vfui_recall_file_put(&r->cl->link->recall, r->file);
	vfui_os_free(r);
}

void vfui_client_own_free(struct vfui_client_own *own)
{
	struct vfui_client_own *next;

	for (; own; own = next) {
		next = own->next;
		if (own->host)
			vfui_os_munmap(own->host, own->size);
		vfui_os_free(own);
	}
}

/* With the lock, which it gives up while another thread uses the range. */
static void drop(struct vfu_client *cl, struct vfui_client_range *r)
{
	vfui_ranges_remove(&cl->ranges, &r->range);
	r->is_gone = true;
	r->asker = NULL;
	cl->users_awaited++;
	while (cl->in_use == r)
		vfui_os_cond_wait(&cl->cond, &cl->lock, -1);
	cl->users_awaited--;
	vfu_watch_free(r->watch);
	r->watch = NULL;
	vfui_client_own_free(r->own);
	r->own = NULL;
	release(r);
}

void vfui_client_table_drop(struct vfu_client *cl, uint64_t first, uint64_t last)
{
	struct vfui_range *range;

	vfui_os_lock(&cl->lock);
	range = vfui_ranges_from(&cl->ranges, first);
	while (range && range->last <= last) {
		uint64_t end = range->last;

		if (range->first >= first)
			drop(cl, range_of(range));
		range = end < last ? vfui_ranges_from(&cl->ranges, end + 1) : NULL;
	}
	vfui_os_unlock(&cl->lock);
}

void vfui_client_table_drop_asked(struct vfu_client *cl, const struct vfui_client_asker *asker)
{
	struct vfui_range *range;

	vfui_os_lock(&cl->lock);
	range = vfui_ranges_from(&cl->ranges, 0);
	while (range) {
		uint64_t end = range->last;

		if (range_of(range)->asker == asker)
			drop(cl, range_of(range));
		range = end < UINT64_MAX ? vfui_ranges_from(&cl->ranges, end + 1) : NULL;
	}
	vfui_os_unlock(&cl->lock);
}

void vfui_client_table_clear(struct vfu_client *cl)
{
	cl->in_use = NULL;
	while (cl->ranges.root) {
		struct vfui_client_range *r = range_of(cl->ranges.root);

		if (r->own) {
			r->own->next = cl->left;
			cl->left = r->own;
			r->own = NULL;
		}
		drop(cl, r);
	}
}

/* With the lock. */
static struct vfui_client_range *hold(struct vfu_client *cl, uint64_t iova)
{
	struct vfui_client_range *r = range_of(vfui_ranges_from(&cl->ranges, iova));

	if (r)
		r->holders++;
	return r;
}

struct vfui_client_range *vfui_client_table_hold(struct vfu_client *cl, uint64_t iova)
{
	struct vfui_client_range *r;

	vfui_os_lock(&cl->lock);
	r = hold(cl, iova);
	vfui_os_unlock(&cl->lock);
	return r;
}

struct vfui_client_range *vfui_client_table_ask(struct vfu_client *cl, uint64_t iova,
						struct vfui_client_asker *asker, bool *is_his)
{
	struct vfui_client_range *r;

	vfui_os_lock(&cl->lock);
	r = hold(cl, iova);
	*is_his = r && !r->asker;
	if (*is_his)
		r->asker = asker;
	vfui_os_unlock(&cl->lock);
	return r;
}

void vfui_client_table_asked(struct vfui_client_range *r, int status, bool leaves)
{
	struct vfu_client *cl = r->cl;

	vfui_os_lock(&cl->lock);
	if (r->asker && !r->asker->error)
		r->asker->error = status;
	r->asker = NULL;
	if (leaves && !r->is_gone)
		drop(cl, r);
	release(r);
	vfui_os_unlock(&cl->lock);
}

bool vfui_client_table_release(struct vfui_client_range *r)
{
	struct vfu_client *cl = r->cl;
	bool is_gone;

	vfui_os_lock(&cl->lock);
	is_gone = r->is_gone;
	release(r);
	vfui_os_unlock(&cl->lock);
	return is_gone;
}

/* fd: a file that is kept for the next connection, if there may be one. With the lock. */
static int insert(struct vfu_client *cl, struct vfui_client_range *r, int fd)
{
	struct vfui_range *next = vfui_ranges_from(&cl->ranges, r->range.first);

	if (next && next->first <= r->range.last)
		return -EEXIST;
	if (fd >= 0 && vfui_link_is_live(cl)) {
		int ret = vfui_recall_file_get(&cl->link->recall, fd, &r->file);

		if (ret)
			return ret;
	}
	vfui_ranges_insert(&cl->ranges, &r->range);
	return 0;
}

/* With its memory, which from then on goes with it, whoever takes it back. With the lock. */
static int insert_with(struct vfu_client *cl, struct vfui_client_range *r,
		       const struct vfui_client_memory *memory)
{
	int ret = insert(cl, r, memory->fd);

	if (!ret && memory->own) {
		r->own = *memory->own;
		*memory->own = NULL;
	}
	return ret;
}

/* ---- a range's life ---- */

int vfui_client_table_add(struct vfu_client *cl, const struct vfu_wire_dma_map_request *in,
			  const struct vfui_client_memory *memory, struct vfui_client_range **out,
			  struct vfu_err *err)
{
	void *host = memory->host;
	int fd = memory->fd;
	struct vfui_client_range *r;
	int ret;

	if (host && in->size - 1 > UINTPTR_MAX - (uintptr_t)host)
		return vfui_err_set(err, -EINVAL, "dma_map.size", 24,
				    "memory here does not go on for so long");
	r = vfui_os_calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	*r = (struct vfui_client_range){.range = {.first = in->address,
						  .last = in->address + (in->size - 1)},
					.cl = cl,
					.host = host,
					.fn = memory->fn,
					.user = memory->user,
					.map = *in,
					.flags = in->flags,
					.is_shared = fd >= 0,
					.holders = 2};
	if (host && fd >= 0)
		r->watch = vfu_watch_new(host, (size_t)in->size);
	if (host && fd >= 0 && !r->watch) {
		vfui_os_free(r);
		return -ENOMEM;
	}
	vfui_os_lock(&cl->lock);
	ret = insert_with(cl, r, memory);
	vfui_os_unlock(&cl->lock);
	if (ret) {
		vfu_watch_free(r->watch);
		vfui_os_free(r);
		return ret == -EEXIST ? vfui_err_set(err, ret, "dma_map.address", 16,
						     "overlaps another range")
				      : ret;
	}
	*out = r;
	return 0;
}

void vfui_client_table_settle(struct vfui_client_range *r, int status)
{
	struct vfu_client *cl = r->cl;

	vfui_os_lock(&cl->lock);
	if (status && !r->is_gone)
		drop(cl, r);
	release(r);
	vfui_os_unlock(&cl->lock);
}

/* ---- looking ---- */

int vfui_client_table_use(struct vfu_client *cl, uint64_t iova, size_t len, uint32_t access,
			  struct vfui_client_piece *out)
{
	struct vfui_client_range *r;
	bool is_own;
	int ret = 0;

	vfui_os_lock(&cl->lock);
	r = range_of(vfui_ranges_from(&cl->ranges, iova));
	/* Once it is being closed: whoever did so in the function of the piece before may have freed the memory. */
	if (!r || r->range.first > iova || cl->is_closing) {
		ret = -EFAULT;
	} else if (!(r->flags & access)) {
		ret = -EACCES;
	} else if (!r->host && !r->fn && !cl->dma_fn) {
		ret = -EFAULT;
	} else {
		is_own = r->fn;
		*out = (struct vfui_client_piece){.fn = is_own ? r->fn : cl->dma_fn,
						  .user = is_own ? r->user : cl->dma_user,
						  .len = len};
		if (len - 1 > r->range.last - iova)
			out->len = (size_t)(r->range.last - iova) + 1;
		if (r->host)
			out->host = r->host + (iova - r->range.first);
		out->watch = r->watch;
	}
	set_in_use(cl, ret ? NULL : r);
	vfui_os_unlock(&cl->lock);
	return ret;
}

void vfui_client_table_unuse(struct vfu_client *cl)
{
	vfui_os_lock(&cl->lock);
	set_in_use(cl, NULL);
	vfui_os_unlock(&cl->lock);
}

size_t vfui_client_table_list(struct vfu_client *cl, struct vfu_dma_range *out, size_t n)
{
	uint64_t iova = 0;
	size_t count;

	vfui_os_lock(&cl->lock);
	count = cl->ranges.count;
	for (size_t i = 0; i < n && i < count; i++) {
		const struct vfui_client_range *r = range_of(vfui_ranges_from(&cl->ranges, iova));

		out[i] = (struct vfu_dma_range){.iova = r->range.first,
						.size = r->range.last - r->range.first + 1,
						.flags = r->flags,
						.mapped = r->is_shared};
		iova = out[i].iova + out[i].size;
	}
	vfui_os_unlock(&cl->lock);
	return count;
}
