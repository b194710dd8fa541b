/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * region.c - regions: what a device may declare, where an access goes.
 *
 *	 access       region             0     16  24            size
 *	 ------ handlers (ascending) --> |     |aaa|             |
 *	           |                     |
 *	           + between them: base  |.....|   |.............|  callback, else memory, else -ENOMEM
 *
 * A handler takes its range away from the base, which is the region's callback or plain memory: the
 * file's, or the library's, which the kernel gives page by page as it is touched. An access over
 * several of them is served in parts from left to right, and each is looked up anew, for the callback
 * before it may have changed the region. Its parts may be answered later; device/request.c puts them
 * together again. Registers of aligned 4 and 8 bytes are read and written as one, since the client
 * may have mapped the memory. Registers with masks are handlers too, of ours (device/register.h).
 */
#include "device/region.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/util.h"
#include "base/err.h"
#include "base/fds.h"
#include "base/os.h"
#include "base/sigbus.h"
#include "device/masks.h"
#include "device/request.h"

void vfui_regions_init(struct vfui_regions *regions)
{
	memset(regions, 0, sizeof(*regions));
	regions->n = VFU_REGIONS;
	for (unsigned i = 0; i < VFU_REGIONS; i++)
		regions->region[i].def.fd = -1;
}

static void release(struct vfui_handler *handler)
{
	if (handler->is_owned)
		vfui_os_free(handler->user);
}

/* Copies of descriptors: each stands at all areas that have it. */
static void close_files(const struct vfu_region *def)
{
	struct vfui_fds fds = {.n = 0};

	for (unsigned i = 0; def->files && i < def->nareas; i++)
		vfui_fds_index(&fds, def->files[i].fd);
	vfui_fds_close(&fds);
	vfui_os_free((void *)def->files);
}

static void region_fini(struct vfui_region *region)
{
	vfu_watch_free(region->watch);
	if (region->memory && region->memory_len)
		vfui_os_munmap(region->memory, region->memory_len);
	close_files(&region->def);
	vfui_os_free((void *)region->def.areas);
	for (unsigned i = 0; i < region->nhandlers; i++)
		release(&region->handlers[i]);
	vfui_os_free(region->handlers);
	vfui_region_caps_fini(&region->caps);
	vfui_ioevents_fini(&region->ioevents);
	vfui_os_close(region->def.fd);
	memset(region, 0, sizeof(*region));
	region->def.fd = -1;
}

void vfui_regions_fini(struct vfui_regions *regions)
{
	for (unsigned i = 0; i < regions->n; i++)
		region_fini(vfui_region_at(regions, i));
	vfui_os_free(regions->more);
	regions->more = NULL;
	regions->n = VFU_REGIONS;
}

unsigned vfui_regions_free_index(struct vfui_regions *regions)
{
	unsigned i = VFU_REGIONS;

	while (i < regions->n && vfui_region_at(regions, i)->def.size)
		i++;
	return i;
}

/* ---- what may be declared ---------------------------------------------------------------------- */

static bool is_power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* Sizes that a BAR register can express, by kind. */
static const struct {
	uint32_t kind;
	uint64_t min, max;
} bar_sizes[] = {
	{0, 16, UINT64_C(1) << 31},          {VFU_BAR_PREFETCH, 16, UINT64_C(1) << 31},
	{VFU_BAR_64, 16, UINT64_C(1) << 63}, {VFU_BAR_64 | VFU_BAR_PREFETCH, 16, UINT64_C(1) << 63},
	{VFU_BAR_IO, 4, UINT64_C(1) << 31},
};

static int check_bar(const struct vfui_regions *regions, unsigned index,
		     const struct vfu_region *def, struct vfu_err *err)
{
	bool is_64 = def->bar_flags & VFU_BAR_64;
	const struct vfu_region *below = index ? &regions->region[index - 1].def : NULL;

	if (is_64 && (index == VFU_REGION_BAR5 || regions->region[index + 1].def.size))
		return vfui_err_set(
			err, -EINVAL, "region.bar_flags", 0,
			"a 64-bit BAR needs the next BAR's register, and %u is not free",
			index + 1);
	if (below && below->size && below->bar_flags & VFU_BAR_64)
		return vfui_err_set(err, -EINVAL, "region.index", 0,
				    "BAR %u is the upper half of BAR %u", index, index - 1);
	for (size_t i = 0; i < VFUI_ARRAY_SIZE(bar_sizes); i++) {
		if (bar_sizes[i].kind != def->bar_flags)
			continue;
		if (is_power_of_two(def->size) && def->size >= bar_sizes[i].min &&
		    def->size <= bar_sizes[i].max)
			return 0;
		return vfui_err_set(err, -EINVAL, "region.size", 0,
				    "a BAR of this kind is a power of two from %llu to 2^%d",
				    (unsigned long long)bar_sizes[i].min, is_64 ? 63 : 31);
	}
	return vfui_err_set(err, -EINVAL, "region.bar_flags", 0, "no BAR has flags 0x%x",
			    def->bar_flags);
}

