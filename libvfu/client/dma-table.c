/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-table.c - the ranges that the device may reach.
 */
#include <errno.h>

#include "base/os.h"
#include "client/dma-table.h"

static struct vfui_client_range *range_of(struct vfui_range *range)
{
	return range ? vfui_container_of(range, struct vfui_client_range, range) : NULL;
}

/* Gone from the table; freed once nobody waits for its reply. With the lock. */
static void drop(struct vfu_client *cl, struct vfui_client_range *r)
{
	vfui_ranges_remove(&cl->ranges, &r->range);
	if (r->is_pending)
		r->is_gone = true;
	else
		vfui_os_free(r);
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

void vfui_client_table_clear(struct vfu_client *cl)
{
	while (cl->ranges.root)
		drop(cl, range_of(cl->ranges.root));
}

/* With the lock. */
static int insert(struct vfu_client *cl, struct vfui_client_range *r)
{
	struct vfui_range *next = vfui_ranges_from(&cl->ranges, r->range.first);

	if (next && next->first <= r->range.last)
		return -EEXIST;
	vfui_ranges_insert(&cl->ranges, &r->range);
	return 0;
}

/* ---- a range's life ---- */

int vfui_client_table_add(struct vfu_client *cl, const struct vfu_wire_dma_map_request *in,
			  void *host, struct vfui_client_range **out, struct vfu_err *err)
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

void vfui_client_table_settle(struct vfui_client_range *r, int status)
{
	struct vfu_client *cl = r->cl;

	vfui_os_lock(&cl->lock);
	r->is_pending = false;
	if (r->is_gone)
		vfui_os_free(r);
	else if (status)
		drop(cl, r);
	vfui_os_unlock(&cl->lock);
}

/* ---- looking ---- */

int vfui_client_table_find(struct vfu_client *cl, uint64_t iova, size_t len, uint32_t access,
			   struct vfui_client_piece *out)
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
		*out = (struct vfui_client_piece){
			.fn = cl->dma_fn, .user = cl->dma_user, .len = len};
		if (len - 1 > r->range.last - iova)
			out->len = (size_t)(r->range.last - iova) + 1;
		if (r->host)
			out->host = r->host + (iova - r->range.first);
	}
	vfui_os_unlock(&cl->lock);
	return ret;
}
