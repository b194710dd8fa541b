/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-caps.h - the lists of capabilities in configuration space: where they are, how they are linked. Owner only.
 */
#ifndef VFUI_PCI_CAPS_H
#define VFUI_PCI_CAPS_H

#include "device/pci-state.h"

/* Offset of a capability, 0: none. */
unsigned vfui_pci_find_cap(const struct vfui_pci *pci, uint8_t id);

/* The bodies of the public functions. offset 0: anywhere. */
int vfui_pci_add_capability(struct vfui_pci *pci, uint8_t id, unsigned offset, const void *data,
			    size_t len, struct vfu_err *err);
int vfui_pci_add_extended(struct vfui_pci *pci, uint16_t id, unsigned version, unsigned offset,
			  const void *data, size_t len, struct vfu_err *err);
int vfui_pci_find_capability(const struct vfui_pci *pci, unsigned id, unsigned after);
int vfui_pci_find_extended(const struct vfui_pci *pci, unsigned id, unsigned after);
int vfui_pci_set_size(struct vfui_pci *pci, size_t size);

/* Region 7 is served from here, not by a callback of the device's. */
bool vfui_pci_is_ours(const struct vfui_pci *pci);
/* Of those that are the library's. data: what follows id and next; its offset, or negative errno. */
int vfui_pci_add_cap(struct vfui_pci *pci, uint8_t id, unsigned offset, const void *data,
		     size_t len, struct vfu_err *err);
/* len: with id and next. */
void vfui_pci_remove_cap(struct vfui_pci *pci, unsigned at, size_t len);
/* Whether len bytes with id and next have room once the old_len at old are gone. */
bool vfui_pci_has_room(struct vfui_pci *pci, unsigned old, size_t old_len, size_t len);

#endif