static int check_index(const struct vfui_regions *regions, unsigned index,
		       const struct vfu_region *def, struct vfu_err *err)
{
	if (index <= VFU_REGION_BAR5)
		return check_bar(regions, index, def, err);
	if (def->bar_flags)
		return vfui_err_set(err, -EINVAL, "region.bar_flags", 0, "region %u is no BAR",
				    index);
	if (index == VFU_REGION_ROM &&
	    (!is_power_of_two(def->size) || def->size < 2048 || def->size > 1 << 24))
		return vfui_err_set(err, -EINVAL, "region.size", 0,
				    "a ROM is a power of two from 2 KiB to 16 MiB");
	if (index == VFU_REGION_CONFIG && ((def->size != 256 && def->size != 4096) || !def->access))
		return vfui_err_set(err, -EINVAL, "region.size", 0,
				    "configuration space is 256 or 4096 bytes and has a callback");
	return 0;
}

static int check_areas(const struct vfu_region *def, struct vfu_err *err)
{
	uint64_t page = vfui_os_page_size() - 1, end = 0;

	if (def->nareas && !def->areas)
		return vfui_err_set(err, -EINVAL, "region.areas", 0, "there are none");
	if (def->nareas > VFUI_AREAS_MAX)
		return vfui_err_set(err, -EINVAL, "region.areas", 0,
				    "a client is told of at most %d", VFUI_AREAS_MAX);
	for (unsigned i = 0; i < def->nareas; i++) {
		const struct vfu_area *area = &def->areas[i];

		if (!area->size || area->offset & page || area->size & page)
			return vfui_err_set(err, -EINVAL, "region.areas", 0,
					    "area %u is not made of pages", i);
		if (area->offset < end || !vfui_is_inside(area->offset, area->size, def->size))
			return vfui_err_set(err, -EINVAL, "region.areas", 0,
					    "area %u overlaps the one before or leaves the region",
					    i);
		end = area->offset + area->size;
	}
	return 0;
}

/* A mapping past the end of a file is one that kills whoever touches it. */
static int check_file(int fd, uint64_t offset, uint64_t need, struct vfu_err *err)
{
	struct stat st;
	int rc;

	if (offset & (vfui_os_page_size() - 1))
		return vfui_err_set(err, -EINVAL, "region.fd_offset", 0, "not the start of a page");
	if (!vfui_is_inside(offset, need, INT64_MAX))
		return vfui_err_set(err, -EINVAL, "region.fd_offset", 0,
				    "no file reaches so far: it ends before 2^63");
	rc = vfui_os_fstat(fd, &st);
	if (rc < 0)
		return vfui_err_set(err, rc, "region.fd", 0, "no such descriptor");
	if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || S_ISDIR(st.st_mode))
		return vfui_err_set(err, -EINVAL, "region.fd", 0,
				    "pipes, sockets and directories can not be mapped");
	if (S_ISREG(st.st_mode) && !vfui_is_inside(offset, need, (uint64_t)st.st_size))
		return vfui_err_set(err, -EINVAL, "region.size", 0,
				    "the file ends before the region, or the area, does");
	return 0;
}

static int check_files(const struct vfu_region *def, struct vfu_err *err)
{
	struct vfui_fds fds = {.n = 0};
	int rc = 0;

	if (def->fd >= 0 || !def->nareas)
		return vfui_err_set(err, -EINVAL, "region.files", 0,
				    "files are those of areas, and then the region has none");
	for (unsigned i = 0; i < def->nareas && !rc; i++) {
		if (vfui_fds_index(&fds, def->files[i].fd) < 0)
			return vfui_err_set(err, -EINVAL, "region.files", 0,
					    "more than %d different ones", VFUI_FDS_MAX);
		rc = check_file(def->files[i].fd, def->files[i].offset, def->areas[i].size, err);
	}
	return rc;
}

