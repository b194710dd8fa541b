/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * version.c - which release this is.
 */
#include "config.h"

#include "vfu.h"

const char *vfu_version(void)
{
	return PACKAGE_VERSION;
}
