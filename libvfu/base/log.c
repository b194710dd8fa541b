/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * log.c - lines for people, passed to the function the user set.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

void vfui_log(const struct vfui_log *log, enum vfu_log_level level, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (log->fn == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log->fn(log->user, level, text);
}
