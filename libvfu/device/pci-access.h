/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-access.h - accesses to configuration space: the client's, with what a write sets off, and the device's. Owner only.
 */
#ifndef VFUI_PCI_ACCESS_H
#define VFUI_PCI_ACCESS_H

#include "device/pci-state.h"

/* Callback of region 7; bounds are checked by then. user: struct vfui_pci. */
int vfui_pci_access(void *user, struct vfu_request *req, const struct vfu_access *access);
/* Tells interrupts and DMA what configuration space has to say about them. */
void vfui_pci_apply(struct vfui_pci *pci);
/* What the client can write goes back to its reset value. Interrupts are reset before, else what is pending fires. */
void vfui_pci_reset(struct vfui_pci *pci);

/* The bodies of vfu_device_config_read and _write. */
int vfui_pci_read(struct vfui_pci *pci, size_t offset, void *buf, size_t len);
int vfui_pci_write(struct vfui_pci *pci, size_t offset, const void *buf, size_t len);

/* The body of vfu_device_config_state. */
int vfui_pci_state(const struct vfui_pci *pci, unsigned what);

#endif
