/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * io-fds.c - asking for descriptors that take accesses in place of messages (GET_REGION_IO_FDS).
 *
 *	GET_REGION_INFO -> size
 *	GET_REGION_IO_FDS -> entries, each of which names descriptors of the answer and lies inside of the region
 *
 * Who gives such places to KVM adds them to where the guest has the region: one outside of it would be a place in
 * somebody else's. So the size is asked for first, and an answer with such an entry is refused as a whole.
 */
#include <errno.h>
#include <string.h>

#include "base/eventfd.h"
#include "base/os.h"
#include "client/call.h"
#include "client/info.h"
#include "client/io-fds.h"
#include "parts-region.h"

/* Room of the first question; who has more to say tells how much. */
enum { FIRST_ROOM = 4096 };

/* The whole answer; it is *call's. */
static int ask(struct vfu_client *cl, struct vfui_conn *conn, unsigned index, struct vfu_call *call)
{
	struct vfu_wire_get_region_io_fds_request in = {.argsz = FIRST_ROOM, .index = index};
	struct vfu_wire_get_region_io_fds_reply head;

	for (unsigned tries = 0; tries < 2; tries++) {
		int ret;

		*call = (struct vfu_call){.size = sizeof(*call),
					  .command = VFU_WIRE_CMD_GET_REGION_IO_FDS,
					  .request = &in,
					  .request_len = sizeof(in)};
		ret = vfui_client_call_on(cl, conn, call);
		call->request = NULL;
		if (ret)
			return ret;
		memcpy(&head, call->reply, sizeof(head));
		if (head.argsz <= in.argsz)
			return 0;
		vfu_call_fini(call);
		in.argsz = head.argsz;
	}
	return vfui_client_fail(cl, -EPROTO, "the answer does not fit in the room it asks for");
}

/* What an entry says in either layout; false: nobody here knows its type. The check has found its descriptors. */
static bool take(const struct vfu_wire_get_region_io_fds_reply_sub_regions *entry, const int *fds,
		 struct vfu_io_fd *out)
{
	struct vfu_wire_io_fd shorter;
	struct vfu_wire_io_fd_shadow longer;

	if (entry->kind == VFU_WIRE_GET_REGION_IO_FDS_REPLY_SUB_REGIONS_UNKNOWN)
		return false;
	/* What they have in common lies where it does in both; the rest is looked at by kind. */
	memcpy(&shorter, &entry->as, sizeof(shorter));
	memcpy(&longer, &entry->as, sizeof(longer));
	*out = (struct vfu_io_fd){.type = shorter.type,
				  .flags = shorter.flags,
				  .offset = shorter.offset,
				  .size = shorter.size,
				  .datamatch = shorter.datamatch,
				  .fd = fds[shorter.fd_index],
				  .shadow_fd = -1};
	if (entry->kind == VFU_WIRE_GET_REGION_IO_FDS_REPLY_SUB_REGIONS_IOEVENTFD_LONG ||
	    entry->kind == VFU_WIRE_GET_REGION_IO_FDS_REPLY_SUB_REGIONS_SHADOW)
		out->datamatch = longer.datamatch;
	if (entry->kind == VFU_WIRE_GET_REGION_IO_FDS_REPLY_SUB_REGIONS_SHADOW) {
		out->shadow_fd = fds[longer.shadow_mem_fd_index];
		out->shadow_offset = longer.shadow_offset;
	}
	return true;
}

static int digest(const struct vfu_call *call, uint64_t size, struct vfu_io_fds *out)
{
	struct vfu_wire_get_region_io_fds_reply_sub_regions entry;
	struct vfu_wire_items entries =
		vfu_wire_get_region_io_fds_reply_sub_regions_parse(call->reply, call->reply_len);

	/* Their number is that of bytes that are here. */
	out->list = vfui_os_calloc((size_t)entries.left + 1, sizeof(*out->list));
	if (!out->list)
		return -ENOMEM;
	while (vfu_wire_get_region_io_fds_reply_sub_regions_next(&entries, &entry)) {
		struct vfu_io_fd *one = &out->list[out->n];

		if (!take(&entry, call->reply_fds, one))
			continue;
		if (!vfui_is_inside(one->offset, vfui_max(one->size, 1), size))
			return -EPROTO;
		out->n++;
	}
	return 0;
}

static int get_io_fds(struct vfu_client *cl, struct vfui_conn *conn, unsigned index,
		      struct vfu_io_fds *out)
{
	struct vfui_kept_region *region;
	int ret = vfui_client_region(cl, conn, index, &region);

	*out = (struct vfu_io_fds){0};
	if (!ret)
		ret = ask(cl, conn, index, &out->answer);
	if (ret)
		return ret;
	ret = digest(&out->answer, region->info.size, out);
	if (!ret)
		return 0;
	vfu_io_fds_fini(out);
	return vfui_client_fail(cl, ret,
				ret == -EPROTO
					? "get_region_io_fds.sub_regions: outside of the region"
					: "no memory for the entries");
}

int vfu_client_io_fds(struct vfu_client *cl, unsigned index, struct vfu_io_fds *out)
{
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	return conn ? vfui_client_end(cl, get_io_fds(cl, conn, index, out), NULL) : ret;
}

void vfu_io_fds_fini(struct vfu_io_fds *fds)
{
	if (!fds)
		return;
	vfui_os_free(fds->list);
	vfu_call_fini(&fds->answer);
	*fds = (struct vfu_io_fds){0};
}

/* Our side has failed, or the connection, or an entry breaks a rule: not a device that has none. */
static bool is_failure(int ret)
{
	return vfui_client_is_unanswered(ret) || ret == -ENOMEM || ret == -ENOBUFS;
}

/* A peer can call anything an eventfd; the others are not for us to signal. */
static void keep_eventfds(struct vfu_io_fds *io)
{
	unsigned n = 0;

	for (unsigned i = 0; i < io->n; i++)
		if (io->list[i].type == VFU_IO_EVENTFD && vfui_is_eventfd(io->list[i].fd))
			io->list[n++] = io->list[i];
	io->n = n;
}

int vfui_client_io(struct vfu_client *cl, struct vfui_conn *conn, unsigned index,
		   struct vfui_kept_region *region, const struct vfu_io_fds **out)
{
	struct vfu_io_fds *io = atomic_load(&region->io), *other = NULL;
	int ret;

	*out = io;
	if (io)
		return 0;
	io = vfui_os_calloc(1, sizeof(*io));
	if (!io)
		return vfui_client_fail(cl, -ENOMEM, "no memory for the region's eventfds");
	ret = get_io_fds(cl, conn, index, io);
	if (is_failure(ret)) {
		vfui_os_free(io);
		return ret;
	}
	keep_eventfds(io);
	*out = io;
	if (atomic_compare_exchange_strong(&region->io, &other, io))
		return 0;
	vfu_io_fds_fini(io);
	vfui_os_free(io);
	*out = other;
	return 0;
}
