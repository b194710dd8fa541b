/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * info.c - what a client asks about the device: limits, regions, interrupts, features; reset.
 */
#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/fds.h"
#include "client/call.h"
#include "client/info.h"
#include "device/peer-file.h"
#include "parts-feature.h"
#include "parts-region.h"
#include "vfu-calls.h"
#include "wire-device.h"
#include "wire-irq.h"

int vfu_client_limits(struct vfu_client *cl, struct vfu_client_limits *out)
{
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);
	const uint64_t *agreed = cl->caps.value;

	if (!conn)
		return ret;
	*out = (struct vfu_client_limits){
		.minor = cl->minor,
		.max_msg_fds = (uint32_t)agreed[VFUI_KEY_MAX_MSG_FDS],
		.max_dma_maps = (uint32_t)agreed[VFUI_KEY_MAX_DMA_MAPS],
		.max_data_xfer_size = agreed[VFUI_KEY_MAX_DATA_XFER_SIZE],
		.pgsizes = agreed[VFUI_KEY_PGSIZES],
		.write_multiple = agreed[VFUI_KEY_WRITE_MULTIPLE] != 0,
		.twin_socket = agreed[VFUI_KEY_TWIN_SOCKET_SUPPORTED] != 0,
	};
	return vfui_client_end(cl, 0, NULL);
}

int vfu_client_agreed(struct vfu_client *cl, const char *name, uint64_t *value)
{
	int ret;
	struct vfu_err err;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (!conn)
		return ret;
	ret = vfui_caps_get(&cl->caps, name, value, &err);
	return vfui_client_end(cl, ret, &err);
}

/* A message like any other that has fixed parts alone. */
static int ask_fixed(struct vfu_client *cl, struct vfui_conn *conn, unsigned command,
		     const void *in, size_t in_len, void *out, size_t out_len)
{
	struct vfu_call call = {
		.size = sizeof(call), .command = command, .request = in, .request_len = in_len};
	int ret = vfui_client_check_wait(cl, conn);

	if (!ret)
		ret = vfui_client_call_on(cl, conn, &call);
	if (ret < 0)
		return ret;
	memcpy(out, call.reply, vfui_min(out_len, call.reply_len));
	vfu_call_fini(&call);
	return 0;
}

static int ask_device(struct vfu_client *cl, struct vfui_conn *conn, struct vfu_device_info *out)
{
	const struct vfu_wire_get_info_request in = {.argsz = sizeof(in)};
	struct vfu_wire_get_info_reply reply;
	int ret =
		ask_fixed(cl, conn, VFU_WIRE_CMD_GET_INFO, &in, sizeof(in), &reply, sizeof(reply));

	if (!ret)
		*out = (struct vfu_device_info){.num_regions = reply.num_regions,
						.num_irqs = reply.num_irqs,
						.pci = reply.flags & VFU_WIRE_DEVICE_INFO_PCI,
						.reset = reply.flags & VFU_WIRE_DEVICE_INFO_RESET};
	return ret;
}

/*
 * Begins a call that may be answered from what is kept: of a connection that has ended nothing is. It may have to wait for
 * another one, but where there is one it may be made in callbacks that must not wait.
 */
static struct vfui_conn *begin_alive(struct vfu_client *cl, int *ret)
{
	struct vfui_conn *conn = vfui_client_begin(cl, false, ret);
	struct vfu_err err = {0};

	if (!conn && *ret == -ENOTCONN)
		conn = vfui_client_begin(cl, true, ret);
	if (conn)
		*ret = vfui_conn_status(conn, &err);
	if (!conn || !*ret)
		return conn;
	vfui_client_end(cl, *ret, &err);
	return NULL;
}

