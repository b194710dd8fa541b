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

#include "base/os.h"
#include "client/call.h"
#include "parts-region.h"

/* Room of the first question; who has more to say tells how much. */
enum { FIRST_ROOM = 4096 };

static int ask_size(struct vfu_client *cl, unsigned index, uint64_t *size)
{
	const struct vfu_wire_get_region_info_request in = {.argsz = sizeof(in), .index = index};
	struct vfu_wire_get_region_info_reply reply;
	struct vfu_call call = {.size = sizeof(call),
				.command = VFU_WIRE_CMD_GET_REGION_INFO,
				.request = &in,
				.request_len = sizeof(in)};
	int ret = vfu_client_call(cl, &call);

	if (ret)
		return ret;
	memcpy(&reply, call.reply, sizeof(reply));
	*size = reply.size;
	vfu_call_fini(&call);
	return 0;
}

/* The whole answer; it is *call's. */
static int ask(struct vfu_client *cl, unsigned index, struct vfu_call *call)
{
	struct vfu_wire_get_region_io_fds_request in = {.argsz = FIRST_ROOM, .index = index};
	struct vfu_wire_get_region_io_fds_reply head;

	for (unsigned tries = 0; tries < 2; tries++) {
		int ret;

		*call = (struct vfu_call){.size = sizeof(*call),
					  .command = VFU_WIRE_CMD_GET_REGION_IO_FDS,
					  .request = &in,
					  .request_len = sizeof(in)};
		ret = vfu_client_call(cl, call);
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

int vfu_client_io_fds(struct vfu_client *cl, unsigned index, struct vfu_io_fds *out)
{
	uint64_t size = 0;
	int ret = ask_size(cl, index, &size);

	*out = (struct vfu_io_fds){0};
	if (!ret)
		ret = ask(cl, index, &out->answer);
	if (ret)
		return ret;
	ret = digest(&out->answer, size, out);
	if (!ret)
		return 0;
	vfu_io_fds_fini(out);
	return vfui_client_fail(cl, ret,
				ret == -EPROTO
					? "get_region_io_fds.sub_regions: outside of the region"
					: "no memory for the entries");
}

void vfu_io_fds_fini(struct vfu_io_fds *fds)
{
	if (!fds)
		return;
	vfui_os_free(fds->list);
	vfu_call_fini(&fds->answer);
	*fds = (struct vfu_io_fds){0};
}
