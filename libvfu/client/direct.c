/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * direct.c - accesses that need no message.
 *
 *	                    +-- VFU_OPT_IOEVENTS: a write that an eventfd stands for ----> signals it
 *	vfu_client_region_* +-- VFU_OPT_MAPPED: inside of an area that can be mapped ----> memory
 *	                    +-- else ------------------------------------------------------> a message
 *
 * Memory first: what the device says can be mapped it does not want to hear of. A number of 1, 2, 4 or 8 aligned bytes is one
 * load or store, as registers want it; with fences on its outer side, so that what a driver wrote before is there when the store is.
 * The file is the server's, who can cut it: so only with vfu_sigbus_guard, whose watch is asked afterwards.
 *
 * What the region's memory and eventfds are is asked once a connection, by the first access that wants to know. In a callback, where
 * nobody can be asked, an access goes by message until somebody has.
 */
#include "client/direct.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/eventfd.h"
#include "base/os.h"
#include "base/sigbus.h"
#include "client/call.h"
#include "client/info.h"
#include "client/io-fds.h"

/* ---- memory */

/* One access of the width, both ends aligned to it. */
#define MOVE(type, to, from) (*(volatile type *)(to) = *(const volatile type *)(from))

static void move_number(void *to, const void *from, size_t len)
{
	if (len == 1)
		MOVE(uint8_t, to, from);
	else if (len == 2)
		MOVE(uint16_t, to, from);
	else if (len == 4)
		MOVE(uint32_t, to, from);
	else
		MOVE(uint64_t, to, from);
}

static bool is_number(const void *memory, size_t len)
{
	return (len == 1 || len == 2 || len == 4 || len == 8) && (uintptr_t)memory % len == 0;
}

/* The thread sanitizer knows no fences (base/shared.h), nor the other process that this one is for. */
static void keep_order(memory_order order)
{
#ifndef __SANITIZE_THREAD__
	atomic_thread_fence(order);
#endif
	(void)order;
}

static void move(void *memory, const struct vfu_client_access *a)
{
	uint64_t number = 0; /* the caller's buffer may lie anywhere */

	if (!is_number(memory, a->len)) {
		memcpy(a->is_write ? memory : a->buf, a->is_write ? a->buf : memory, a->len);
	} else if (a->is_write) {
		memcpy(&number, a->buf, a->len);
		keep_order(memory_order_release);
		move_number(memory, &number, a->len);
	} else {
		move_number(&number, memory, a->len);
		keep_order(memory_order_acquire);
		memcpy(a->buf, &number, a->len);
	}
}

static int use_memory(struct vfu_client *cl, struct vfui_kept_region *region,
		      const struct vfu_client_access *a)
{
	const struct vfu_region_map *map = NULL;
	int i = -1;

	if (region->info.flags & (a->is_write ? VFU_REGION_WRITE : VFU_REGION_READ))
		i = vfui_client_find_area(&region->info, a->offset, a->len);
	if (i >= 0)
		map = vfui_kept_map(region, (unsigned)i);
	if (!map)
		return 0;
	if (!atomic_load(&cl->is_mapped))
		atomic_store(&cl->is_mapped, true);
	if (!vfui_watch_is_lost(map->watch))
		move((uint8_t *)map->addr +
			     (a->offset - vfui_region_area(&region->info, (unsigned)i).offset),
		     a);
	if (!vfui_watch_is_lost(map->watch))
		return 1;
	return vfui_client_fail(cl, -EFAULT, "the file behind the region ends before it does");
}

/* ---- eventfds */

/* KVM compares numbers as the guest's little-endian CPU has them. */
static bool has_value(const struct vfu_io_fd *entry, const struct vfu_client_access *a)
{
	uint64_t number = 0;

	memcpy(&number, a->buf, a->len);
	return le64toh(number) == entry->datamatch;
}

static bool stands_for(const struct vfu_io_fd *entry, const struct vfu_client_access *a)
{
	if (entry->type != VFU_IO_EVENTFD || entry->offset != a->offset ||
	    entry->flags & ~(uint32_t)(VFU_IOEVENT_MATCH | VFU_IOEVENT_PIO))
		return false;
	if (entry->size ? entry->size != a->len : entry->flags & VFU_IOEVENT_MATCH || a->len > 8)
		return false;
	return a->len <= 8 && (!(entry->flags & VFU_IOEVENT_MATCH) || has_value(entry, a));
}

static int signal_eventfd(const struct vfu_io_fd *entry)
{
	if (vfui_eventfd_signal(entry->fd))
		vfui_eventfd_signal_slowly(entry->fd);
	return 1;
}

static int use_eventfd(struct vfu_client *cl, struct vfui_conn *conn,
		       struct vfui_kept_region *region, const struct vfu_client_access *a)
{
	const struct vfu_io_fds *io = atomic_load(&region->io);
	int ret = 0;

	if (!io && vfui_client_is_in_dma(cl, conn))
		return 0;
	if (!io)
		ret = vfui_client_io(cl, conn, a->index, region, &io);

	for (unsigned i = 0; !ret && i < io->n; i++)
		if (stands_for(&io->list[i], a)) {
			/* What was posted before it, and waits, goes before it. */
			vfui_conn_send_queue(conn);
			return signal_eventfd(&io->list[i]);
		}
	return ret;
}

/* ---- which of them */

/* NULL and 0: nobody can be asked here, or the device does not say. */
static int find_region(struct vfu_client *cl, struct vfui_conn *conn, unsigned index,
		       struct vfui_kept_region **out)
{
	int ret;

	*out = index < VFUI_KEPT_REGIONS ? atomic_load(&cl->kept.region[index]) : NULL;
	if (*out || index >= VFUI_KEPT_REGIONS || vfui_client_is_in_dma(cl, conn))
		return 0;
	ret = vfui_client_region(cl, conn, index, out);
	return ret == -EINVAL ? 0 : ret; /* the access itself will say why */
}

int vfui_client_direct(struct vfu_client *cl, struct vfui_conn *conn,
		       const struct vfu_client_access *a)
{
	struct vfui_kept_region *region;
	struct vfu_err err = {0};
	int ret = find_region(cl, conn, a->index, &region);

	if (ret || !region || !a->len)
		return ret;
	ret = vfui_conn_status(conn, &err);
	if (ret)
		return vfui_client_keep(cl, ret, &err);
	if (vfui_conn_option(conn, VFU_OPT_MAPPED) && region->info.flags & VFU_REGION_MMAP &&
	    vfui_sigbus_is_guarded())
		ret = use_memory(cl, region, a);
	if (!ret && a->is_write && vfui_conn_option(conn, VFU_OPT_IOEVENTS))
		ret = use_eventfd(cl, conn, region, a);
	return ret;
}
