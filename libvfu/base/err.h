/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * err.h - what went wrong, kept for the caller.
 */
#ifndef VFUI_ERR_H
#define VFUI_ERR_H

#include "base/util.h"
#include "vfu.h"

/*
 * Fills *err (NULL: nowhere) and returns code. field may be NULL. (Faults of generated checks:
 * vfui_err_fault in msg.h.)
 */
int vfui_err_set(struct vfu_err *err, int code, const char *field, uint32_t offset, const char *fmt,
		 ...) VFUI_PRINTF(5, 6);
void vfui_err_clear(struct vfu_err *err);

#endif
