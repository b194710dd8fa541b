/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * clock.h - time, which tests can set.
 */
#ifndef VFUI_CLOCK_H
#define VFUI_CLOCK_H

#include "base/util.h"

#define VFUI_MS UINT64_C(1000000)
#define VFUI_NEVER UINT64_MAX

/* The longest sleep of whoever has to look at what does not end a sleep: the interrupt hook, the listener beside a client. */
#define VFUI_TICK_MS 250
#define VFUI_TICK_NS (VFUI_TICK_MS * (int64_t)VFUI_MS)

/* Nanoseconds that never step back. now == NULL: the system's monotonic clock. */
struct vfui_clock {
	uint64_t (*now)(void *user);
	void *user;
};

uint64_t vfui_clock_now(const struct vfui_clock *clock);
/* The time timeout_ms from now, if that is a second or more up to 10 ms later; negative: VFUI_NEVER. */
uint64_t vfui_clock_deadline(const struct vfui_clock *clock, int64_t timeout_ms);
/* Nanoseconds left until deadline, of more than a second 10 ms less at most; 0 if past, -1 for VFUI_NEVER. */
int64_t vfui_clock_left(const struct vfui_clock *clock, uint64_t deadline);

#endif
