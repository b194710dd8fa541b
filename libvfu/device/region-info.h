/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * region-info.h - what GET_REGION_INFO says of a region. Owner only.
 */
#ifndef VFUI_REGION_INFO_H
#define VFUI_REGION_INFO_H

#include <stddef.h>
#include <stdint.h>

#include "base/fds.h"
#include "vfu.h"

struct vfui_limits;
struct vfui_policy;

/* One capability that the device has added: an answer that has it alone. */
struct vfui_region_cap {
	void *alone;
	size_t len;
};

struct vfui_region_caps {
	struct vfui_region_cap *list;
	unsigned n;
};

/* A GET_REGION_INFO reply. */
struct vfui_region_reply {
	void *payload; /* free with vfui_os_free */
	size_t len;
	struct vfui_fds fds; /* borrowed */
};

void vfui_region_caps_fini(struct vfui_region_caps *caps);

/* The body of vfu_device_add_region_capability, of a region that is there. */
int vfui_region_caps_add(struct vfui_region_caps *caps, unsigned index,
			 const struct vfu_region *def, const struct vfu_region_capability *cap,
			 struct vfu_err *err);

/* The rules of the reply hold, for whoever asks: 0, -EINVAL, -ENOMEM. */
int vfui_region_info_check(unsigned index, const struct vfu_region *def,
			   const struct vfui_region_caps *caps, struct vfu_err *err);

/* in_argsz: room of the client. limits: what was agreed with it. 0, -ENOMEM. */
int vfui_region_info_build(unsigned index, const struct vfu_region *def,
			   const struct vfui_region_caps *caps, uint32_t in_argsz,
			   const struct vfui_limits *limits, const struct vfui_policy *policy,
			   struct vfui_region_reply *out);

#endif