int vfui_client_device(struct vfu_client *cl, struct vfui_conn *conn, struct vfu_device_info *out)
{
	bool is_known;
	int ret;

	vfui_os_lock(&cl->lock);
	is_known = cl->kept.has_device;
	*out = cl->kept.device;
	vfui_os_unlock(&cl->lock);
	ret = is_known ? 0 : ask_device(cl, conn, out);
	if (!ret && !is_known) {
		vfui_os_lock(&cl->lock);
		cl->kept.device = *out;
		cl->kept.has_device = true;
		vfui_os_unlock(&cl->lock);
	}
	return ret;
}

int vfu_client_device_info(struct vfu_client *cl, struct vfu_device_info *out)
{
	int ret;
	struct vfui_conn *conn = begin_alive(cl, &ret);

	return conn ? vfui_client_end(cl, vfui_client_device(cl, conn, out), NULL) : ret;
}

static int ask_irq(struct vfu_client *cl, struct vfui_conn *conn, unsigned index,
		   struct vfu_irq_info *out)
{
	const struct vfu_wire_get_irq_info_request in = {.argsz = sizeof(in), .index = index};
	struct vfu_wire_get_irq_info_reply reply;
	int ret = ask_fixed(cl, conn, VFU_WIRE_CMD_GET_IRQ_INFO, &in, sizeof(in), &reply,
			    sizeof(reply));

	if (!ret)
		*out = (struct vfu_irq_info){.flags = reply.flags, .count = reply.count};
	return ret;
}

int vfu_client_irq_info(struct vfu_client *cl, unsigned index, struct vfu_irq_info *out)
{
	uint64_t bit = index < VFUI_KEPT_IRQS ? 1ull << index : 0;
	int ret;
	bool is_known;
	struct vfui_conn *conn = begin_alive(cl, &ret);

	if (!conn)
		return ret;
	vfui_os_lock(&cl->lock);
	is_known = vfui_kept_irq(&cl->kept, index, out);
	vfui_os_unlock(&cl->lock);
	ret = is_known ? 0 : ask_irq(cl, conn, index, out);
	if (!ret && !is_known && bit) {
		vfui_os_lock(&cl->lock);
		cl->kept.irq[index] = *out;
		cl->kept.has_irq |= bit;
		vfui_os_unlock(&cl->lock);
	}
	return vfui_client_end(cl, ret, NULL);
}

void vfu_client_forget_info(struct vfu_client *cl)
{
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, false, &ret);

	if (!conn)
		return;
	vfui_os_lock(&cl->lock);
	vfui_kept_forget(&cl->kept);
	vfui_os_unlock(&cl->lock);
	vfui_client_end(cl, 0, NULL);
}

int vfu_client_reset(struct vfu_client *cl)
{
	struct vfu_err err;
	struct vfui_call call = vfui_client_new_call(&err);
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	ret = vfui_call_reset(conn, &call);
	if (!ret)
		atomic_store(&cl->is_master, false);
	return vfui_client_end(cl, ret, &err);
}

/* ---- regions ---- */

/* An answer to GET_REGION_INFO, with room for so much, and the newest descriptors. */
struct answer {
	struct vfu_wire_get_region_info_reply head; /* at the front of the payload, too */
	struct vfui_msg *msg;
	size_t len, room;
	struct vfui_fds fds;
};

/* Keeps descriptors in place of older ones (E13). */
static void take_fds(struct answer *a)
{
	if (!a->msg->nfds)
		return;
	vfui_fds_close(&a->fds);
	while (a->fds.n < vfui_min(a->msg->nfds, VFUI_FDS_MAX)) {
		a->fds.fd[a->fds.n] = vfui_msg_take_fd(a->msg, a->fds.n);
		a->fds.n++;
	}
}

static int ask_once(struct vfui_conn *conn, unsigned index, struct answer *a, struct vfu_err *err)
{
	struct vfui_call call = vfui_client_new_call(err);
	const struct vfu_wire_get_region_info_request in = {.argsz = (uint32_t)a->room,
							    .index = index};
	int ret;

	vfui_msg_free(a->msg);
	call.keeps = true;
	ret = vfui_conn_call(conn, VFU_WIRE_CMD_GET_REGION_INFO, &call, &in, sizeof(in), NULL, 0);
	a->msg = call.kept;
	if (ret)
		return ret;
	take_fds(a);
	a->len = vfui_min(a->msg->len, a->room);
	memcpy(&a->head, a->msg->payload, sizeof(a->head));
	return 0;
}

