/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * err.c - what went wrong, kept for the caller.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

void vfui_err_clear(struct vfu_err *err)
{
	if (err != NULL)
		memset(err, 0, sizeof(*err));
}

int vfui_err_set(struct vfu_err *err, int code, const char *field, uint32_t offset, const char *fmt,
		 ...)
{
	va_list args;

	if (err == NULL)
		return code;
	vfui_err_clear(err);
	err->code = code;
	err->offset = offset;
	if (field != NULL)
		snprintf(err->field, sizeof(err->field), "%s", field);
	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return code;
}
