/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * log.h - lines for people, passed to the function the user set.
 */
#ifndef VFUI_LOG_H
#define VFUI_LOG_H

#include "base/util.h"
#include "vfu.h"

/* All zero: silent. */
struct vfui_log {
	vfu_log_fn *fn;
	void *user;
};

void vfui_log(const struct vfui_log *log, enum vfu_log_level level, const char *fmt, ...)
	VFUI_PRINTF(3, 4);

#endif