/* What is behind the region. */
static int check_memory(const struct vfu_region *def, struct vfu_err *err)
{
	const struct vfu_area *last = def->nareas ? &def->areas[def->nareas - 1] : NULL;
	uint64_t need = last && def->access ? last->offset + last->size : def->size;

	if (def->files)
		return check_files(def, err);
	if (def->fd >= 0)
		return check_file(def->fd, def->fd_offset, need, err);
	if (def->flags & VFU_REGION_MMAP)
		return vfui_err_set(err, -EINVAL, "region.fd", 0, "nothing to map without a file");
	return 0;
}

static int check_def(const struct vfui_regions *regions, unsigned index,
		     const struct vfu_region *def, struct vfu_err *err)
{
	const uint32_t known =
		VFU_REGION_READ | VFU_REGION_WRITE | VFU_REGION_MMAP | VFU_REGION_UNCLEARED;
	const uint32_t widths = VFU_WIDTH_1 | VFU_WIDTH_2 | VFU_WIDTH_4 | VFU_WIDTH_8;
	int rc;

	if (def->flags & ~known)
		return vfui_err_set(err, -EINVAL, "region.flags", 0, "unknown flags 0x%x",
				    def->flags & ~known);
	if (def->widths & ~widths)
		return vfui_err_set(err, -EINVAL, "region.widths", 0,
				    "0x%x: accesses have 1, 2, 4 or 8 bytes", def->widths);
	if (def->nareas && !(def->flags & VFU_REGION_MMAP))
		return vfui_err_set(err, -EINVAL, "region.areas", 0,
				    "areas of a region that can not be mapped");
	rc = check_index(regions, index, def, err);
	if (!rc)
		rc = check_areas(def, err);
	if (!rc)
		rc = check_memory(def, err);
	if (!rc)
		rc = vfui_region_info_check(index, def, &(struct vfui_region_caps){0}, err);
	return rc;
}

/*
 * Memory of our own costs what is touched of it, so a BAR may be large and empty. Where not even the
 * addresses can be had the region has none, and accesses fail that no handler serves: with handlers
 * for all of it none is missed.
 */
static void open_own_memory(struct vfui_region *region)
{
	uint64_t size = region->def.size;

	if (size <= SIZE_MAX)
		region->memory =
			vfui_os_mmap((size_t)size, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, NULL);
}

static int open_file(struct vfui_region *region, struct vfu_err *err)
{
	const struct vfu_region *def = &region->def;
	size_t size = (size_t)def->size;
	int rc = 0;

	if (size != def->size)
		return vfui_err_set(err, -ENOMEM, "region.size", 0,
				    "larger than the memory this machine can address");
	/* The device may write what the client only reads; unless the file itself is read-only. */
	region->memory = vfui_os_mmap(size, PROT_READ | PROT_WRITE, MAP_SHARED, def->fd,
				      def->fd_offset, &rc);
	if (!region->memory && (rc == -EACCES || rc == -EPERM) &&
	    !(def->flags & VFU_REGION_WRITE)) {
		region->memory =
			vfui_os_mmap(size, PROT_READ, MAP_SHARED, def->fd, def->fd_offset, &rc);
		region->is_readonly = true;
	}
	if (!region->memory)
		return vfui_err_set(err, rc, "region.fd", 0, "the file can not be mapped: %s",
				    strerror(-rc));
	region->watch = vfu_watch_new(region->memory, size);
	return region->watch ? 0 : vfui_err_set(err, -ENOMEM, NULL, 0, "no memory to watch it");
}

/* The library's memory, and files in the place of parts of it. */
static int open_files(struct vfui_region *region, struct vfu_err *err)
{
	const struct vfu_region *def = &region->def;
	int rc = region->memory ? 0 : -ENOMEM;

	for (unsigned i = 0; i < def->nareas && !rc; i++) {
		uint8_t *at = region->memory + def->areas[i].offset;
		size_t size = (size_t)def->areas[i].size;
		int fd = def->files[i].fd;

		rc = vfui_os_mmap_file_over(at, size, PROT_READ | PROT_WRITE, fd,
					    def->files[i].offset);
		if ((rc == -EACCES || rc == -EPERM) && !(def->flags & VFU_REGION_WRITE)) {
			rc = vfui_os_mmap_file_over(at, size, PROT_READ, fd, def->files[i].offset);
			region->is_readonly = true;
		}
	}
	if (rc)
		return vfui_err_set(err, rc, "region.files", 0, "they can not be mapped: %s",
				    strerror(-rc));
	region->watch = vfu_watch_new(region->memory, (size_t)def->size);
	return region->watch ? 0 : vfui_err_set(err, -ENOMEM, NULL, 0, "no memory to watch them");
}

