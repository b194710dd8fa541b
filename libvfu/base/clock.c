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

uint64_t vfui_clock_deadline(const struct vfui_clock *clock, int64_t timeout_ms)
{
	return timeout_ms < 0 ? VFUI_NEVER : vfui_clock_now(clock) + (uint64_t)timeout_ms * VFUI_MS;
}

int64_t vfui_clock_left(const struct vfui_clock *clock, uint64_t deadline)
{
	uint64_t now;

	if (deadline == VFUI_NEVER)
		return -1;
	now = vfui_clock_now(clock);
	return now >= deadline ? 0 : (int64_t)(deadline - now);
}
