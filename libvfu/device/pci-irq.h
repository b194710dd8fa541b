/*
 * SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the libvfu authors
 *
 * pci-irq.h - the pin and the capabilities of interrupts in configuration space. Owner only.
 */
#ifndef VFUI_PCI_IRQ_H
#define VFUI_PCI_IRQ_H

#include "device/pci-state.h"

/* Bodies of the public functions. */
int vfui_pci_set_intx(struct vfui_pci *pci, unsigned pin);
int vfui_pci_set_msi(struct vfui_pci *pci, unsigned vectors, unsigned flags);
int vfui_pci_set_msix(struct vfui_pci *pci, unsigned vectors, unsigned bar, uint32_t table_offset,
		      uint32_t pba_offset, struct vfu_err *err);

#endif
