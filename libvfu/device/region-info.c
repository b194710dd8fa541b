/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * region-info.c - what GET_REGION_INFO says of a region: the fixed part, and a list of capabilities.
 *
 *	 | fixed part | sparse_mmap(_fds): the areas | what the device has added ...
 *	                                         each kept as an answer that has it alone:
 *	                                         | fixed part | capability |
 *
 * The generated check looks at all of it when the region is set and when a capability is added, as if
 * everything had been agreed. A client gets those capabilities that its own agreement allows: the check
 * of the answer that has one alone tells.
 */
#include "device/region-info.h"

#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "checks.h"
#include "parts-region.h"
#include "policy.h"
#include "transport/msg.h"

/* The descriptors that go along with the region's capabilities. */
static void list_fds(const struct vfu_region *def, struct vfui_fds *fds)
{
	fds->n = 0;
	if (def->fd >= 0)
		vfui_fds_index(fds, def->fd);
	for (unsigned i = 0; def->files && i < def->nareas; i++)
		vfui_fds_index(fds, def->files[i].fd);
}

static int check(unsigned index, const struct vfu_region *def, const void *payload, size_t len,
		 const struct vfui_limits *limits, const struct vfui_policy *policy,
		 struct vfui_fault *fault)
{
	const struct vfu_wire_get_region_info_request asked = {.argsz = sizeof(asked),
							       .index = index};

	struct vfui_fds fds;

	list_fds(def, &fds);
	return vfui_check_get_region_info_reply(payload, len, fds.n, limits, policy, &asked, fault);
}

/* ---- building ---- */

/* Our three flags are the wire's. */
static void build_fixed(struct vfu_wire_builder *b, void *buf, size_t room, unsigned index,
			const struct vfu_region *def)
{
	const struct vfu_wire_get_region_info_reply info = {
		.index = index,
		.flags = def->flags & (VFU_REGION_READ | VFU_REGION_WRITE | VFU_REGION_MMAP),
		.size = def->size,
		.offset = def->flags & VFU_REGION_MMAP && !def->files ? def->fd_offset : 0,
	};

	vfu_wire_get_region_info_reply_build(b, buf, room, &info);
}

static void add_areas(struct vfu_wire_builder *b, const struct vfu_region *def)
{
	const struct vfu_wire_sparse_mmap cap = {0};

	vfu_wire_get_region_info_reply_caps_add_sparse_mmap(b, &cap);
	for (unsigned i = 0; i < def->nareas; i++) {
		const struct vfu_wire_sparse_mmap_area area = {def->areas[i].offset,
							       def->areas[i].size};

		vfu_wire_sparse_mmap_areas_add(b, &area);
	}
}

static void add_file_areas(struct vfu_wire_builder *b, const struct vfu_region *def)
{
	const struct vfu_wire_sparse_mmap_fds cap = {0};
	struct vfui_fds fds = {.n = 0};

	vfu_wire_get_region_info_reply_caps_add_sparse_mmap_fds(b, &cap);
	for (unsigned i = 0; i < def->nareas; i++) {
		const struct vfu_wire_sparse_fd_area area = {
			.offset = def->areas[i].offset,
			.size = def->areas[i].size,
			.fd_offset = def->files[i].offset,
			.fd_index = (uint32_t)vfui_fds_index(&fds, def->files[i].fd)};

		vfu_wire_sparse_mmap_fds_areas_add(b, &area);
	}
}

static void add_cap(struct vfu_wire_builder *b, const struct vfui_region_cap *cap)
{
	struct vfu_wire_items items =
		vfu_wire_get_region_info_reply_caps_parse(cap->alone, cap->len);
	struct vfu_wire_get_region_info_reply_caps one;

	if (vfu_wire_get_region_info_reply_caps_next(&items, &one))
		vfu_wire_get_region_info_reply_caps_add(b, &one.head, one.data + sizeof(one.head),
							one.len - sizeof(one.head));
}

/* Returns how long all of it is, whatever the room. limits: leaves out what is not agreed; NULL: nothing. */
static size_t build(void *buf, size_t room, unsigned index, const struct vfu_region *def,
		    const struct vfui_region_caps *caps, const struct vfui_limits *limits,
		    const struct vfui_policy *policy)
{
	struct vfu_wire_builder b;

	build_fixed(&b, buf, room, index, def);
	if (def->nareas && def->files)
		add_file_areas(&b, def);
	else if (def->nareas)
		add_areas(&b, def);
	for (unsigned i = 0; i < caps->n; i++) {
		const struct vfui_region_cap *cap = &caps->list[i];

		if (!limits || !check(index, def, cap->alone, cap->len, limits, policy, NULL))
			add_cap(&b, cap);
	}
	return b.len;
}

/* ---- what may be said ---- */

static int check_widely(unsigned index, const struct vfu_region *def, const void *payload,
			size_t len, struct vfu_err *err)
{
	const struct vfui_policy policy = {0};
	struct vfui_fault fault = {0};
	int rc = check(index, def, payload, len, &vfui_limits_widest, &policy, &fault);

	return rc ? vfui_err_fault(err, rc, &fault) : 0;
}

