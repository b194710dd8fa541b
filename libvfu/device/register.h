/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * register.h - registers of regions: which of their bits a client writes, clears, sets, reads.
 */
#ifndef VFUI_REGISTER_H
#define VFUI_REGISTER_H

#include <stdint.h>

#include "device/region.h"
#include "vfu.h"

/* The bodies of vfu_device_add_register (owner) and vfu_device_update_register (any thread). */
int vfui_register_add(struct vfui_regions *regions, unsigned index, const struct vfu_register *reg,
		      struct vfu_err *err);
int vfui_register_update(struct vfui_regions *regions, unsigned index, uint64_t offset,
			 unsigned width, uint64_t mask, uint64_t value);

#endif
