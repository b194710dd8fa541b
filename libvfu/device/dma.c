/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma.c - the DMA table: maps, unmaps, pins.
 */
#include "device/dma.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/util.h"
#include "device/dma-table.h"
#include "base/err.h"
#include "base/os.h"
#include "policy.h"
#include "wire.h"

/* A file kept for ranges that are not mapped: one descriptor however many ranges it serves. */
struct vfui_dma_file {
	struct vfui_dma_file *next;
	dev_t dev;
	ino_t ino;
	int mode; /* O_ACCMODE */
	int fd;
	uint32_t users;
};

/* An unmap whose answer waits: for its maps that are pinned, and for vfui_dma_wait_start. */
struct vfui_dma_wait {
	uint32_t left;
	void (*done)(void *user);
	void *user;
};

/* A public pin; the generation tells a pin from an earlier one in the same slot. */
struct vfui_dma_slot {
	struct vfui_dma_map *map; /* NULL: free */
	void *addr;
	size_t len;
	uintptr_t generation;
	uint32_t next_free;
};

/* The kernel's usual limit is 65,530 mappings a process; others need some too. */
#define MAX_MAPPED 61440

#define NO_SLOT UINT32_MAX
#define SLOT_BITS 24
#define MAX_SLOTS ((1u << SLOT_BITS) - 1)
#define SLOT_MASK ((uintptr_t)MAX_SLOTS)

int vfui_dma_init(struct vfui_dma *dma, const struct vfui_dma_hooks *hooks)
{
	int rc;

	memset(dma, 0, sizeof(*dma));
	if (hooks)
		dma->hooks = *hooks;
	vfui_list_init(&dma->doomed);
	vfui_list_init(&dma->ops);
	vfui_list_init(&dma->unsent);
	vfui_list_init(&dma->fences);
	dma->free_slot = NO_SLOT;
	rc = vfui_os_mutex_init(&dma->lock);
	if (rc)
		return rc;
	rc = vfui_os_cond_init(&dma->quiet);
	if (rc)
		vfui_os_mutex_fini(&dma->lock);
	return rc;
}

static struct vfui_dma_map *map_of(struct vfui_range *range)
{
	return range ? vfui_container_of(range, struct vfui_dma_map, range) : NULL;
}

/* ---- files ------------------------------------------------------------------------------------- */

static struct vfui_dma_file **bucket_of(struct vfui_dma *dma, dev_t dev, ino_t ino)
{
	uint64_t hash = ((uint64_t)dev + (uint64_t)ino) * UINT64_C(0x9e3779b97f4a7c15);

	return &dma->files[hash >> 56];
}

/* The kept file behind fd, which is kept or closed; NULL: out of memory, fd stays the caller's. */
static struct vfui_dma_file *file_get(struct vfui_dma *dma, int fd, const struct stat *st, int mode)
{
	struct vfui_dma_file **bucket = bucket_of(dma, st->st_dev, st->st_ino), *file;

	vfui_os_lock(&dma->lock);
	for (file = *bucket; file; file = file->next) {
		if (file->dev == st->st_dev && file->ino == st->st_ino && file->mode == mode)
			break;
	}
	if (file) {
		file->users++;
		vfui_os_close(fd);
	} else {
		file = vfui_os_malloc(sizeof(*file));
		if (file) {
			*file = (struct vfui_dma_file){*bucket, st->st_dev, st->st_ino,
						       mode,    fd,         1};
			*bucket = file;
		}
	}
	vfui_os_unlock(&dma->lock);
	return file;
}

static void file_put(struct vfui_dma *dma, struct vfui_dma_file *file)
{
	struct vfui_dma_file **link = bucket_of(dma, file->dev, file->ino);
	bool last;

	vfui_os_lock(&dma->lock);
	last = !--file->users;
	if (last) {
		while (*link != file)
			link = &(*link)->next;
		*link = file->next;
	}
	vfui_os_unlock(&dma->lock);
	if (!last)
		return;
	vfui_os_close(file->fd);
	vfui_os_free(file);
}

