/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-caps.h - the list of capabilities in configuration space: where they are, how they are linked. Owner only.
 */
#ifndef VFUI_PCI_CAPS_H
#define VFUI_PCI_CAPS_H

#include "device/pci-state.h"

/* Offset of a capability, 0: none. */
unsigned vfui_pci_find_cap(const struct vfui_pci *pci, uint8_t id);

/* The body of vfu_device_add_capability. */
int vfui_pci_add_capability(struct vfui_pci *pci, uint8_t id, const void *data, size_t len);

/* Of those that are the library's. data: what follows id and next; its offset, or -ENOSPC. */
int vfui_pci_add_cap(struct vfui_pci *pci, uint8_t id, const void *data, size_t len);
/* len: with id and next. */
void vfui_pci_remove_cap(struct vfui_pci *pci, unsigned at, size_t len);
/* Whether len bytes with id and next have room once the old ones at an offset (0: none) are gone. */
bool vfui_pci_has_room(const struct vfui_pci *pci, unsigned old, size_t len);

#endif