/* Asks until the room is enough: the size needed, not the CAPS flag, tells whether it was (E12). */
static int ask(struct vfui_conn *conn, unsigned index, struct answer *a, struct vfu_err *err)
{
	const uint64_t most = vfui_message_max(vfui_message(VFU_WIRE_CMD_GET_REGION_INFO), true,
					       vfui_conn_limits(conn));

	a->room = sizeof(a->head);
	for (unsigned tries = 0; tries < 3 && a->room <= most; tries++) {
		int ret = ask_once(conn, index, a, err);

		if (ret || a->head.argsz <= a->room)
			return ret;
		a->room = a->head.argsz;
	}
	return vfui_err_set(err, -EPROTO, "get_region_info.argsz", 0,
			    "the answer does not fit in the room the server asks for: %u",
			    a->head.argsz);
}

static int take_areas(const struct vfu_wire_get_region_info_reply_caps *cap,
		      struct vfu_region_info *out)
{
	struct vfu_wire_items areas = vfu_wire_sparse_mmap_areas_parse(cap->data, cap->rest);
	struct vfu_wire_sparse_mmap_area area;

	/* Nothing of the region can be mapped. */
	if (!areas.left)
		out->flags &= ~(uint32_t)VFU_REGION_MMAP;
	/* Their number is that of bytes that are here. */
	out->areas = areas.left ? vfui_os_calloc((size_t)areas.left, sizeof(*out->areas)) : NULL;
	if (areas.left && !out->areas)
		return -ENOMEM;
	while (vfu_wire_sparse_mmap_areas_next(&areas, &area))
		out->areas[out->nareas++] = (struct vfu_area){area.offset, area.size};
	return 0;
}

/* The areas, and for each the descriptor that it names, which the check has found among them. */
static int take_file_areas(const struct vfu_wire_get_region_info_reply_caps *cap,
			   struct vfui_fds *fds, struct vfu_region_info *out)
{
	struct vfu_wire_items areas = vfu_wire_sparse_mmap_fds_areas_parse(cap->data, cap->rest);
	struct vfu_wire_sparse_fd_area area;
	size_t n = (size_t)areas.left;

	out->areas = vfui_os_calloc(n, sizeof(*out->areas));
	out->files = vfui_os_calloc(n, sizeof(*out->files));
	if (!out->areas || !out->files)
		return -ENOMEM;
	for (; vfu_wire_sparse_mmap_fds_areas_next(&areas, &area); out->nareas++) {
		out->areas[out->nareas] = (struct vfu_area){area.offset, area.size};
		out->files[out->nareas] =
			(struct vfu_area_file){fds->fd[area.fd_index], area.fd_offset};
	}
	/* Those that were named are out's now. */
	for (unsigned i = 0; i < out->nareas; i++)
		for (unsigned k = 0; k < fds->n; k++)
			if (fds->fd[k] == out->files[i].fd)
				fds->fd[k] = -1;
	return 0;
}

/* Capabilities that mean something to us; those that stand here twice the check has refused. */
static int take_caps(struct vfui_fds *fds, struct vfu_region_info *out)
{
	struct vfu_wire_items caps =
		vfu_wire_get_region_info_reply_caps_parse(out->reply, out->reply_len);
	struct vfu_wire_get_region_info_reply_caps cap;
	int ret = 0;

	while (!ret && vfu_wire_get_region_info_reply_caps_next(&caps, &cap)) {
		if (cap.kind == VFU_WIRE_GET_REGION_INFO_REPLY_CAPS_SPARSE_MMAP) {
			ret = take_areas(&cap, out);
		} else if (cap.kind == VFU_WIRE_GET_REGION_INFO_REPLY_CAPS_SPARSE_MMAP_FDS) {
			if (out->flags & VFU_REGION_MMAP)
				ret = take_file_areas(&cap, fds, out);
		} else if (cap.kind == VFU_WIRE_GET_REGION_INFO_REPLY_CAPS_TYPE) {
			out->type = cap.as.type.type;
			out->subtype = cap.as.type.subtype;
		}
	}
	return ret;
}