int vfui_dma_file_io(const struct vfui_dma_map *map, uint64_t offset, uint8_t *buf, size_t len,
		     bool write)
{
	int fd = map->file->fd;

	for (offset += map->offset; len;) {
		ssize_t n = write ? vfui_os_pwrite(fd, buf, len, offset)
				  : vfui_os_pread(fd, buf, len, offset);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		/* The client has cut the file since. */
		if (!n)
			return -EIO;
		buf += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* ---- maps -------------------------------------------------------------------------------------- */

static void map_free(struct vfui_dma *dma, struct vfui_dma_map *map)
{
	if (map->mapping)
		vfui_os_munmap(map->mapping, map->mapping_len);
	if (map->file)
		file_put(dma, map->file);
	vfui_os_free(map);
}

static int check_map(const struct vfui_dma *dma, uint32_t flags, uint64_t offset, uint64_t iova,
		     uint64_t size, bool has_fd, const struct vfui_policy *policy,
		     struct vfu_err *err)
{
	const uint32_t modes = VFU_WIRE_DMA_MAP_MMAP | VFU_WIRE_DMA_MAP_FILE_IO;
	const uint32_t known = VFU_WIRE_DMA_MAP_READABLE | VFU_WIRE_DMA_MAP_WRITEABLE | modes;

	if (flags & ~known || (flags & modes) == modes)
		return vfui_err_set(err, -EINVAL, "dma_map.flags", 4, "flags 0x%x", flags);
	if (flags & modes && !has_fd)
		return vfui_err_set(err, -EINVAL, "dma_map.flags", 4, "flags 0x%x without a file",
				    flags);
	if (!size || iova > UINT64_MAX - (size - 1))
		return vfui_err_set(err, -EINVAL, "dma_map.size", 24,
				    "empty, or past the last address");
	if ((iova | size) & (dma->limits.pgsize - 1) &&
	    policy->map_misaligned == VFUI_MAP_MISALIGNED_REJECT)
		return vfui_err_set(err, -EINVAL, "dma_map.address", 16, "not made of pages");
	if (has_fd && !vfui_is_inside(offset, size, INT64_MAX))
		return vfui_err_set(err, -EINVAL, "dma_map.offset", 8, "no file is that long");
	return 0;
}

/* What is behind the descriptor: long enough, and open for what the range is to allow. *mode: O_ACCMODE. */
static int check_file(const struct vfui_dma_map *map, int fd, struct stat *st, int *mode,
		      struct vfu_err *err)
{
	uint64_t size = map->range.last - map->range.first + 1;
	int rc = vfui_os_fstat(fd, st), flags = vfui_os_get_flags(fd);

	if (rc < 0 || flags < 0)
		return vfui_err_set(err, rc < 0 ? rc : flags, "dma_map.fds", 0,
				    "can not look at the file");
	if (!S_ISREG(st->st_mode) && !S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode))
		return vfui_err_set(err, -EINVAL, "dma_map.fds", 0, "not a file that holds memory");
	if (S_ISREG(st->st_mode) && !vfui_is_inside(map->offset, size, (uint64_t)st->st_size))
		return vfui_err_set(err, -EINVAL, "dma_map.size", 24,
				    "the file ends before the range does");
	*mode = flags & O_ACCMODE;
	if ((map->flags & VFU_DMA_READ && *mode == O_WRONLY) ||
	    (map->flags & VFU_DMA_WRITE && *mode == O_RDONLY))
		return vfui_err_set(err, -EACCES, "dma_map.flags", 4,
				    "the file is not open for that");
	return 0;
}

/*
 * What a mapping of a file must begin and end with multiples of. A file of huge pages names theirs as
 * its block size; elsewhere a larger one does no harm.
 */
static uint64_t map_unit(const struct stat *st)
{
	uint64_t page = vfui_os_page_size(), unit = (uint64_t)st->st_blksize;

	return S_ISREG(st->st_mode) && unit > page && unit <= 1u << 30 && !(unit & (unit - 1))
		       ? unit
		       : page;
}

/* 0, or why the file can not be mapped. */
static int map_file(struct vfui_dma_map *map, int fd, const struct stat *st)
{
	uint64_t unit = map_unit(st), skip = map->offset & (unit - 1);
	uint64_t size = (map->range.last - map->range.first + skip + unit) & ~(unit - 1);
	int prot = (map->flags & VFU_DMA_READ ? PROT_READ : 0) |
		   (map->flags & VFU_DMA_WRITE ? PROT_WRITE : 0);
	int rc = 0;

	if (size > SIZE_MAX / 2)
		return -ENOMEM;
	map->mapping = vfui_os_mmap((size_t)size, prot, MAP_SHARED, fd, map->offset - skip, &rc);
	if (!map->mapping)
		return rc;
	map->mapping_len = (size_t)size;
	map->addr = (uint8_t *)map->mapping + skip;
	map->kind = VFUI_DMA_MAPPED;
	return 0;
}

/* Gives a map its memory. fd: taken if 0 is returned. */
static int open_map(struct vfui_dma *dma, struct vfui_dma_map *map, uint32_t flags, int fd,
		    struct vfu_err *err)
{
	struct stat st;
	int mode = 0, rc = check_file(map, fd, &st, &mode, err);

	if (rc)
		return rc;
	if (!(flags & VFU_WIRE_DMA_MAP_FILE_IO)) {
		rc = dma->nmapped < MAX_MAPPED ? map_file(map, fd, &st) : -ENOMEM;
		if (!rc) {
			/* The mapping keeps the memory; descriptors are scarcer. */
			vfui_os_close(fd);
			return 0;
		}
		/* Too many mappings, or a file that knows none: read and write it. */
		if (rc != -ENOMEM && rc != -ENODEV)
			return vfui_err_set(err, rc, "dma_map.fds", 0,
					    "the file can not be mapped");
	}
	/* Reading a device may wait for ever. */
	if (S_ISCHR(st.st_mode))
		return vfui_err_set(err, -EINVAL, "dma_map.fds", 0,
				    "a device that can not be mapped");
	map->file = file_get(dma, fd, &st, mode);
	if (!map->file)
		return vfui_err_set(err, -ENOMEM, NULL, 0, "no memory for a file");
	map->kind = VFUI_DMA_FILE;
	return 0;
}

static struct vfu_dma_range describe(const struct vfui_dma_map *map)
{
	return (struct vfu_dma_range){
		.iova = map->range.first,
		.size = map->range.last - map->range.first + 1,
		.flags = map->flags,
		.mapped = map->kind == VFUI_DMA_MAPPED,
	};
}

/* 1: insert it; 0: it is there and that is fine; -EEXIST, -ENOSPC. Only the owner changes the table, so no lock. */
static int check_room(const struct vfui_dma *dma, const struct vfui_dma_map *map,
		      const struct vfui_policy *policy, struct vfu_err *err)
{
	const struct vfui_dma_map *old = map_of(vfui_ranges_from(&dma->maps, map->range.first));

	if (old && old->range.first <= map->range.last) {
		if (policy->map_repeat == VFUI_MAP_REPEAT_ACCEPT &&
		    old->range.first == map->range.first && old->range.last == map->range.last &&
		    old->flags == map->flags)
			return 0;
		return vfui_err_set(err, -EEXIST, "dma_map.address", 16, "overlaps a live range");
	}
	if (dma->maps.count >= dma->limits.max_maps)
		return vfui_err_set(err, -ENOSPC, "dma_map", 0, "more than %u ranges",
				    dma->limits.max_maps);
	return 1;
}

static void insert_map(struct vfui_dma *dma, struct vfui_dma_map *map)
{
	struct vfu_dma_range range = describe(map);

	vfui_os_lock(&dma->lock);
	vfui_ranges_insert(&dma->maps, &map->range);
	dma->nmapped += map->kind == VFUI_DMA_MAPPED;
	vfui_os_unlock(&dma->lock);
	if (dma->hooks.mapped)
		dma->hooks.mapped(dma->hooks.ctx, &range);
}

int vfui_dma_map(struct vfui_dma *dma, uint32_t flags, uint64_t offset, uint64_t iova,
		 uint64_t size, int fd, const struct vfui_policy *policy, struct vfu_err *err)
{
	int rc = check_map(dma, flags, offset, iova, size, fd >= 0, policy, err);
	struct vfui_dma_map new =
		{
			.range = {.first = iova, .last = iova + size - 1},
			.flags = flags & (VFU_DMA_READ | VFU_DMA_WRITE),
			.offset = offset,
		},
			    *map;

	if (!rc)
		rc = check_room(dma, &new, policy, err);
	if (rc <= 0)
		goto out;
	map = vfui_os_malloc(sizeof(*map));
	if (!map) {
		rc = vfui_err_set(err, -ENOMEM, NULL, 0, "no memory for a range");
		goto out;
	}
	*map = new;
	vfui_list_init(&map->link);
	rc = fd >= 0 ? open_map(dma, map, flags, fd, err) : 0;
	if (rc) {
		vfui_os_free(map);
		goto out;
	}
	insert_map(dma, map);
	return 0;
out:
	vfui_os_close(fd);
	return rc;
}

/* ---- unmaps ------------------------------------------------------------------------------------ */

static void wait_put(struct vfui_dma *dma, struct vfui_dma_wait *wait)
{
	bool last;

	vfui_os_lock(&dma->lock);
	last = !--wait->left;
	vfui_os_unlock(&dma->lock);
	if (!last)
		return;
	if (wait->done)
		wait->done(wait->user);
	vfui_os_free(wait);
}

void vfui_dma_wait_start(struct vfui_dma *dma, struct vfui_dma_wait *wait, void (*done)(void *user),
			 void *user)
{
	/* Nobody else looks at these before the last one is gone, and that can not be before this call. */
	wait->done = done;
	wait->user = user;
	wait_put(dma, wait);
}

void vfui_dma_release(struct vfui_dma *dma, struct vfui_dma_map *map)
{
	struct vfui_dma_wait *wait = NULL;
	bool last;

	vfui_os_lock(&dma->lock);
	last = !--map->pins && map->is_doomed;
	if (last) {
		wait = map->wait;
		vfui_list_remove(&map->link);
	}
	vfui_os_unlock(&dma->lock);
	if (!last)
		return;
	map_free(dma, map);
	if (wait)
		wait_put(dma, wait);
}

/* Takes one map out of the table; its memory stays as long as it is pinned. */
static void remove_map(struct vfui_dma *dma, struct vfui_dma_map *map, struct vfui_dma_wait *wait)
{
	struct vfu_dma_range range = describe(map);
	bool is_free;

	if (dma->hooks.unmapping)
		dma->hooks.unmapping(dma->hooks.ctx, &range);
	vfui_os_lock(&dma->lock);
	vfui_ranges_remove(&dma->maps, &map->range);
	if (dma->recent == map)
		dma->recent = NULL;
	dma->nmapped -= map->kind == VFUI_DMA_MAPPED;
	is_free = !map->pins;
	if (!is_free) {
		map->is_doomed = true;
		map->wait = wait;
		vfui_list_push(&dma->doomed, &map->link);
		if (wait)
			wait->left++;
	}
	vfui_os_unlock(&dma->lock);
	vfui_dma_cancel(dma, range.iova, range.iova + (range.size - 1));
	if (is_free)
		map_free(dma, map);
}

/* Removes what lies in [first, last], in ascending order. */
static void remove_maps(struct vfui_dma *dma, uint64_t first, uint64_t last,
			struct vfui_dma_wait *wait)
{
	struct vfui_dma_map *map;

	while ((map = map_of(vfui_ranges_from(&dma->maps, first))) && map->range.first <= last) {
		uint64_t end = map->range.last;

		remove_map(dma, map, wait);
		if (end >= last)
			break;
		first = end + 1;
	}
}

/* E6, E7, E62: what may be unmapped at once. */
static int check_unmap(const struct vfui_dma *dma, uint64_t iova, uint64_t size, bool all,
		       const struct vfui_policy *policy, struct vfu_err *err)
{
	const struct vfui_dma_map *low, *high;
	uint64_t last = iova + size - 1;

	if (all) {
		if (iova || size)
			return vfui_err_set(err, -EINVAL, "dma_unmap.address", 8,
					    "a range, and all of them too");
		return 0;
	}
	if (!size || last < iova)
		return vfui_err_set(err, -EINVAL, "dma_unmap.size", 16,
				    "empty, or past the last address");
	low = map_of(vfui_ranges_from(&dma->maps, iova));
	if (policy->unmap_range == VFUI_UNMAP_RANGE_EXACT) {
		if (!low || low->range.first != iova || low->range.last != last)
			return vfui_err_set(err, -ENOENT, "dma_unmap.address", 8, "no such range");
		return 0;
	}
	high = map_of(vfui_ranges_from(&dma->maps, last));
	if ((low && low->range.first < iova) ||
	    (high && high->range.first <= last && high->range.last > last))
		return vfui_err_set(err, -EINVAL, "dma_unmap.address", 8, "cuts a range");
	return 0;
}

int vfui_dma_unmap(struct vfui_dma *dma, uint64_t iova, uint64_t size, bool all,
		   const struct vfui_policy *policy, struct vfui_dma_wait **out,
		   struct vfu_err *err)
{
	struct vfui_dma_wait *wait;
	bool is_pinned;
	int rc = check_unmap(dma, iova, size, all, policy, err);

	*out = NULL;
	if (rc)
		return rc;
	wait = vfui_os_calloc(1, sizeof(*wait));
	if (!wait)
		return vfui_err_set(err, -ENOMEM, NULL, 0, "no memory to unmap");
	wait->left = 1;
	remove_maps(dma, all ? 0 : iova, all ? UINT64_MAX : iova + (size - 1), wait);
	vfui_os_lock(&dma->lock);
	is_pinned = wait->left > 1;
	vfui_os_unlock(&dma->lock);
	if (is_pinned) {
		*out = wait;
		return VFU_LATER;
	}
	vfui_os_free(wait);
	return 0;
}

void vfui_dma_disconnect(struct vfui_dma *dma)
{
	vfui_os_lock(&dma->lock);
	dma->conn = NULL;
	while (dma->pumping)
		vfui_os_cond_wait(&dma->quiet, &dma->lock, -1);
	vfui_os_unlock(&dma->lock);
	vfui_dma_cancel(dma, 0, UINT64_MAX);
	remove_maps(dma, 0, UINT64_MAX, NULL);
}

void vfui_dma_fini(struct vfui_dma *dma)
{
	vfui_dma_disconnect(dma);
	for (struct vfui_list *link; (link = vfui_list_pop(&dma->doomed));) {
		struct vfui_dma_map *map = vfui_container_of(link, struct vfui_dma_map, link);

		if (map->wait)
			wait_put(dma, map->wait);
		map_free(dma, map);
	}
	vfui_os_free(dma->slots);
	vfui_os_free(dma->chunks);
	vfui_os_free(atomic_load(&dma->spare));
	vfui_os_cond_fini(&dma->quiet);
	vfui_os_mutex_fini(&dma->lock);
}

void vfui_dma_set_blocked(struct vfui_dma *dma, bool on)
{
	atomic_store(&dma->blocked, on);
}

/* ---- looking up -------------------------------------------------------------------------------- */

struct vfui_dma_map *vfui_dma_find(struct vfui_dma *dma, uint64_t address)
{
	struct vfui_dma_map *map = dma->recent;

	if (map && map->range.first <= address && address <= map->range.last)
		return map;
	map = map_of(vfui_ranges_from(&dma->maps, address));
	if (!map || map->range.first > address)
		return NULL;
	dma->recent = map;
	return map;
}

int vfui_dma_check(struct vfui_dma *dma, uint64_t iova, size_t len, uint32_t flags, unsigned *kinds)
{
	uint64_t last = iova + (len - 1);

	*kinds = 0;
	if (!dma->conn)
		return -ENOTCONN;
	if (atomic_load(&dma->blocked))
		return -EIO;
	if (!len)
		return 0;
	if (last < iova)
		return -EFAULT;
	for (;;) {
		const struct vfui_dma_map *map = vfui_dma_find(dma, iova);

		if (!map)
			return -EFAULT;
		if ((map->flags & flags) != flags)
			return -EACCES;
		*kinds |= 1u << map->kind;
		if (map->range.last >= last)
			return 0;
		iova = map->range.last + 1;
	}
}

size_t vfui_dma_list(struct vfui_dma *dma, struct vfu_dma_range *out, size_t n)
{
	uint64_t address = 0;
	size_t count;

	vfui_os_lock(&dma->lock);
	count = dma->maps.count;
	for (size_t i = 0; i < n && i < count; i++) {
		const struct vfui_dma_map *map = map_of(vfui_ranges_from(&dma->maps, address));

		out[i] = describe(map);
		address = map->range.last + 1;
	}
	vfui_os_unlock(&dma->lock);
	return count;
}

/* ---- pins -------------------------------------------------------------------------------------- */

/* Doubles the table of pins. */
static int grow_slots(struct vfui_dma *dma)
{
	uint32_t n = dma->nslots ? dma->nslots * 2 : 16;
	struct vfui_dma_slot *slots;

	if (n > MAX_SLOTS)
		return -ENOMEM;
	slots = vfui_os_realloc(dma->slots, n * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	memset(slots + dma->nslots, 0, (n - dma->nslots) * sizeof(*slots));
	for (uint32_t i = n; i-- > dma->nslots;) {
		slots[i].next_free = dma->free_slot;
		dma->free_slot = i;
	}
	dma->slots = slots;
	dma->nslots = n;
	return 0;
}

/* Where a pin would point, with the lock held. */
static int find_pinnable(struct vfui_dma *dma, uint64_t iova, size_t len, unsigned flags,
			 struct vfui_dma_map **map)
{
	unsigned kinds;
	int rc = !len || flags & ~(unsigned)(VFU_DMA_READ | VFU_DMA_WRITE)
			 ? -EINVAL
			 : vfui_dma_check(dma, iova, len, flags, &kinds);

	if (rc)
		return rc;
	*map = vfui_dma_find(dma, iova);
	if ((*map)->kind != VFUI_DMA_MAPPED || (*map)->range.last - iova < len - 1)
		return -EOPNOTSUPP;
	return dma->free_slot == NO_SLOT ? grow_slots(dma) : 0;
}

int vfui_dma_pin(struct vfui_dma *dma, uint64_t iova, size_t len, unsigned flags,
		 struct vfu_dma_pin *pin)
{
	struct vfui_dma_map *map;
	struct vfui_dma_slot *slot;
	uint32_t i;
	int rc;

	memset(pin, 0, sizeof(*pin));
	vfui_os_lock(&dma->lock);
	rc = find_pinnable(dma, iova, len, flags, &map);
	if (!rc) {
		i = dma->free_slot;
		slot = &dma->slots[i];
		dma->free_slot = slot->next_free;
		map->pins++;
		slot->map = map;
		slot->addr = map->addr + (iova - map->range.first);
		slot->len = len;
		slot->generation = (slot->generation + 1) & (UINTPTR_MAX >> SLOT_BITS);
		*pin = (struct vfu_dma_pin){slot->addr, len,
					    (void *)(slot->generation << SLOT_BITS | (i + 1))};
	}
	vfui_os_unlock(&dma->lock);
	return rc;
}

int vfui_dma_unpin(struct vfui_dma *dma, struct vfu_dma_pin *pin)
{
	uintptr_t key = (uintptr_t)pin->priv;
	uint32_t i = (uint32_t)(key & SLOT_MASK) - 1;
	struct vfui_dma_map *map = NULL;

	vfui_os_lock(&dma->lock);
	if (i < dma->nslots) {
		struct vfui_dma_slot *slot = &dma->slots[i];

		if (slot->map && slot->generation == key >> SLOT_BITS && slot->addr == pin->addr &&
		    slot->len == pin->len) {
			map = slot->map;
			slot->map = NULL;
			slot->next_free = dma->free_slot;
			dma->free_slot = i;
		}
	}
	vfui_os_unlock(&dma->lock);
	if (!map)
		return -EINVAL;
	memset(pin, 0, sizeof(*pin));
	vfui_dma_release(dma, map);
	return 0;
}
