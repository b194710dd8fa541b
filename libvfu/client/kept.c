/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * kept.c - what the device has said about itself, kept for as long as the connection.
 *
 *	kept.region[2] --> info: size, areas, descriptor        published once, by whoever has asked first
 *	                   maps: [ - ][ * ][ - ]                 one for each area, made when it is first used
 *	                               |
 *	                               +--> memory of the file, watched: who has the file may cut it
 *
 * Accesses look here without a lock: what stands here stays until the connection has ended and its last call has
 * returned, as each call holds the connection. So what the user has us forget moves to a list, and goes then. A thread that has asked
 * although another one was faster throws its own answer away. An area is mapped when it is first used, not before, so that a device
 * which speaks of thousands makes nobody map thousands.
 */
#include "client/kept.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/os.h"
#include "base/sigbus.h"
#include "base/util.h"

struct vfu_region_map vfui_kept_no_map;

/* ---- areas */

unsigned vfui_region_nareas(const struct vfu_region_info *info)
{
	return info->nareas ? info->nareas : info->flags & VFU_REGION_MMAP ? 1 : 0;
}

struct vfu_area vfui_region_area(const struct vfu_region_info *info, unsigned i)
{
	return info->nareas ? info->areas[i] : (struct vfu_area){0, info->size};
}

/* Of a region that is in one file: offset + the area's (E57). */
struct vfu_area_file vfui_region_file(const struct vfu_region_info *info, unsigned i)
{
	if (info->files)
		return info->files[i];
	return (struct vfu_area_file){info->fd, info->offset + vfui_region_area(info, i).offset};
}

/* ---- mappings */

int vfui_region_map(const struct vfu_region_info *info, unsigned i, uint64_t offset, uint64_t len,
		    struct vfu_region_map *out)
{
	int prot = (info->flags & VFU_REGION_READ ? PROT_READ : 0) |
		   (info->flags & VFU_REGION_WRITE ? PROT_WRITE : 0);
	struct vfu_area_file file = vfui_region_file(info, i);
	uint64_t at = file.offset + (offset - vfui_region_area(info, i).offset);
	uint64_t slack = at & (vfui_os_page_size() - 1);
	int ret = 0;
	void *base;

	if (len > SIZE_MAX - slack)
		return -ENOMEM;
	base = vfui_os_mmap((size_t)(len + slack), prot, MAP_SHARED, file.fd, at - slack, &ret);
	if (!base)
		return ret;
	*out = (struct vfu_region_map){.addr = (uint8_t *)base + slack,
				       .len = (size_t)len,
				       .base = base,
				       .base_len = (size_t)(len + slack)};
	out->watch = vfu_watch_new(base, out->base_len);
	if (out->watch)
		return 0;
	vfui_os_munmap(base, out->base_len);
	return -ENOMEM;
}

void vfu_region_map_fini(struct vfu_region_map *map)
{
	if (!map || !map->base)
		return;
	vfu_watch_free(map->watch);
	vfui_os_munmap(map->base, map->base_len);
	*map = (struct vfu_region_map){0};
}

static struct vfu_region_map *map_area(const struct vfu_region_info *info, unsigned i)
{
	struct vfu_area area = vfui_region_area(info, i);
	struct vfu_region_map *map = vfui_os_calloc(1, sizeof(*map));

	if (map && !vfui_region_map(info, i, area.offset, area.size, map))
		return map;
	vfui_os_free(map);
	return &vfui_kept_no_map;
}

static void free_map(struct vfu_region_map *map)
{
	if (map == &vfui_kept_no_map)
		return;
	vfu_region_map_fini(map);
	vfui_os_free(map);
}

const struct vfu_region_map *vfui_kept_map(struct vfui_kept_region *region, unsigned i)
{
	struct vfu_region_map *map = atomic_load(&region->maps[i]), *other = NULL;

	if (!map) {
		map = map_area(&region->info, i);
		if (!atomic_compare_exchange_strong(&region->maps[i], &other, map)) {
			free_map(map);
			map = other;
		}
	}
	return map == &vfui_kept_no_map ? NULL : map;
}

