/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * region-map.h - what of a region a client may map, and the answer to GET_REGION_INFO. Owner only.
 */
#ifndef VFUI_REGION_MAP_H
#define VFUI_REGION_MAP_H

#include "device/region.h"

/*
 * As vfui_region_set_handler, but no client ever maps the pages that it lies in, whatever the region's areas are: it
 * is reached by messages alone.
 */
int vfui_region_keep_handler(struct vfui_regions *regions, unsigned index, uint64_t offset,
			     uint64_t size, vfu_access_fn *fn, void *user);
/* There is such a region, and it says that it can be mapped, but has no page that could be. -ENOMEM counts as it can. */
bool vfui_region_is_unmappable(struct vfui_regions *regions, unsigned index);

/* vfui_region_info_build; -EINVAL: no such region. */
int vfui_region_info(struct vfui_regions *regions, unsigned index, uint32_t in_argsz,
		     const struct vfui_limits *limits, const struct vfui_policy *policy,
		     struct vfui_region_reply *out);

#endif
