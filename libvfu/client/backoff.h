/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * backoff.h - the pauses between attempts to connect: 1 ms, each twice the last, 250 ms at most.
 */
#ifndef VFUI_CLIENT_BACKOFF_H
#define VFUI_CLIENT_BACKOFF_H

#include "base/clock.h"

#define VFUI_BACKOFF_LONGEST (250 * VFUI_MS)

/* All zero: nothing was tried yet. */
struct vfui_backoff {
	uint64_t last; /* ns */
};

/* Nanoseconds to pause before the next attempt. */
static inline uint64_t vfui_backoff_next(struct vfui_backoff *b)
{
	b->last = b->last ? vfui_min(2 * b->last, VFUI_BACKOFF_LONGEST) : VFUI_MS;
	return b->last;
}

#endif
