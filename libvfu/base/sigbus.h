/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * sigbus.h - memory that can vanish: mappings of files that somebody else can cut. sigbus.c tells more.
 *
 * The public functions (vfu.h) are vfu_sigbus_guard, vfu_watch_new, vfu_watch_free, vfu_watch_is_lost;
 * what the library maps it watches in the same way.
 */
#ifndef VFUI_SIGBUS_H
#define VFUI_SIGBUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vfu.h"

/* One place of the table. */
struct vfu_watch {
	atomic_uint turn;
	atomic_uintptr_t first, last; /* whole pages, last byte inclusive */
	atomic_bool is_lost;
	atomic_bool is_told;
};

/* vfu_sigbus_guard was called. */
bool vfui_sigbus_is_guarded(void);
/* What vfu_watch_is_lost answers; to be asked after the memory was used, too. NULL: false. */
static inline bool vfui_watch_is_lost(const struct vfu_watch *watch)
{
	return watch && atomic_load_explicit(&watch->is_lost, memory_order_acquire);
}

/* The same, after touching a byte of each page, if the guard is on: for what the system is to read. */
bool vfui_watch_probe(const struct vfu_watch *watch, const void *addr, size_t len);
/* True once, for the first who asks about lost memory: it has to say so in the log. */
bool vfui_watch_tell(struct vfu_watch *watch);
/*
 * The system could not read or write (to_write) this memory, -EFAULT: touches what of it is watched, as
 * only that brings the guard in. True: some was lost by that, and other memory is there now: try again.
 */
bool vfui_watch_touch(const struct iovec *iov, unsigned n, bool to_write);

#endif