bool vfu_region_info_capability(const struct vfu_region_info *info, unsigned n,
				struct vfu_region_capability *out)
{
	struct vfu_wire_items caps =
		vfu_wire_get_region_info_reply_caps_parse(info->reply, info->reply_len);
	struct vfu_wire_get_region_info_reply_caps cap;

	do {
		if (!vfu_wire_get_region_info_reply_caps_next(&caps, &cap))
			return false;
	} while (n--);
	*out = (struct vfu_region_capability){.id = cap.head.id,
					      .version = cap.head.version,
					      .data = cap.data + sizeof(cap.head),
					      .len = cap.len - sizeof(cap.head)};
	return true;
}

/* The area lies in its file; in one without a size, where a file can be. */
static bool is_mappable(const struct vfu_region_info *info, const struct vfu_area *area,
			uint64_t offset, const struct stat *st)
{
	uint64_t end = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : INT64_MAX;

	return area->size && (info->files || area->offset <= UINT64_MAX - info->offset) &&
	       vfui_is_inside(offset, area->size, end);
}

static int check_area(const struct vfui_conn *conn, const struct vfu_region_info *info, unsigned i,
		      struct vfu_err *err)
{
	struct vfu_area area = vfui_region_area(info, i);
	struct vfu_area_file file = vfui_region_file(info, i);
	struct stat st;
	int ret = vfui_os_fstat(file.fd, &st);
	const char *fault = ret ? NULL : vfui_peer_file_fault(vfui_conn_policy(conn), file.fd, &st);

	if (ret)
		return ret;
	if (fault)
		return vfui_err_set(err, -EPROTO, "get_region_info.fds", 0, "the file is %s",
				    fault);
	if (is_mappable(info, &area, file.offset, &st))
		return 0;
	return vfui_err_set(err, -EPROTO, "get_region_info.sparse_mmap.areas", 0,
			    "mappable area %u, %#llx bytes at %#llx, is not inside the region "
			    "and its file",
			    i, (unsigned long long)area.size, (unsigned long long)area.offset);
}

/* What the server says may be mapped must be there: touching what is not would be fatal. */
static int check_mapping(const struct vfui_conn *conn, const struct vfu_region_info *info,
			 struct vfu_err *err)
{
	int ret = 0;

	for (unsigned i = 0; i < vfui_region_nareas(info) && !ret; i++)
		ret = check_area(conn, info, i, err);
	return ret;
}

static int digest(struct vfui_conn *conn, struct answer *a, struct vfu_region_info *out,
		  struct vfu_err *err)
{
	void *payload = vfui_os_malloc(a->len);
	int ret;

	*out = (struct vfu_region_info){.fd = -1};
	if (!payload)
		return -ENOMEM;
	memcpy(payload, a->msg->payload, a->len);
	*out = (struct vfu_region_info){
		.size = a->head.size,
		.offset = a->head.offset,
		.fd = -1,
		.flags = a->head.flags & (VFU_REGION_READ | VFU_REGION_WRITE | VFU_REGION_MMAP),
		.reply = payload,
		.reply_len = a->len};
	ret = take_caps(&a->fds, out);
	if (ret || !(out->flags & VFU_REGION_MMAP))
		return ret;
	if (!out->files && !a->fds.n)
		return vfui_err_set(err, -EPROTO, "get_region_info.fds", 0,
				    "the region can be mapped, but there is no file");
	if (!out->files) { /* one, and the rest are closed (E14) */
		out->fd = a->fds.fd[0];
		a->fds.fd[0] = -1;
	}
	return check_mapping(conn, out, err);
}

