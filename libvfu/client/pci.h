/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci.h - numbers in configuration space, little-endian there, as a CPU accesses them.
 */
#ifndef VFUI_CLIENT_PCI_H
#define VFUI_CLIENT_PCI_H

#include "client/state.h"

/* width: 1, 2 or 4, of an offset that is a multiple of it. */
int vfui_client_config_get(struct vfu_client *cl, unsigned offset, unsigned width, uint32_t *value);
int vfui_client_config_put(struct vfu_client *cl, unsigned offset, unsigned width, uint32_t value);
/* -ENODEV: the device is not PCI. */
int vfui_client_check_pci(struct vfu_client *cl);
/* -EPROTO, with a sentence about what the device says. */
int vfui_client_odd(struct vfu_client *cl, const char *fmt, ...) VFUI_PRINTF(2, 3);

#endif
