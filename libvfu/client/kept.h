/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * kept.h - what the device has said about itself, kept for as long as the connection. kept.c tells more.
 */
#ifndef VFUI_CLIENT_KEPT_H
#define VFUI_CLIENT_KEPT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "vfu.h"

/* As many as the protocol's check lets a device have. */
enum { VFUI_KEPT_REGIONS = 256, VFUI_KEPT_IRQS = 64 };

struct vfui_kept_region {
	struct vfui_kept_region *next; /* of those that were forgotten */
	struct vfu_region_info info;   /* its descriptors are this one's */
	/* A mapping for each of its areas: NULL: not tried yet; vfui_kept_no_map: there can be none. */
	_Atomic(struct vfu_region_map *) *maps;
	_Atomic(struct vfu_io_fds *) io; /* eventfds alone; NULL: not asked for yet */
};
extern struct vfu_region_map vfui_kept_no_map;

struct vfui_kept {
	_Atomic(struct vfui_kept_region *) region[VFUI_KEPT_REGIONS];
	/* Under the client's lock. */
	struct vfui_kept_region *forgotten;
	bool has_device;
	uint64_t has_irq; /* a bit each */
	struct vfu_device_info device;
	struct vfu_irq_info irq[VFUI_KEPT_IRQS];
};

/* Areas that may be mapped: the whole region, if it says nothing else. */
unsigned vfui_region_nareas(const struct vfu_region_info *info);
struct vfu_area vfui_region_area(const struct vfu_region_info *info, unsigned i);
/* The file behind area i; a sum that wraps the check of the answer has refused. */
struct vfu_area_file vfui_region_file(const struct vfu_region_info *info, unsigned i);

/* What the device has said of an interrupt; false: nothing is kept. With the client's lock. */
bool vfui_kept_irq(const struct vfui_kept *kept, unsigned index, struct vfu_irq_info *out);
/* Keeps *info, which is then its own, unless another thread was first; NULL: no memory, and *info is the caller's. */
struct vfui_kept_region *vfui_kept_add(struct vfui_kept *kept, unsigned index,
				       struct vfu_region_info *info);
/* Another one for the caller: -ENOMEM, -EMFILE. */
int vfui_region_info_copy(const struct vfu_region_info *from, struct vfu_region_info *out);
/* The mapping of area i, made when it is first asked for; NULL: it can not be mapped. */
const struct vfu_region_map *vfui_kept_map(struct vfui_kept_region *region, unsigned i);
/* Part of an area as memory. */
int vfui_region_map(const struct vfu_region_info *info, unsigned i, uint64_t offset, uint64_t len,
		    struct vfu_region_map *out);
/* All is asked for anew; who uses what was there goes on. With the client's lock. */
void vfui_kept_forget(struct vfui_kept *kept);
/* Nobody uses it any more. */
void vfui_kept_clear(struct vfui_kept *kept);

#endif