static int ask_region(struct vfu_client *cl, struct vfui_conn *conn, unsigned index,
		      struct vfu_region_info *out)
{
	struct answer a = {.len = 0};
	struct vfu_err err = {0};
	int ret = vfui_client_check_wait(cl, conn);

	if (ret)
		return ret;
	ret = ask(conn, index, &a, &err);
	if (!ret) {
		ret = digest(conn, &a, out, &err);
		if (ret)
			vfu_region_info_fini(out);
	}
	vfui_fds_close(&a.fds);
	vfui_msg_free(a.msg);
	return ret ? vfui_client_keep(cl, ret, &err) : 0;
}

int vfui_client_region(struct vfu_client *cl, struct vfui_conn *conn, unsigned index,
		       struct vfui_kept_region **out)
{
	struct vfu_region_info info;
	int ret;

	*out = NULL;
	if (index >= VFUI_KEPT_REGIONS)
		return vfui_client_fail(cl, -EINVAL, "no device has so many regions");
	*out = atomic_load(&cl->kept.region[index]);
	if (*out)
		return 0;
	ret = ask_region(cl, conn, index, &info);
	if (ret)
		return ret;
	*out = vfui_kept_add(&cl->kept, index, &info);
	if (*out)
		return 0;
	vfu_region_info_fini(&info);
	return vfui_client_fail(cl, -ENOMEM, "no memory for what the device says of a region");
}

int vfu_client_region_info(struct vfu_client *cl, unsigned index, struct vfu_region_info *out)
{
	struct vfui_kept_region *region;
	struct vfu_err err = {0};
	int ret;
	struct vfui_conn *conn = begin_alive(cl, &ret);

	if (!conn)
		return ret;
	ret = vfui_client_region(cl, conn, index, &region);
	if (ret)
		return vfui_client_end(cl, ret, NULL);
	ret = vfui_region_info_copy(&region->info, out);
	if (!ret && out->flags & VFU_REGION_MMAP)
		atomic_store(&cl->is_mapped, true);
	return vfui_client_end(cl, ret, &err);
}

int vfui_client_find_area(const struct vfu_region_info *info, uint64_t offset, uint64_t len)
{
	for (unsigned i = 0; i < vfui_region_nareas(info); i++) {
		struct vfu_area area = vfui_region_area(info, i);

		if (offset >= area.offset &&
		    vfui_is_inside(offset - area.offset, len ? len : 1, area.size))
			return (int)i;
	}
	return -1;
}

static int map_region(struct vfu_client *cl, struct vfui_conn *conn, unsigned index,
		      uint64_t offset, uint64_t len, struct vfu_region_map *out)
{
	struct vfui_kept_region *region;
	struct vfu_area area;
	int i, ret = vfui_client_region(cl, conn, index, &region);

	if (ret)
		return ret;
	i = vfui_client_find_area(&region->info, offset, len);
	if (i < 0)
		return vfui_client_fail(cl, -EINVAL, "not in an area that can be mapped");
	area = vfui_region_area(&region->info, (unsigned)i);
	ret = vfui_region_map(&region->info, (unsigned)i, offset,
			      len ? len : area.size - (offset - area.offset), out);
	if (ret)
		return vfui_client_fail(cl, ret, "the region's file can not be mapped");
	atomic_store(&cl->is_mapped, true);
	return 0;
}

int vfu_client_region_map(struct vfu_client *cl, unsigned index, uint64_t offset, uint64_t len,
			  struct vfu_region_map *out)
{
	int ret;
	struct vfui_conn *conn = begin_alive(cl, &ret);

	*out = (struct vfu_region_map){0};
	return conn ? vfui_client_end(cl, map_region(cl, conn, index, offset, len, out), NULL)
		    : ret;
}

static bool has_type(const struct vfui_kept_region *region, uint32_t type, uint32_t subtype)
{
	return region->info.type == type && region->info.subtype == subtype;
}