/* Memory of a plain region. */
static int open_memory(struct vfui_region *region, struct vfu_err *err)
{
	int rc = 0;

	if (region->def.access)
		return 0;
	region->memory_len = (size_t)region->def.size;
	if (region->def.fd < 0)
		open_own_memory(region);
	else
		rc = open_file(region, err);
	return region->def.files ? open_files(region, err) : rc;
}

static int copy_files(struct vfui_region *region, const struct vfu_region *def)
{
	struct vfu_area_file *files = vfui_os_malloc(def->nareas * sizeof(*files));
	struct vfui_fds theirs = {.n = 0}, ours = {.n = 0};
	int rc = files ? 0 : -ENOMEM;

	for (unsigned i = 0; i < def->nareas; i++)
		vfui_fds_index(&theirs, def->files[i].fd);
	if (!rc)
		rc = vfui_fds_dup(&ours, theirs.fd, theirs.n);
	if (rc) {
		vfui_os_free(files);
		return rc;
	}
	for (unsigned i = 0; i < def->nareas; i++) {
		int at = vfui_fds_index(&theirs, def->files[i].fd);

		files[i] = (struct vfu_area_file){ours.fd[at], def->files[i].offset};
	}
	region->def.files = files;
	return 0;
}

/* Copies, also of descriptors. What there is of them goes with region_fini. */
static int copy_areas(struct vfui_region *region, const struct vfu_region *def, struct vfu_err *err)
{
	struct vfu_area *areas = vfui_os_malloc(def->nareas * sizeof(*areas));
	int rc = areas ? 0 : -ENOMEM;

	region->def.areas = areas;
	if (!rc) {
		memcpy(areas, def->areas, def->nareas * sizeof(*areas));
		rc = def->files ? copy_files(region, def) : 0;
	}
	return rc ? vfui_err_set(err, rc, "region.areas", 0, "no copy of them: %s", strerror(-rc))
		  : 0;
}

static int region_init(struct vfui_region *region, const struct vfu_region *def,
		       struct vfu_err *err)
{
	int rc;

	*region = (struct vfui_region){.def = *def};
	region->def.areas = NULL;
	region->def.files = NULL;
	rc = def->nareas ? copy_areas(region, def, err) : 0;
	if (!rc)
		rc = open_memory(region, err);
	if (rc)
		region_fini(region);
	return rc;
}

/* Room for the device's own. All at once: an access may be under way in one of them, whose place must not move. */
static int make_room(struct vfui_regions *regions)
{
	enum { N = VFU_REGIONS_MAX - VFU_REGIONS };

	if (regions->more)
		return 0;
	regions->more = vfui_os_calloc(N, sizeof(*regions->more));
	if (!regions->more)
		return -ENOMEM;
	for (unsigned i = 0; i < N; i++)
		regions->more[i].def.fd = -1;
	return 0;
}

/* Puts a region, or none, in the place of what is there. */
static void replace(struct vfui_regions *regions, unsigned index, const struct vfui_region *region)
{
	struct vfui_region *place;

	if (region && index >= regions->n)
		regions->n = index + 1;
	place = vfui_region_at(regions, index);
	if (place && place->memory && regions->on_gone)
		regions->on_gone(regions->ctx, place->memory, place->memory_len);
	if (place)
		region_fini(place);
	if (region)
		*place = *region;
	while (regions->n > VFU_REGIONS && !vfui_region_at(regions, regions->n - 1)->def.size)
		regions->n--;
}

int vfui_region_set(struct vfui_regions *regions, unsigned index, const struct vfu_region *def,
		    struct vfu_err *err)
{
	struct vfui_region region;
	int rc = 0;

	if (index >= VFU_REGIONS_MAX)
		rc = vfui_err_set(err, -EINVAL, "region.index", 0, "no region %u: the last is %d",
				  index, VFU_REGIONS_MAX - 1);
	else if (def->size)
		rc = check_def(regions, index, def, err);
	if (!rc && def->size && index >= VFU_REGIONS && make_room(regions) < 0)
		rc = vfui_err_set(err, -ENOMEM, NULL, 0, "no memory for more regions");
	if (rc || !def->size) {
		vfui_os_close(def->fd);
		if (!rc)
			replace(regions, index, NULL);
		return rc;
	}
	rc = region_init(&region, def, err);
	if (!rc)
		replace(regions, index, &region);
	return rc;
}

