/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-masks.h - what a client can change in configuration space: tables by capability. Owner only.
 */
#ifndef VFUI_PCI_MASKS_H
#define VFUI_PCI_MASKS_H

#include "device/pci-state.h"

/* In place of a capability's id: the header of type 0. */
#define VFUI_PCI_HEADER 0
/* And where the layouts of MSI differ, with VFU_MSI_64 or 0. */
#define VFUI_PCI_MSI_LAYOUT(is_64) (0x100 | (is_64))

/* Notes which bits of a capability of len bytes at base a client writes, and which it clears by ones. */
void vfui_pci_set_masks(struct vfui_pci *pci, unsigned cap, unsigned base, unsigned len);

#endif
