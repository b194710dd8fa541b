/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci.h - configuration space: type 0 header, BAR sizing, capabilities and what writing them does.
 *
 * Region 7 is served from here unless the device gave it a callback. Owner only.
 */
#ifndef VFUI_PCI_H
#define VFUI_PCI_H

#include <stdint.h>

#include "device/pci-access.h"
#include "device/pci-caps.h"
#include "device/pci-irq.h"
#include "device/pci-kinds.h"
#include "device/pci-state.h"

struct vfui_policy;

/* Also makes region 7. The other parts are set up before, and outlive it. */
int vfui_pci_init(struct vfui_pci *pci, struct vfui_dma *dma, struct vfui_irqs *irqs,
		  struct vfui_regions *regions, const struct vfui_pci_hooks *hooks);

void vfui_pci_fini(struct vfui_pci *pci);

/* Bodies of the public functions. */
int vfui_pci_set_ids(struct vfui_pci *pci, uint16_t vendor, uint16_t device, uint16_t subvendor,
		     uint16_t subdevice);
int vfui_pci_set_class(struct vfui_pci *pci, uint32_t class_code, uint8_t revision);

/* Whether the device may serve a range of a region by itself, or have a register there in region 7: 0, -EINVAL. */
int vfui_pci_check_handler(const struct vfui_pci *pci, unsigned index, uint64_t offset,
			   uint64_t size, struct vfu_err *err);
int vfui_pci_check_register(const struct vfui_pci *pci, const struct vfu_register *reg,
			    struct vfu_err *err);

/* Call after vfui_region_set: BAR registers, the tables of MSI-X and the default region 7 follow what the region is now. */
int vfui_pci_region_changed(struct vfui_pci *pci, unsigned index);
/* What of the policy configuration space and tables look at: E63, E66. */
void vfui_pci_set_policy(struct vfui_pci *pci, const struct vfui_policy *policy);
/* The client is gone. */
void vfui_pci_disconnect(struct vfui_pci *pci);
#endif