void *vfui_region_memory(struct vfui_regions *regions, unsigned index)
{
	struct vfui_region *region = vfui_region_at(regions, index);

	return region ? region->memory : NULL;
}

/* ---- handlers ---------------------------------------------------------------------------------- */

/* The first handler that ends at or after offset. */
static unsigned find_handler(const struct vfui_region *region, uint64_t offset)
{
	unsigned low = 0, high = region->nhandlers;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (region->handlers[middle].last < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool vfui_region_is_handled(const struct vfui_region *region, uint64_t offset, uint64_t count)
{
	unsigned at = find_handler(region, offset);

	return at < region->nhandlers && region->handlers[at].first < offset + count;
}

struct vfui_handler *vfui_region_handler_at(struct vfui_region *region, uint64_t offset)
{
	unsigned at = find_handler(region, offset);

	return at < region->nhandlers && region->handlers[at].first <= offset
		       ? &region->handlers[at]
		       : NULL;
}

static void drop_handlers(struct vfui_region *region, unsigned from, unsigned to)
{
	if (from == to)
		return;
	for (unsigned i = from; i < to; i++)
		release(&region->handlers[i]);
	memmove(region->handlers + from, region->handlers + to,
		(region->nhandlers - to) * sizeof(*region->handlers));
	region->nhandlers -= to - from;
}

int vfui_region_add_handlers(struct vfui_region *region, const struct vfui_handler *added,
			     unsigned n)
{
	unsigned i = region->nhandlers, at = i + n;
	struct vfui_handler *all;

	for (unsigned k = 0; k < n; k++) {
		unsigned next = find_handler(region, added[k].first);

		if (next < i && region->handlers[next].first <= added[k].last)
			return -EEXIST;
	}
	all = vfui_os_realloc(region->handlers, ((size_t)i + n) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	region->handlers = all;
	region->nhandlers += n;
	while (n)
		all[--at] = i && all[i - 1].first > added[n - 1].first ? all[--i] : added[--n];
	return 0;
}

int vfui_region_set_handler(struct vfui_regions *regions, unsigned index, uint64_t offset,
			    uint64_t size, vfu_access_fn *fn, void *user, struct vfu_err *err)
{
	struct vfui_region *region = vfui_region_at(regions, index);
	struct vfui_handler handler = {
		.first = offset, .last = offset + size - 1, .fn = fn, .user = user};
	unsigned from, to;

	if (!region || !size || !vfui_is_inside(offset, size, region->def.size))
		return vfui_err_set(err, -EINVAL, "handler.offset", 0, "not inside region %u",
				    index);
	from = find_handler(region, offset);
	for (to = from; to < region->nhandlers && region->handlers[to].first <= handler.last;
	     to++) {
		if (region->handlers[to].first < offset || region->handlers[to].last > handler.last)
			return vfui_err_set(err, -EINVAL, "handler.offset", 0,
					    "cuts another handler's range");
	}
	if (!fn) {
		drop_handlers(region, from, to);
		return 0;
	}
	if (to == from)
		return vfui_region_add_handlers(region, &handler, 1);
	if (to > from + 1 || region->handlers[from].first != offset ||
	    region->handlers[from].last != handler.last)
		return vfui_err_set(err, -EEXIST, "handler.offset", 0,
				    "overlaps another handler's range");
	release(&region->handlers[from]);
	region->handlers[from] = handler;
	return 0;
}

/* ---- access ------------------------------------------------------------------------------------ */

/* What serves it, a handler or the region's callback (NULL), is the device's and says what it has filled. */
static bool says_filled(const struct vfui_region *region, const struct vfui_handler *handler)
{
	return region->def.flags & VFU_REGION_UNCLEARED &&
	       !(handler && (handler->is_owned || handler->is_kept));
}

/*
 * Calls a function for a read into a buffer that holds whatever it held: none of that may leave. One that
 * does not say what it fills gets zeros.
 */
static int read_uncleared(vfu_access_fn *fn, void *user, bool fills, struct vfu_request *req,
			  const struct vfu_access *access)
{
	int rc;

	if (!fills) {
		memset(access->data, 0, access->count);
		return fn(user, req, access);
	}
	vfui_request_set_uncleared(req);
	rc = fn(user, req, access);
	if (!rc)
		vfui_request_clear_rest(req);
	return rc;
}

/* The part of a region that has no handler. */
static int access_base(struct vfui_region *region, struct vfu_request *req,
		       const struct vfu_access *access)
{
	uint8_t *at;

	if (region->def.access)
		return region->def.access(region->def.user, req, access);
	if (!region->memory)
		return -ENOMEM;
	at = region->memory + access->offset;
	if (access->is_write)
		vfui_memory_write(at, access->data, access->count);
	else
		vfui_memory_read(access->data, at, access->count);
	return vfui_watch_is_lost(region->watch) ? -EFAULT : 0;
}

VFUI_APART bool vfui_region_takes(const struct vfui_region *region, const struct vfu_access *access)
{
	uint32_t below = access->count - 1;

	return !region->def.widths || !access->count ||
	       (access->count & region->def.widths && !((access->count | access->offset) & below));
}

/* Inside the region, and of a kind it allows. */
static int check_access(const struct vfui_region *region, const struct vfu_access *access)
{
	uint32_t needs = access->is_write ? VFU_REGION_WRITE : VFU_REGION_READ;

	if (!region->def.size || !vfui_is_inside(access->offset, access->count, region->def.size))
		return -EINVAL;
	return region->def.flags & needs ? 0 : -EACCES;
}

/*
 * Serves what of an access one handler, or the gap before it, takes. Looks all up anew: the callback
 * before may have changed the region.
 */
static int access_part(struct vfui_region *region, struct vfui_split *split,
		       const struct vfu_access *whole, uint32_t done, uint32_t *taken)
{
	uint64_t first = whole->offset + done, last = whole->offset + whole->count - 1;
	unsigned at = find_handler(region, first);
	const struct vfui_handler *next = at < region->nhandlers ? &region->handlers[at] : NULL;
	bool handled = next && next->first <= first;
	const struct vfu_access *access = whole;
	struct vfu_request *req = split->whole;

	if (handled && next->last < last)
		last = next->last;
	else if (!handled && next && next->first <= last)
		last = next->first - 1;
	*taken = (uint32_t)(last - first + 1);
	if (*taken < whole->count) {
		vfui_split_next(split, whole, first, *taken);
		access = &split->part.access;
		req = req ? &split->part : NULL;
	}
	if (split->is_uncleared) {
		if (handled)
			return read_uncleared(next->fn, next->user, says_filled(region, next), req,
					      access);
		if (region->def.access)
			return read_uncleared(region->def.access, region->def.user,
					      says_filled(region, NULL), req, access);
	}
	return handled ? next->fn(next->user, req, access) : access_base(region, req, access);
}

/*
 * An access to a region with widths, or that is not cleared, or with handlers: to one of them after the other,
 * and to what lies between.
 */
VFUI_APART static int access_parts(struct vfui_region *region, struct vfu_request *req,
				   const struct vfu_access *access)
{
	struct vfui_split split;
	uint32_t taken;
	int rc = 0;

	if (!vfui_region_takes(region, access))
		return -EINVAL;
	split.whole = req;
	split.held = NULL;
	split.is_uncleared = region->def.flags & VFU_REGION_UNCLEARED && !access->is_write;
	for (uint32_t done = 0; done < access->count && !rc; done += taken) {
		rc = done ? check_access(region, access) : 0;
		if (rc)
			break;
		rc = access_part(region, &split, access, done, &taken);
		if (taken == access->count)
			return rc;
		if (split.part.is_deferred)
			rc = 0;
	}
	return vfui_split_end(&split, rc);
}

int vfui_region_access(struct vfui_regions *regions, struct vfu_request *req,
		       const struct vfu_access *access)
{
	struct vfui_region *region = vfui_region_at(regions, access->region);
	int rc;

	if (!region)
		return -EINVAL;
	rc = check_access(region, access);
	if (rc || !access->count)
		return rc;
	return region->nhandlers | region->def.widths | (region->def.flags & VFU_REGION_UNCLEARED)
		       ? access_parts(region, req, access)
		       : access_base(region, req, access);
}

/* ---- capabilities ------------------------------------------------------------------------------ */

int vfui_region_add_capability(struct vfui_regions *regions, unsigned index,
			       const struct vfu_region_capability *cap, struct vfu_err *err)
{
	struct vfui_region *region = vfui_region_at(regions, index);

	if (!region || !region->def.size)
		return vfui_err_set(err, -EINVAL, "region.index", 0, "no region %u", index);
	return vfui_region_caps_add(&region->caps, index, &region->def, cap, err);
}
