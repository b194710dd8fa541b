/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * dma-memory.c - what is behind a range: opening it, copying to and from it.
 *
 * A file is mapped if it can be. Where the process has too many mappings, or the file knows none, the
 * range falls back to reading and writing the file, through a descriptor that all its ranges share.
 *
 * The client can cut the file at any time. Reading and writing it is an error then; a mapping is watched,
 * and lost with the first touch (base/sigbus.c). So what is checked here keeps out mistakes, and files that
 * are never what they seem: pages of a device may be missing at any offset.
 */
#include "device/dma-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/os.h"
#include "base/shared.h"
#include "base/sigbus.h"
#include "base/util.h"
#include "device/dma-file.h"
#include "device/peer-file.h"

/* The kernel's usual limit is 65,530 mappings a process; others need some too. */
#define MAX_MAPPED 61440

/*
 * Files that are made up as they are read (/proc/PID/mem) have size 0; one that is to be read and written
 * says what it does not hold.
 */
static bool is_measured(const struct vfui_dma_source *src, const struct stat *st)
{
	return S_ISREG(st->st_mode) && (st->st_size || !src->as_file);
}

/* What is behind the descriptor: long enough, and open for what the range is to allow. *mode: O_ACCMODE. */
static int check_file(const struct vfui_dma_source *src, struct stat *st, int *mode,
		      struct vfu_err *err)
{
	int rc = vfui_os_fstat(src->fd, st), flags = vfui_os_get_flags(src->fd);
	const char *fault;

	if (rc < 0 || flags < 0)
		return vfui_err_set(err, rc < 0 ? rc : flags, "dma_map.fds", 0,
				    "can not look at the file");
	fault = vfui_peer_file_fault(src->policy, src->fd, st);
	if (fault)
		return vfui_err_set(err, -EINVAL, "dma_map.fds", 0, "the file is %s", fault);
	if (is_measured(src, st) && !vfui_is_inside(src->offset, src->size, (uint64_t)st->st_size))
		return vfui_err_set(err, -EINVAL, "dma_map.size", 24,
				    "the file ends before the range does");
	*mode = flags & O_ACCMODE;
	if ((src->access & VFU_DMA_READ && *mode == O_WRONLY) ||
	    (src->access & VFU_DMA_WRITE && *mode == O_RDONLY))
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
static int map_file(struct vfui_dma_memory *memory, const struct vfui_dma_source *src,
		    const struct stat *st)
{
	uint64_t unit = map_unit(st), skip = src->offset & (unit - 1);
	uint64_t size = (src->size - 1 + skip + unit) & ~(unit - 1);
	int prot = (src->access & VFU_DMA_READ ? PROT_READ : 0) |
		   (src->access & VFU_DMA_WRITE ? PROT_WRITE : 0);
	int rc = 0;

	if (size > SIZE_MAX / 2)
		return -ENOMEM;
	memory->mapping =
		vfui_os_mmap((size_t)size, prot, MAP_SHARED, src->fd, src->offset - skip, &rc);
	if (!memory->mapping)
		return rc;
	memory->mapping_len = (size_t)size;
	memory->watch = vfu_watch_new(memory->mapping, (size_t)size);
	if (!memory->watch) {
		vfui_os_munmap(memory->mapping, (size_t)size);
		memory->mapping = NULL;
		return -ENOMEM;
	}
	memory->addr = (uint8_t *)memory->mapping + skip;
	memory->kind = VFUI_DMA_MAPPED;
	return 0;
}

int vfui_dma_memory_open(struct vfui_dma *dma, struct vfui_dma_memory *memory,
			 const struct vfui_dma_source *src, struct vfu_err *err)
{
	struct stat st;
	int mode = 0, rc = check_file(src, &st, &mode, err);

	if (rc)
		return rc;
	if (!src->as_file) {
		rc = dma->nmapped < MAX_MAPPED ? map_file(memory, src, &st) : -ENOMEM;
		if (!rc) {
			if (dma->hooks.exposed && !vfui_sigbus_is_guarded() &&
			    !vfui_peer_file_is_sealed(src->fd))
				dma->hooks.exposed(dma->hooks.ctx);
			/* The mapping keeps the memory; descriptors are scarcer. */
			vfui_os_close(src->fd);
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
	rc = vfui_dma_file_get(dma, src->fd, &st, mode, &memory->file);
	if (rc)
		return vfui_err_set(err, rc, "dma_map.fds", 0,
				    rc == -ENOSPC ? "too many descriptors are kept already"
						  : "no memory for a file");
	memory->offset = src->offset;
	memory->kind = VFUI_DMA_FILE;
	return 0;
}

void vfui_dma_memory_close(struct vfui_dma *dma, struct vfui_dma_memory *memory)
{
	vfu_watch_free(memory->watch);
	if (memory->mapping)
		vfui_os_munmap(memory->mapping, memory->mapping_len);
	if (memory->file)
		vfui_dma_file_put(dma, memory->file);
}

int vfui_dma_memory_copy(const struct vfui_dma_memory *memory, uint64_t offset, uint8_t *buf,
			 size_t len, bool write)
{
	if (memory->kind == VFUI_DMA_FILE)
		return vfui_dma_file_io(memory->file, memory->offset + offset, buf, len, write);
	if (memory->kind == VFUI_DMA_MAPPED && !vfui_watch_is_lost(memory->watch)) {
		if (write)
			vfui_shared_write(memory->addr + offset, buf, len);
		else
			vfui_shared_read(buf, memory->addr + offset, len);
	}
	return vfui_watch_is_lost(memory->watch) ? -EFAULT : 0;
}
