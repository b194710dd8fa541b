/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * region-map.c - what of a region a client may map, and the answer to GET_REGION_INFO.
 *
 *	the device's areas	|#############|   |#####################|	(none said: all of it)
 *	kept handlers		       ++      +        +
 *	the client's areas	|####|	  |###|   |##|     |############|	whole pages
 *
 * What a client maps it reads and writes behind the device's back. For memory that is the point; the table
 * of MSI-X and its pending bits would mean nothing there. So handlers can keep the pages they lie in, and
 * the areas are cut around them when a client asks. A client that cannot do with areas gets no descriptor (E12: that
 * goes with the capabilities), and one whose region has no page left is told that it can not be mapped. So is one that
 * has not agreed on files of areas of a region which has such; of those that it has no room for in a message it hears nothing.
 */
#include "device/region-map.h"

#include <errno.h>
#include <string.h>

#include "base/os.h"
#include "base/util.h"
#include "checks.h"

int vfui_region_keep_handler(struct vfui_regions *regions, unsigned index, uint64_t offset,
			     uint64_t size, vfu_access_fn *fn, void *user)
{
	int rc = vfui_region_set_handler(regions, index, offset, size, fn, user, NULL);

	if (!rc && fn)
		vfui_region_handler_at(vfui_region_at(regions, index), offset)->is_kept = true;
	return rc;
}

static unsigned count_kept(const struct vfui_region *region)
{
	unsigned n = 0;

	for (unsigned i = 0; i < region->nhandlers; i++)
		n += region->handlers[i].is_kept;
	return n;
}

/* Whole pages that kept handlers lie in, ascending. */
static void list_holes(const struct vfui_region *region, struct vfu_area *holes)
{
	uint64_t page = vfui_os_page_size() - 1;

	for (unsigned i = 0; i < region->nhandlers; i++) {
		const struct vfui_handler *handler = &region->handlers[i];
		uint64_t first = handler->first & ~page;

		if (handler->is_kept)
			*holes++ = (struct vfu_area){first, (handler->last | page) + 1 - first};
	}
}

/* Writes what is left of an area without the holes; returns how many pieces that is, at most one more than holes. */
static unsigned cut(struct vfu_area area, const struct vfu_area *holes, unsigned nholes,
		    struct vfu_area *left)
{
	uint64_t at = area.offset, end = area.offset + area.size;
	unsigned n = 0;

	for (unsigned i = 0; i < nholes && at < end; i++) {
		uint64_t hole_end = holes[i].offset + holes[i].size;

		if (hole_end <= at || holes[i].offset >= end)
			continue;
		if (holes[i].offset > at)
			left[n++] = (struct vfu_area){at, holes[i].offset - at};
		at = hole_end;
	}
	if (at < end)
		left[n++] = (struct vfu_area){at, end - at};
	return n;
}

/* Whether a client is told of an area: it has room for its file besides those of the areas before. */
static bool is_told(const struct vfui_region *region, unsigned i, unsigned max_fds,
		    struct vfui_fds *fds)
{
	const struct vfu_area_file *files = region->def.files;
	int at = files ? vfui_fds_index(fds, files[i].fd) : 0;

	return !files || (at >= 0 && (unsigned)at < max_fds);
}

/* What is left of all areas; returns how many pieces that is. files: of those, NULL if they have none. */
static unsigned cut_all(const struct vfui_region *region, unsigned max_fds, unsigned nholes,
			struct vfu_area *left, struct vfu_area_file *files)
{
	unsigned nareas = vfui_max(region->def.nareas, 1), n = 0;
	struct vfu_area whole = {0, region->def.size}, *holes = left + nareas + nholes;
	const struct vfu_area *areas = region->def.nareas ? region->def.areas : &whole;
	struct vfui_fds fds = {.n = 0};

	list_holes(region, holes);
	for (unsigned i = 0; i < nareas; i++) {
		unsigned end = n + (is_told(region, i, max_fds, &fds)
					    ? cut(areas[i], holes, nholes, left + n)
					    : 0);

		for (; n < end; n++) {
			if (!files)
				continue;
			files[n] = region->def.files[i];
			files[n].offset += left[n].offset - areas[i].offset;
		}
	}
	return n;
}

/* The region as a client is told of it. *list: to be freed. */
static int told(const struct vfui_region *region, const struct vfui_limits *limits,
		struct vfu_region *def, struct vfu_area **list)
{
	unsigned nholes = count_kept(region), nareas = vfui_max(region->def.nareas, 1);
	size_t most = (size_t)nareas + 2 * (size_t)nholes;
	struct vfu_area_file *files = NULL;

	*def = region->def;
	*list = NULL;
	if ((!nholes && !def->files) || !(def->flags & VFU_REGION_MMAP))
		return 0;
	def->nareas = 0;
	if (!def->files || limits->sparse_mmap_fds) {
		*list = vfui_os_malloc(most * (sizeof(**list) + sizeof(*files)));
		if (!*list)
			return -ENOMEM;
		if (def->files)
			files = (struct vfu_area_file *)(*list + most);
		def->nareas = cut_all(region, limits->max_msg_fds, nholes, *list, files);
	}
	def->areas = *list;
	def->files = files;
	if (!def->nareas) {
		def->flags &= ~(uint32_t)VFU_REGION_MMAP;
		def->fd = -1;
	}
	return 0;
}

bool vfui_region_is_unmappable(struct vfui_regions *regions, unsigned index)
{
	const struct vfui_region *region = vfui_region_at(regions, index);
	struct vfu_area *areas;
	struct vfu_region def;
	int rc;

	if (!region)
		return false;
	rc = told(region, &vfui_limits_widest, &def, &areas);
	vfui_os_free(areas);
	return !rc && def.flags != region->def.flags;
}

int vfui_region_info(struct vfui_regions *regions, unsigned index, uint32_t in_argsz,
		     const struct vfui_limits *limits, const struct vfui_policy *policy,
		     struct vfui_region_reply *out)
{
	const struct vfui_region *region = vfui_region_at(regions, index);
	struct vfu_area *areas;
	struct vfu_region def;
	int rc;

	if (!region)
		return -EINVAL;
	rc = told(region, limits, &def, &areas);
	if (!rc)
		rc = vfui_region_info_build(index, &def, &region->caps, in_argsz, limits, policy,
					    out);
	vfui_os_free(areas);
	return rc;
}
