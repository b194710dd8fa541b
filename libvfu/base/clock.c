/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * clock.c - time, which tests can set.
 */
#include "base/os.h"
#include "base/clock.h"

uint64_t vfui_clock_now(const struct vfui_clock *clock)
{
	return clock->now != NULL ? clock->now(clock->user) : vfui_os_now();
}

/* What is further away than this is reckoned from vfui_os_soon, which takes a fifth of the time. */
#define FAR (1000 * VFUI_MS)

static uint64_t soon(const struct vfui_clock *clock)
{
	return clock->now != NULL ? clock->now(clock->user) : vfui_os_soon();
}

uint64_t vfui_clock_deadline(const struct vfui_clock *clock, int64_t timeout_ms)
{
	uint64_t timeout = (uint64_t)timeout_ms * VFUI_MS;

	if (timeout_ms < 0)
		return VFUI_NEVER;
	return timeout >= FAR ? soon(clock) + timeout : vfui_clock_now(clock) + timeout;
}

int64_t vfui_clock_left(const struct vfui_clock *clock, uint64_t deadline)
{
	uint64_t now;

	if (deadline == VFUI_NEVER)
		return -1;
	now = soon(clock);
	if (now + FAR > deadline)
		now = vfui_clock_now(clock);
	return now >= deadline ? 0 : (int64_t)(deadline - now);
}