/* A region that the server will not speak of (EINVAL) is not the one. */
static int find_region(struct vfu_client *cl, struct vfui_conn *conn, uint32_t type,
		       uint32_t subtype)
{
	struct vfu_device_info device;
	int ret = vfui_client_device(cl, conn, &device);

	for (unsigned i = VFU_REGIONS; !ret && i < vfui_min(device.num_regions, VFU_REGIONS_MAX);
	     i++) {
		struct vfui_kept_region *region;

		ret = vfui_client_region(cl, conn, i, &region);
		if (!ret && has_type(region, type, subtype))
			return (int)i;
		ret = ret == -EINVAL ? 0 : ret;
	}
	return ret ? ret : vfui_client_fail(cl, -ENOENT, "no region has that type and subtype");
}

int vfu_client_find_region(struct vfu_client *cl, uint32_t type, uint32_t subtype)
{
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	return conn ? vfui_client_end(cl, find_region(cl, conn, type, subtype), NULL) : ret;
}

void vfu_region_info_fini(struct vfu_region_info *info)
{
	struct vfui_fds fds = {.n = 0};

	if (!info)
		return;
	for (unsigned i = 0; info->files && i < info->nareas; i++)
		vfui_fds_index(&fds, info->files[i].fd);
	vfui_fds_close(&fds);
	vfui_os_free(info->files);
	vfui_os_close(info->fd);
	vfui_os_free(info->areas);
	vfui_os_free((void *)(uintptr_t)info->reply);
	info->reply = NULL;
	info->reply_len = 0;
	info->fd = -1;
	info->areas = NULL;
	info->files = NULL;
	info->nareas = 0;
}

/* ---- features ---- */

/* Bytes of data that go with the request; the rest of the room is for the answer. */
static size_t feature_input(const struct vfu_wire_device_feature_request *in, size_t len)
{
	bool is_set = (in->flags & (VFU_WIRE_FEATURE_SET | VFU_WIRE_FEATURE_PROBE)) ==
		      VFU_WIRE_FEATURE_SET;

	return is_set ? len : vfu_wire_device_feature_request_data_size(in);
}

/* Some servers say EINVAL for what they do not know, and leave open what they mean (E45). */
static int feature_error(struct vfui_conn *conn, uint32_t flags, int ret, const struct vfu_err *err)
{
	bool is_vague =
		(flags & VFU_WIRE_FEATURE_PROBE) ||
		vfui_conn_policy(conn)->unsupported_feature == VFUI_UNSUPPORTED_FEATURE_EINVAL;
	/* Our own check names the field. */
	bool is_theirs = ret == -EINVAL && !err->field[0];

	return is_theirs && is_vague ? -ENOTTY : ret;
}

int vfu_client_feature(struct vfu_client *cl, uint32_t flags, void *data, size_t *len)
{
	struct vfu_wire_device_feature_request in = {.flags = flags};
	struct vfu_wire_device_feature_reply out;
	struct vfu_err err;
	struct vfui_call call = vfui_client_new_call(&err);
	size_t input = feature_input(&in, *len);
	int ret;
	struct vfui_conn *conn = vfui_client_begin(cl, true, &ret);

	if (!conn)
		return ret;
	if (input > *len || *len > vfui_conn_limits(conn)->max_data_xfer_size)
		return vfui_client_end(
			cl,
			vfui_err_set(&err, -EINVAL, "device_feature.data", sizeof(in),
				     "%zu bytes do not fit the feature or the connection", *len),
			&err);
	in.argsz = (uint32_t)(sizeof(in) + *len);
	call.tail = data;
	call.tail_len = input;
	call.reply_tail = data;
	call.reply_room = *len;
	ret = vfui_call_device_feature(conn, &call, &in, &out);
	if (!ret)
		*len = vfui_min(call.reply_len, *len);
	return vfui_client_end(cl, feature_error(conn, flags, ret, &err), &err);
}