int vfui_region_info_check(unsigned index, const struct vfu_region *def,
			   const struct vfui_region_caps *caps, struct vfu_err *err)
{
	size_t len = build(NULL, 0, index, def, caps, NULL, NULL);
	void *payload = vfui_os_malloc(len);
	int rc;

	if (!payload)
		return vfui_err_set(err, -ENOMEM, NULL, 0, "no memory to look at a region");
	build(payload, len, index, def, caps, NULL, NULL);
	rc = check_widely(index, def, payload, len, err);
	vfui_os_free(payload);
	return rc;
}

void vfui_region_caps_fini(struct vfui_region_caps *caps)
{
	for (unsigned i = 0; i < caps->n; i++)
		vfui_os_free(caps->list[i].alone);
	vfui_os_free(caps->list);
	*caps = (struct vfui_region_caps){0};
}

/* An answer that has the capability alone. */
static int make_alone(struct vfui_region_cap *out, unsigned index, const struct vfu_region *def,
		      const struct vfu_region_capability *cap, struct vfu_err *err)
{
	const struct vfu_wire_region_cap_header head = {.id = cap->id, .version = cap->version};
	struct vfu_wire_builder b;

	out->len = sizeof(struct vfu_wire_get_region_info_reply) + sizeof(head) + cap->len;
	out->alone = vfui_os_malloc(out->len);
	if (!out->alone)
		return vfui_err_set(err, -ENOMEM, NULL, 0, "no memory for a capability");
	build_fixed(&b, out->alone, out->len, index, def);
	vfu_wire_get_region_info_reply_caps_add(&b, &head, cap->data, cap->len);
	return 0;
}

static int push(struct vfui_region_caps *caps, const struct vfui_region_cap *cap,
		struct vfu_err *err)
{
	struct vfui_region_cap *grown =
		vfui_os_realloc(caps->list, (caps->n + (size_t)1) * sizeof(*grown));

	if (!grown)
		return vfui_err_set(err, -ENOMEM, NULL, 0, "no memory for a capability");
	caps->list = grown;
	caps->list[caps->n++] = *cap;
	return 0;
}

int vfui_region_caps_add(struct vfui_region_caps *caps, unsigned index,
			 const struct vfu_region *def, const struct vfu_region_capability *cap,
			 struct vfu_err *err)
{
	const size_t most = vfui_message(VFU_WIRE_CMD_GET_REGION_INFO)->reply_room;
	struct vfui_region_cap one;
	int rc;

	if (cap->id == VFU_WIRE_REGION_CAP_SPARSE_MMAP ||
	    cap->id == VFU_WIRE_REGION_CAP_SPARSE_MMAP_FDS)
		return vfui_err_set(err, -EINVAL, "region_capability.id", 0,
				    "what may be mapped is said by the region's areas");
	if (cap->len > most || (cap->len && !cap->data))
		return vfui_err_set(err, -EINVAL, "region_capability.len", 0,
				    "a region's capabilities have at most %zu bytes", most);
	rc = make_alone(&one, index, def, cap, err);
	if (rc)
		return rc;
	rc = check_widely(index, def, one.alone, one.len, err);
	if (!rc)
		rc = push(caps, &one, err);
	if (rc) {
		vfui_os_free(one.alone);
		return rc;
	}
	/* With the others there may be too many bytes, or two that exclude each other. */
	rc = vfui_region_info_check(index, def, caps, err);
	if (rc)
		vfui_os_free(caps->list[--caps->n].alone);
	return rc;
}

/* ---- the answer ---- */

/* E12: without its capabilities it says of them, if at all, where they would be. */
static void shorten(struct vfui_region_reply *out, const struct vfui_policy *policy)
{
	struct vfu_wire_get_region_info_reply info;

	memcpy(&info, out->payload, sizeof(info));
	if (policy->short_region_info != VFUI_SHORT_REGION_INFO_CAPS_OFFSET) {
		info.flags &= ~VFU_WIRE_REGION_INFO_CAPS;
		info.cap_offset = 0;
	}
	memcpy(out->payload, &info, sizeof(info));
	out->len = sizeof(info);
}

int vfui_region_info_build(unsigned index, const struct vfu_region *def,
			   const struct vfui_region_caps *caps, uint32_t in_argsz,
			   const struct vfui_limits *limits, const struct vfui_policy *policy,
			   struct vfui_region_reply *out)
{
	out->len = build(NULL, 0, index, def, caps, limits, policy);
	out->payload = vfui_os_malloc(out->len);
	if (!out->payload)
		return -ENOMEM;
	build(out->payload, out->len, index, def, caps, limits, policy);
	/* With what says how much of it may be mapped (E12). */
	out->fds.n = 0;
	if (in_argsz < out->len)
		shorten(out, policy);
	else if (def->flags & VFU_REGION_MMAP)
		list_fds(def, &out->fds);
	return 0;
}
