/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * region.h - the regions: their memory, callbacks, handlers. Owner only.
 */
#ifndef VFUI_REGION_H
#define VFUI_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/ioevents.h"
#include "device/region-info.h"
#include "vfu.h"

/* An answer has room for 4,093, and what is kept from a client cuts them in more. */
#define VFUI_AREAS_MAX 4000

/* One stretch of a region that has its own callback. */
struct vfui_handler {
	uint64_t first, last;
	vfu_access_fn *fn;
	void *user;
	bool is_owned; /* user is freed with it */
	bool is_kept;  /* no client maps its pages (region-map.h) */
};

struct vfui_region {
	struct vfu_region def;         /* its areas are our copy, its fd is ours */
	uint8_t *memory;               /* a mapping of the file or of memory of ours; NULL: none */
	size_t memory_len;             /* 0: the memory is somebody else's, configuration space */
	struct vfu_watch *watch;       /* of a mapping of the file */
	struct vfui_handler *handlers; /* ascending */
	unsigned nhandlers;
	bool is_readonly;             /* not even the device may write the memory */
	struct vfui_region_caps caps; /* those the device has added */
	struct vfui_ioevents ioevents;
};

struct vfui_regions {
	struct vfui_region region[VFU_REGIONS]; /* PCI's */
	struct vfui_region
		*more; /* the device's own; there once it has had one, and then stays where it is */
	unsigned n;    /* clients are told of so many: PCI's, and up to the last of more */
	/* Told before memory of a region goes to which a write may be arriving; NULL: there is none. */
	void (*on_gone)(void *ctx, const void *memory, size_t len);
	void *ctx;
};

void vfui_regions_init(struct vfui_regions *regions);
void vfui_regions_fini(struct vfui_regions *regions);

/* The one with that index, which may be empty; NULL: there is none. */
static inline struct vfui_region *vfui_region_at(struct vfui_regions *regions, uint32_t index)
{
	if (index < VFU_REGIONS)
		return &regions->region[index];
	return index < regions->n ? &regions->more[index - VFU_REGIONS] : NULL;
}

/* The first index of the device's own that is free; VFU_REGIONS_MAX: none is. */
unsigned vfui_regions_free_index(struct vfui_regions *regions);

/* The bodies of vfu_device_set_region (def->fd is taken on every path), _set_handler and _region_memory. */
int vfui_region_set(struct vfui_regions *regions, unsigned index, const struct vfu_region *def,
		    struct vfu_err *err);
int vfui_region_set_handler(struct vfui_regions *regions, unsigned index, uint64_t offset,
			    uint64_t size, vfu_access_fn *fn, void *user, struct vfu_err *err);
void *vfui_region_memory(struct vfui_regions *regions, unsigned index);
/* An access has a size and an alignment that the region takes; any of no bytes has. */
bool vfui_region_takes(const struct vfui_region *region, const struct vfu_access *access);
/* Some of these bytes are served by handlers. */
bool vfui_region_is_handled(const struct vfui_region *region, uint64_t offset, uint64_t count);
/* The one that serves a byte; NULL: none. */
struct vfui_handler *vfui_region_handler_at(struct vfui_region *region, uint64_t offset);
/*
 * More of them, ascending, inside of the region and apart from each other: all, or with -EEXIST (one overlaps what is
 * there) or -ENOMEM none. What they own goes along with 0 alone.
 */
int vfui_region_add_handlers(struct vfui_region *region, const struct vfui_handler *added,
			     unsigned n);

/*
 * Serves one access of the client: bounds and permission (-EINVAL, -EACCES), then handlers, callback or memory.
 * What several callbacks serve is given to them in parts. 0, VFU_LATER or negative errno. access->count may be 0: 0 (E29).
 */
int vfui_region_access(struct vfui_regions *regions, struct vfu_request *req,
		       const struct vfu_access *access);

/* The body of vfu_device_add_region_capability. */
int vfui_region_add_capability(struct vfui_regions *regions, unsigned index,
			       const struct vfu_region_capability *cap, struct vfu_err *err);

#endif