/* ---- what is kept of a region */

static void free_region(struct vfui_kept_region *region)
{
	unsigned n = vfui_region_nareas(&region->info);
	struct vfu_io_fds *io = atomic_load(&region->io);

	for (unsigned i = 0; i < n; i++)
		free_map(atomic_load(&region->maps[i]));
	vfu_io_fds_fini(io);
	vfui_os_free(io);
	vfu_region_info_fini(&region->info);
	vfui_os_free(region->maps);
	vfui_os_free(region);
}

bool vfui_kept_irq(const struct vfui_kept *kept, unsigned index, struct vfu_irq_info *out)
{
	if (index >= VFUI_KEPT_IRQS || !(kept->has_irq & 1ull << index))
		return false;
	*out = kept->irq[index];
	return true;
}

struct vfui_kept_region *vfui_kept_add(struct vfui_kept *kept, unsigned index,
				       struct vfu_region_info *info)
{
	struct vfui_kept_region *region = vfui_os_calloc(1, sizeof(*region)), *other = NULL;
	unsigned n = vfui_region_nareas(info);

	if (region && n)
		region->maps = vfui_os_calloc(n, sizeof(*region->maps));
	if (!region || (n && !region->maps)) {
		vfui_os_free(region);
		return NULL;
	}
	region->info = *info;
	if (atomic_compare_exchange_strong(&kept->region[index], &other, region))
		return region;
	free_region(region);
	return other;
}

void vfui_kept_forget(struct vfui_kept *kept)
{
	for (unsigned i = 0; i < VFUI_KEPT_REGIONS; i++) {
		struct vfui_kept_region *region = atomic_exchange(&kept->region[i], NULL);

		if (!region)
			continue;
		region->next = kept->forgotten;
		kept->forgotten = region;
	}
	kept->has_device = false;
	kept->has_irq = 0;
}

void vfui_kept_clear(struct vfui_kept *kept)
{
	struct vfui_kept_region *region;

	vfui_kept_forget(kept);
	while ((region = kept->forgotten)) {
		kept->forgotten = region->next;
		free_region(region);
	}
}

/* ---- copies */

static void *copy_of(const void *from, size_t n, size_t size)
{
	void *to = from && n ? vfui_os_calloc(n, size) : NULL;

	if (to)
		memcpy(to, from, n * size);
	return to;
}

/* Copies of descriptors, of which several areas may have the same one. */
static int copy_files(const struct vfu_region_info *from, struct vfu_region_info *out)
{
	for (unsigned i = 0; from->files && i < out->nareas; i++) {
		unsigned k = 0;

		while (from->files[k].fd != from->files[i].fd)
			k++;
		out->files[i].fd = k < i ? out->files[k].fd : vfui_os_dup(from->files[i].fd);
		if (out->files[i].fd < 0)
			return out->files[i].fd;
	}
	out->fd = from->fd < 0 ? -1 : vfui_os_dup(from->fd);
	return from->fd >= 0 && out->fd < 0 ? out->fd : 0;
}

int vfui_region_info_copy(const struct vfu_region_info *from, struct vfu_region_info *out)
{
	int ret = -ENOMEM;

	*out = *from;
	out->fd = -1;
	out->areas = copy_of(from->areas, from->nareas, sizeof(*from->areas));
	out->files = copy_of(from->files, from->nareas, sizeof(*from->files));
	out->reply = copy_of(from->reply, from->reply_len, 1);
	for (unsigned i = 0; out->files && i < out->nareas; i++)
		out->files[i].fd = -1;
	if (!!out->areas == !!from->areas && !!out->files == !!from->files &&
	    !!out->reply == !!from->reply)
		ret = copy_files(from, out);
	if (ret)
		vfu_region_info_fini(out);
	return ret;
}
